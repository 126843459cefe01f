"""Scenes for the tracking branch: faces in wider surroundings, and negative crops.

Rendered images end soon after the face, so repeated borders would reveal shifted crops. Faces are therefore also pasted
into backgrounds, and images cut through the face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.geometry import ROI, rotation_2d

NEGATIVE_IOU = 0.3
"""Maximum IoU of a negative crop with the face's ROI (thesis, section 3.3.2)."""


MINED = "mined"
"""Kind (`SampleStore.kinds`) of images whose middle the networks took for a face, see `train.mining`."""
MINED_WINDOW = 1.6
"""Their side, in sides of the crop that was taken for a face."""


@dataclass(frozen=True)
class SceneConfig:
    """Changes to a face's surroundings; `*_prob` are fractions of the scenes."""

    embed_prob: float = 0.55
    """Pasted into a background-only image."""
    trim_prob: float = 0.25
    """Cut so that the face lies at or over the image's edge."""
    canvas: float = 1.5
    """Side of the scene over the image's side; negatives need twice the face's size."""
    face_scale: tuple[float, float] = (0.6, 1.0)
    feather: int = 10
    """Pixels over which a pasted image fades into the background."""
    trim_depth: float = 0.15
    """Maximum depth of a cut into the ROI, in ROI sizes."""


@dataclass(frozen=True)
class NegativeConfig:
    """Kinds of the crops beside the framed face, as fractions; the rest are `negative_roi`'s."""

    background_prob: float = 0.1
    """Of an image without a face."""
    mined_prob: float = 0.2
    """Of an image that an earlier network took for a face, if there are any; else of an image without a face."""
    texture_prob: float = 0.2
    """Of a procedural texture, half of them blended with a background."""
    displaced_prob: float = 0.2
    """Of the same face at any roll, or far off in place and size. What the landmark branch reads there decides whether
    it counts as a face. Only of faces with landmarks."""
    cut_prob: float = 0.1
    """Of the same face with more than half of it beyond the image's edge. Only of faces with landmarks."""


THESIS_NEGATIVES = NegativeConfig(
    background_prob=0.2, mined_prob=0.0, texture_prob=0.0, displaced_prob=0.0, cut_prob=0.0
)
"""Only what overlaps the face by less than 0.3, and images without a face."""


