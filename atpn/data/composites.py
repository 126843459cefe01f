"""Training images for the face detector: rendered people pasted into backgrounds at random places and sizes.

Patches have soft or hard edges of several shapes. Pieces of background are pasted the same way, so that edges do not
reveal faces.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from atpn.data.augment import AugmentConfig, augment
from atpn.data.crops import compute_mean_shape
from atpn.data.scenes import background_roi
from atpn.data.store import SampleStore
from atpn.data.textures import texture
from edge_runtime.detector.network import PAD_VALUE
from edge_runtime.geometry import ROI, extract_crop, upright_roll

MEAN_FACES = 400
"""Number of faces whose mean shape says which way is up."""
TEXTURES = 200
"""Number of textures that a compositor draws."""
TEXTURE_SIZE = 256
"""Their side, pixels."""

# Small faces do not survive a strong loss of resolution, nor covers sized as fractions of the image.
_COMPOSITE_AUGMENT = AugmentConfig(low_resolution=0.1, min_resolution=0.6, blur_sigma=(0.002, 0.006), cover=0.0)


@dataclass(frozen=True)
class CompositeConfig:
    """How images for a detector are composed. Sizes are fractions of the image's side."""

    portrait_prob: float = 0.25
    """Images that show one rendered face, large."""
    portrait_size: tuple[float, float] = (0.4, 1.25)
    """Size of its face region."""
    mosaic_prob: float = 0.15
    """Images that are tiled with rendered images."""
    tiles: tuple[int, int] = (2, 6)
    """Tiles along a side of a mosaic."""
    empty_prob: float = 0.15
    """Images without a face."""
    people: tuple[int, int] = (1, 7)
    """Number of people in each of the other images."""
    size: tuple[float, float] = (0.03, 0.6)
    """Size of a pasted face's region, log-uniform."""
    gathering_prob: float = 0.25
    """Of these images, those with many small people."""
    gathering_people: tuple[int, int] = (6, 22)
    gathering_size: tuple[float, float] = (0.03, 0.2)
    distractors: tuple[int, int] = (0, 9)
    """Number of pasted pieces of backgrounds, textures, clothes, hair and hands."""
    texture_prob: float = 0.2
    """Backgrounds and pieces that are procedural textures."""
    bars_prob: float = 0.4
    """Images with gray bars at two sides, as of letterboxed frames."""
    min_extent: float = 0.5
    """Minimum width or height between the bars."""
    roll: float = 30.0
    """Maximum additional tilt of a pasted person, degrees."""
    turned_prob: float = 0.25
    """People who are turned by any angle instead."""
    quarter_turn_prob: float = 0.15
    """Images that are turned by 90, 180, or 270 degrees as a whole, as a camera held so would see them."""
    min_size: float = 0.04
    """Minimum size of a required face region: 5 pixels of landmarks at 192."""
    min_visible: float = 0.6
    """Minimum fraction of a required face's region inside the image."""
    augment: AugmentConfig = field(default_factory=lambda: _COMPOSITE_AUGMENT)


@dataclass(frozen=True)
class Composite:
    """An image and the faces in it."""

    image: np.ndarray
    """(S, S, 3) uint8 RGB."""
    regions: np.ndarray
    """(K, 4) float32 x, y of the center, size, and roll of each face's upright ROI: in [0, 1] of the side, radians."""
    required: np.ndarray
    """(K,) bool; False for faces that are too small or cut off to be required of a detector."""


