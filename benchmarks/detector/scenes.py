"""Scenes composed from held-out renders: groups, crowds of small faces, and scenes without a face.

They are the benchmark's own, so that they do not change with what a detector is trained on.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from atpn.data.store import SampleStore
from benchmarks.detector.images import ImageSet, LabeledImage
from edge_runtime.geometry import ROI, extract_crop

FRAME, LARGE_FRAME = (640, 480), (1280, 720)
"""Width and height of a webcam's frame, and of a crowd's."""
GROUP, CROWD = (1, 5), (10, 24)
"""Least and greatest number of people."""
GROUP_EXTENT, CROWD_EXTENT = (20.0, 200.0), (10.0, 60.0)
"""Longer side of the landmarks' rectangle, log-uniform, pixels."""
MAX_ROLL = math.radians(20.0)
"""Maximum additional tilt of a pasted person."""
WINDOW = 1.3
"""Side of a pasted person over the face's ROI."""
MAX_NOISE = 4.0
"""Maximum standard deviation of sensor noise, gray levels."""
TILE_SIDES = (120, 240)
"""Sides of a wall's tiles, pixels: rendered backgrounds are small, and would be blurred if they filled a frame."""
PLACING_TRIES = 30
"""Random places tried for a person before it is left out."""


def scenes(store: SampleStore, count: int, origin: str) -> ImageSet:
    """Return scenes, the same for a store in every call: a group, a crowd, and one without a face in turn.

    Raises:
        ValueError: The store has no background, or no face alone in its image.
    """
    images = []
    for i in range(count):
        rng = np.random.default_rng((0, i))
        size, people, extent = (
            (FRAME, int(rng.integers(*GROUP, endpoint=True)), GROUP_EXTENT),
            (LARGE_FRAME, int(rng.integers(*CROWD, endpoint=True)), CROWD_EXTENT),
            (FRAME, 0, GROUP_EXTENT),
        )[i % 3]
        images.append(compose(store, size, people, extent, rng))
    return ImageSet("scenes", origin, images, store.scheme)


def compose(
    store: SampleStore, size: tuple[int, int], people: int, extent: tuple[float, float], rng: np.random.Generator
) -> LabeledImage:
    """Paste people, and as many pieces without a face, on a wall of `size` (width, height) pixels."""
    alone = [i for i in store.faces if store.neighbors(i) is None]
    if not alone:
        raise ValueError("scenes need renders of one face; render more with `python -m atpn render`")
    image, labels = wall(store, size, int(rng.choice(TILE_SIDES)), rng).astype(np.float32), []
    taken: list[ROI] = []
    extents = np.sort(np.exp(rng.uniform(*np.log(extent), people + max(people, 4))))[::-1]
    for is_face, longer in zip(rng.permutation(np.arange(len(extents)) < people), extents, strict=True):
        index = int(rng.choice(alone if is_face else store.backgrounds))
        picture = store.image(index)
        if is_face:
            points = store.landmarks[index].astype(float)
            face = ROI.from_landmarks(points)
            window = ROI(face.cx, face.cy, WINDOW * face.size, rng.uniform(-MAX_ROLL, MAX_ROLL))
            # The wanted extent is that of the rotated face.
            side = round(longer / float(np.ptp(window.to_crop(points), axis=0).max()))
        else:
            window = ROI(picture.shape[1] / 2, picture.shape[0] / 2, min(picture.shape[:2]) / 2)
            side = round(longer * 1.5 * WINDOW)
        place = _free_place(size, side, taken, rng)
        if place is None:
            continue
        taken.append(place)
        left, top = round(place.cx - side / 2), round(place.cy - side / 2)
        _paste(image, extract_crop(picture, window, side)[:, :, ::-1], left, top, rng)
        if is_face:
            labels.append(window.to_crop(points) * side - 0.5 + (left, top))
    image += rng.uniform(0, MAX_NOISE) * rng.standard_normal(image.shape, np.float32)
    return LabeledImage(image.clip(0, 255).round().astype(np.uint8), labels)


def wall(store: SampleStore, size: tuple[int, int], tile: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (H, W, 3) uint8 BGR picture of `size` (width, height), tiled with backgrounds of `tile` pixels."""
    if len(store.backgrounds) == 0:
        raise ValueError("no background among the renders; render more with `python -m atpn render`")
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            piece = cv2.resize(store.image(int(rng.choice(store.backgrounds)))[:, :, ::-1], (tile, tile))
            part = image[top : top + tile, left : left + tile]
            part[:] = piece[: part.shape[0], : part.shape[1], :][:, :: rng.choice([-1, 1])]
    return image


def _free_place(size: tuple[int, int], side: int, taken: list[ROI], rng: np.random.Generator) -> ROI | None:
    """Return a square of `side` inside the frame that overlaps no other, or None after some tries."""
    if side >= min(size):
        return None
    for _ in range(PLACING_TRIES):
        x, y = rng.uniform(side / 2, np.array(size) - side / 2)
        if all(max(abs(x - other.cx), abs(y - other.cy)) > 0.45 * (side + other.size) for other in taken):
            return ROI(x, y, side)
    return None


def _paste(image: np.ndarray, patch: np.ndarray, left: int, top: int, rng: np.random.Generator) -> None:
    """Blend a square patch into a float image, with a soft edge: an ellipse or a rounded square."""
    side = len(patch)
    axis = np.abs((np.arange(side) + 0.5) * 2 / side - 1)
    power = float(rng.choice([2.0, 4.0]))
    distance = (axis[:, None] ** power + axis[None] ** power) ** (1 / power)
    alpha = np.clip((1 - distance) / rng.uniform(0.05, 0.3), 0, 1)[..., None].astype(np.float32)
    y0, x0 = max(top, 0), max(left, 0)
    target = image[y0 : top + side, x0 : left + side]
    inside = slice(y0 - top, y0 - top + target.shape[0]), slice(x0 - left, x0 - left + target.shape[1])
    target += alpha[inside] * (patch[inside] - target)