def embed(
    image: np.ndarray, landmarks: np.ndarray, background: np.ndarray, config: SceneConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paste an (H, W, 3) image into a background; return the scene and the (N, 2) landmarks in it."""
    side = round(max(image.shape[:2]) * config.canvas)
    scene = cv2.resize(background, (side, side), interpolation=cv2.INTER_LINEAR)
    scale = rng.uniform(*config.face_scale)
    height, width = (round(extent * scale) for extent in image.shape[:2])
    face = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    top, left = int(rng.integers(0, side - height + 1)), int(rng.integers(0, side - width + 1))
    ramps = [np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / config.feather for n in (height, width)]
    alpha = np.clip(np.minimum(ramps[0][:, None], ramps[1][None]), 0, 1).astype(np.float32)[..., None]
    target = scene[top : top + height, left : left + width]
    target[:] = (face * alpha + target * (1 - alpha)).astype(np.uint8)
    # Pixel centers at integers: resizing maps x to (x + 0.5) * scale - 0.5.
    scales = np.array([width / image.shape[1], height / image.shape[0]])
    return scene, ((landmarks + 0.5) * scales - 0.5 + (left, top)).astype(np.float32)


def trim(
    image: np.ndarray, landmarks: np.ndarray, depth: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one or two adjacent sides off, up to `depth` of the face's ROI; return the image and the landmarks in it."""
    roi = ROI.from_landmarks(landmarks)
    height, width = image.shape[:2]
    low, high = np.array([roi.cx, roi.cy]) - roi.size / 2, np.array([roi.cx, roi.cy]) + roi.size / 2
    cuts = rng.uniform(0, depth, 2) * roi.size
    axes = (0, 1) if rng.random() < 0.4 else (int(rng.integers(2)),)
    start, stop = np.zeros(2, int), np.array([width, height])
    for axis in axes:
        if rng.random() < 0.5:
            start[axis] = int(np.clip(low[axis] + cuts[axis], 0, stop[axis] - 2))
        else:
            stop[axis] = int(np.clip(high[axis] - cuts[axis], 2, stop[axis]))
    return image[start[1] : stop[1], start[0] : stop[0]], (landmarks - start).astype(np.float32)


def cut(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut 55 to 90 % of the landmarks' rectangle off at one side; return the image and the landmarks in it."""
    axis, fraction = int(rng.integers(2)), rng.uniform(0.55, 0.9)
    low, high = landmarks[:, axis].min(), landmarks[:, axis].max()
    extent = image.shape[1 - axis]
    start, stop = 0, extent
    if rng.random() < 0.5:
        start = int(np.clip(low + fraction * (high - low), 0, extent - 2))
    else:
        stop = int(np.clip(high - fraction * (high - low), 2, extent))
    rest = image[:, start:stop] if axis == 0 else image[start:stop]
    return rest, (landmarks - np.where(np.arange(2) == axis, start, 0)).astype(np.float32)


def make_scene(
    image: np.ndarray,
    landmarks: np.ndarray,
    background: np.ndarray | None,
    config: SceneConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image unchanged, trimmed, or (given a background) embedded, with its (N, 2) landmarks."""
    choice = rng.random()
    if choice < config.embed_prob:
        return (image, landmarks) if background is None else embed(image, landmarks, background, config, rng)
    if choice < config.embed_prob + config.trim_prob:
        return trim(image, landmarks, config.trim_depth, rng)
    return image, landmarks


def negative_roi(face: ROI, rng: np.random.Generator, others: Sequence[ROI] = ()) -> ROI:
    """Return a square with IoU < 0.3 to the face's: beside it, a part of it, or far wider.

    Such crops occur when a tracker loses a face. The other faces are avoided as far as 50 tries allow.
    """
    tries = 0
    kind = rng.random()
    roll = face.roll + math.radians(rng.normal(0.0, 20.0))
    reach = 0.5
    while True:
        if kind < 0.5:
            size = face.size * math.exp(rng.normal(0.0, 0.2))
            angle = rng.uniform(0.0, 2 * math.pi)
            offset = face.size * rng.uniform(reach, reach + 0.6) * np.array([math.cos(angle), math.sin(angle)])
            reach += 0.05  # a larger or turned square needs more distance
        elif kind < 0.75:
            size = face.size * rng.uniform(0.2, 0.5)
            offset = rotation_2d(face.roll) @ rng.uniform(-0.35, 0.35, 2) * face.size
        else:
            size = face.size * rng.uniform(1.9, 3.2)
            offset = rng.uniform(-0.3, 0.3, 2) * size
        roi = ROI(face.cx + float(offset[0]), face.cy + float(offset[1]), size, roll)
        tries += 1
        if roi.iou(face) < NEGATIVE_IOU and (tries > 50 or all(roi.iou(other) < NEGATIVE_IOU for other in others)):
            return roi


def displaced_roi(landmarks: np.ndarray, upright: float, rng: np.random.Generator) -> ROI:
    """Return a ROI around (N, 2) landmarks that is turned (at any roll), or shifted, or of another size.

    Such crops occur when a detector finds a tilted face, and when a track drifts. `upright` is its roll, radians.
    """
    kind = rng.random()
    turn = rng.uniform(-math.pi, math.pi) if kind < 0.6 else math.radians(rng.normal(0.0, 8.0))
    roi = ROI.from_landmarks(landmarks, upright + turn)
    distance = rng.uniform(0.2, 0.5) if 0.6 <= kind < 0.85 else abs(rng.normal(0.0, 0.05))
    scale = rng.uniform(0.5, 2.2) if kind >= 0.85 else math.exp(rng.normal(0.0, 0.1))
    angle = rng.uniform(0.0, 2 * math.pi)
    x, y = distance * roi.size * math.cos(angle), distance * roi.size * math.sin(angle)
    return ROI(roi.cx + x, roi.cy + y, roi.size * scale, roi.roll)


def mined_roi(image: np.ndarray, rng: np.random.Generator) -> ROI:
    """Return about the square of a mined image that was taken for a face."""
    middle, size = (np.array(image.shape[1::-1]) - 1) / 2, max(image.shape[:2]) / MINED_WINDOW
    x, y = middle + rng.normal(0.0, 0.06, 2) * size
    turn = rng.uniform(-math.pi, math.pi) if rng.random() < 0.2 else math.radians(rng.normal(0.0, 10.0))
    return ROI(float(x), float(y), size * math.exp(rng.normal(0.0, 0.12)), turn)


def background_roi(image: np.ndarray, rng: np.random.Generator) -> ROI:
    """Return a random square inside an image without a face, a quarter of it to all of it, at any roll."""
    height, width = image.shape[:2]
    size = min(height, width) * rng.uniform(0.25, 1.0)
    x, y = (float(rng.uniform(size / 2, max(extent - size / 2, size / 2))) for extent in (width, height))
    return ROI(x, y, size, float(rng.uniform(-math.pi, math.pi)))