class Compositor:
    """Composes images from a store's faces and backgrounds."""

    def __init__(self, store: SampleStore, faces: np.ndarray, backgrounds: np.ndarray, config: CompositeConfig) -> None:
        """Take indices of faces and of backgrounds in the store; ValueError if either is empty."""
        if len(faces) == 0 or len(backgrounds) == 0:
            raise ValueError(
                f"a detector needs faces and backgrounds, got {len(faces)} and {len(backgrounds)}; "
                "render more with `python -m atpn render`"
            )
        self._store, self._faces, self._backgrounds, self._config = store, faces, backgrounds, config
        self._mean_shape = compute_mean_shape(store.landmarks[faces[:MEAN_FACES]], store.scheme)
        self._texture_pool: list[np.ndarray] = []

    def compose(self, size: int, rng: np.random.Generator) -> Composite:
        """Return an image of `size` pixels, augmented and mirrored at random."""
        config, choice = self._config, rng.random()
        if choice < config.portrait_prob:
            image, placed = self._portrait(size, rng)
        elif choice < config.portrait_prob + config.mosaic_prob:
            image, placed = self._mosaic(size, rng)
        else:
            empty = choice > 1 - config.empty_prob
            crowded = rng.random() < config.gathering_prob
            people = config.gathering_people if crowded else config.people
            sizes = config.gathering_size if crowded else config.size
            image, placed = self._crowd(size, 0 if empty else int(rng.integers(*people)), sizes, rng)
        regions = np.array(placed, np.float32).reshape(-1, 5)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            regions[:, 0], regions[:, 3] = 1 - regions[:, 0], -regions[:, 3]
        if rng.random() < config.quarter_turn_prob:
            image, regions = _turned(image, regions, int(rng.integers(1, 4)))
        image, low, high = self._barred(augment(image, config.augment, rng), rng)
        visible_fraction = np.minimum(regions[:, 4], _fraction_inside(regions, low, high))
        required = (visible_fraction >= config.min_visible) & (regions[:, 2] >= config.min_size)
        visible = visible_fraction > 0
        return Composite(image, regions[visible, :4], required[visible])

    def _barred(
        self, image: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
        """Add gray bars at random; return the image and the corners of what they leave, in [0, 1]."""
        if rng.random() >= self._config.bars_prob:
            return image, (0.0, 0.0), (1.0, 1.0)
        size = image.shape[0]
        bar = round(size * (1 - rng.uniform(self._config.min_extent, 1)) / 2)
        image = image.copy()
        wide = rng.random() < 0.5
        across = image if wide else image.transpose(1, 0, 2)
        across[:bar] = across[size - bar :] = PAD_VALUE
        edge = bar / size
        return (image, (0.0, edge), (1.0, 1 - edge)) if wide else (image, (edge, 0.0), (1 - edge, 1.0))

    def _portrait(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        index, share = self._face(rng), rng.uniform(*self._config.portrait_size)
        face = ROI.from_landmarks(self._store.landmarks[index])
        side = face.size / share
        shift = rng.uniform(-0.5, 0.5, 2) * max(side - face.size, 0.4 * side)
        return self._window(index, ROI(face.cx + shift[0], face.cy + shift[1], side, self._roll(rng)), size)

    def _mosaic(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        count = int(rng.integers(*self._config.tiles, endpoint=True))
        edges = np.linspace(0, size, count + 1).round().astype(int)
        image, placed = np.empty((size, size, 3), np.uint8), []
        for top, bottom in itertools.pairwise(edges):
            for left, right in itertools.pairwise(edges):
                side = max(bottom - top, right - left)
                if rng.random() < 0.3:
                    tile, regions = self._distractor(side, rng), []
                else:
                    index = self._face(rng)
                    face = ROI.from_landmarks(self._store.landmarks[index])
                    tile, regions = self._window(
                        index, ROI(face.cx, face.cy, face.size * rng.uniform(1.0, 1.6), self._roll(rng)), side
                    )
                image[top:bottom, left:right] = tile[: bottom - top, : right - left]
                placed += _placed(regions, left / size, top / size, side / size)
        return image, placed

    def _crowd(
        self, size: int, people: int, sizes: tuple[float, float], rng: np.random.Generator
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        image, placed = self._background(size, rng), []
        shares = np.exp(rng.uniform(*np.log(sizes), people))
        places: list[tuple[bool, float]] = [(True, float(share)) for share in np.sort(shares)]
        for _ in range(int(rng.integers(*self._config.distractors))):
            share = float(np.exp(rng.uniform(*np.log(sizes))))
            places.insert(int(rng.integers(len(places) + 1)), (False, share))
        for is_face, share in places:
            window = rng.uniform(1.15, 1.6)
            side = max(4, round(share * window * size))
            center = _free_place(placed, side / size, rng)
            if center is None:
                continue
            left, top = (round(float(c) * size - side / 2) for c in center)
            if is_face:
                index = self._face(rng)
                face = ROI.from_landmarks(self._store.landmarks[index])
                patch, regions = self._window(index, ROI(face.cx, face.cy, face.size * window, self._roll(rng)), side)
                placed += _placed(regions, left / size, top / size, side / size)
            else:
                patch = self._distractor(side, rng)
            _paste(image, patch, left, top, rng)
        return image, placed

    def _window(self, index: int, window: ROI, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return a rotated square of a sample, and center, size, roll, and visible fraction of its faces' regions."""
        faces = map(window.to_crop, self._all_faces(index))
        regions = [ROI.from_landmarks(points, upright_roll(points, self._mean_shape)) for points in faces]
        image = extract_crop(self._store.image(index), window, size)
        rows = np.array([[roi.cx, roi.cy, roi.size, roi.roll] for roi in regions])
        return image, list(np.column_stack([rows, _fraction_inside(rows)]))

    def _distractor(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return a square without a face: of a background, or beside the face of a person."""
        if rng.random() < 0.5:
            index = self._face(rng)
            image = self._store.image(index)
            faces = [ROI.from_landmarks(points, margin=0.1) for points in self._all_faces(index)]
            for _ in range(8):
                side = faces[0].size * rng.uniform(0.3, 1.0)
                x, y = rng.uniform(0.3 * side, np.array(image.shape[1::-1]) - 0.3 * side)
                if all(max(abs(x - face.cx), abs(y - face.cy)) > (side + face.size) / 2 for face in faces):
                    return extract_crop(image, ROI(x, y, side, self._roll(rng)), size)
        return self._background(size, rng)

    def _background(self, size: int, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < self._config.texture_prob:
            return self._texture(size, rng)
        image = self._store.image(int(rng.choice(self._backgrounds)))
        roi = background_roi(image, rng)
        return extract_crop(image, ROI(roi.cx, roi.cy, roi.size, math.radians(rng.normal(0.0, 10.0))), size)

    def _texture(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return a part of one of `TEXTURES` textures, which are drawn once: that takes longer than all else."""
        if not self._texture_pool:
            own = np.random.default_rng(0)
            self._texture_pool = [texture(TEXTURE_SIZE, own) for _ in range(TEXTURES)]
        side = rng.uniform(0.3, 1.0) * TEXTURE_SIZE
        center = rng.uniform(side / 2, TEXTURE_SIZE - side / 2, 2)
        drawn = self._texture_pool[int(rng.integers(TEXTURES))]
        return extract_crop(drawn, ROI(*center.tolist(), side, self._roll(rng)), size)

    def _all_faces(self, index: int) -> list[np.ndarray]:
        """Return the points around all faces of a sample."""
        neighbors = self._store.neighbors(index)
        return [self._store.landmarks[index], *([] if neighbors is None else neighbors)]

    def _face(self, rng: np.random.Generator) -> int:
        return int(rng.choice(self._faces))

    def _roll(self, rng: np.random.Generator) -> float:
        most = 180.0 if rng.random() < self._config.turned_prob else self._config.roll
        return math.radians(rng.uniform(-most, most))


def _placed(regions: list[np.ndarray], left: float, top: float, side: float) -> list[np.ndarray]:
    """Convert regions of a square patch to regions of the image that it is pasted into."""
    return [region * (side, side, side, 1, 1) + (left, top, 0, 0, 0) for region in regions]


def _turned(image: np.ndarray, regions: np.ndarray, quarters: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn an image and its (K, 5) regions clockwise by quarters."""
    regions = regions.copy()
    for _ in range(quarters):
        regions[:, 0], regions[:, 1] = 1 - regions[:, 1], regions[:, 0].copy()
    regions[:, 3] = np.remainder(regions[:, 3] + quarters * math.pi / 2 + math.pi, 2 * math.pi) - math.pi
    return np.ascontiguousarray(np.rot90(image, -quarters)), regions


def _fraction_inside(
    regions: np.ndarray, low: tuple[float, float] = (0.0, 0.0), high: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Return the (K,) area fractions of (K, 3 or more) regions that lie between two corners (default: the image's)."""
    center, size = regions[:, :2], regions[:, 2:3]
    inside = np.minimum(center + size / 2, high) - np.maximum(center - size / 2, low)
    return (np.clip(inside, 0, None) / size).prod(axis=1)


def _free_place(placed: list[np.ndarray], side: float, rng: np.random.Generator) -> np.ndarray | None:
    """Return a center in [0, 1] for a square that overlaps no region, or None after a dozen tries."""
    for _ in range(12):
        center = rng.uniform(0.25 * side, 1 - 0.25 * side, 2)
        if all(np.abs(center - region[:2]).max() > (side + region[2]) / 2 for region in placed):
            return center
    return None


def _paste(image: np.ndarray, patch: np.ndarray, left: int, top: int, rng: np.random.Generator) -> None:
    """Blend a square patch in, masked by an ellipse or a rounded square."""
    side = patch.shape[0]
    axis = np.abs((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1)
    power, softness = float(rng.choice([2.0, 4.0, 16.0])), rng.uniform(0.02, 0.4)
    distance = (axis[:, None] ** power + axis[None] ** power) ** (1 / power)
    alpha = np.clip((1 - distance) / softness, 0, 1)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, image.shape[1]), min(top + side, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    target, share = image[y0:y1, x0:x1], alpha[inside][..., None]
    cv2.convertScaleAbs(patch[inside] * share + target * (1 - share), dst=target)
