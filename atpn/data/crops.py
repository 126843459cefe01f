"""Training crops from labeled images: the crop rule of the runtime with random errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from atpn.data.sample import Sample
from edge_runtime.expressions import EXPRESSION_MIRROR
from edge_runtime.gaze import gaze_angles, gaze_directions
from edge_runtime.geometry import (
    ROI,
    Intrinsics,
    crop_to_camera,
    extract_crop,
    matrix_to_angles,
    rotation_2d,
    upright_roll,
)
from edge_runtime.landmarks import LandmarkScheme


@dataclass(frozen=True)
class JitterConfig:
    """Random errors of a training ROI against the crop rule, as motion and detectors cause them on the device."""

    center_sigma: float = 0.05
    """In ROI sizes: a quick head moves a tenth of its size between frames."""
    scale_sigma: float = 0.10
    """Of the size's logarithm: detectors' boxes differ from landmarks' rectangles by about this."""
    scale_limit: float = 0.25
    """Maximum change of the size's logarithm; beyond it the face is cut off or tiny."""
    roll_sigma: float = 8.0
    """Degrees: the usual error of a roll estimated one frame ago."""
    wide_roll_prob: float = 0.3
    """Probability of a uniform roll error instead: a tilted head that is not tracked yet."""
    wide_roll: float = 45.0
    """Limit of the uniform roll error, degrees."""
    unrolled_prob: float = 0.2
    """Probability of roll 0: the thesis' rule, and a detector's first frame."""
    flip_prob: float = 0.5
    rotation: float = 0.0
    """Limit of a uniform rotation, degrees, of the crops at roll 0."""


NO_JITTER = JitterConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""The crop rule without errors, upright, for validation."""


@dataclass(frozen=True)
class Crop:
    """One training example."""

    image: np.ndarray
    """(S, S, 3) uint8 RGB."""
    landmarks: np.ndarray
    """(N, 2) float32 in crop coordinates: 0 to 1 across the crop, outside it for points beyond."""
    pose: np.ndarray
    """(3,) float32 pitch, yaw, roll in radians, in the crop's frame; NaN if unknown."""
    roi: ROI
    """Place of the crop in the sample's image, before mirroring."""
    flipped: bool = False
    """Whether image and labels are mirrored left to right."""
    expressions: np.ndarray | None = None
    """(52,) float32 ARKit coefficients; None if unknown."""
    gaze: np.ndarray | None = None
    """(2, 2) float32 yaw and pitch, radians, of the subject's left and right eye in the crop's frame; None if
    unknown."""
    dense: np.ndarray | None = None
    """(P, 2) float32 dense points in crop coordinates. In a mirrored crop each is the mirror image: what was at (x, y)
    of the mean-face plane is at (1 - x, y)."""


def compute_mean_shape(landmarks: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    """Return the (N, 2) upright, symmetric mean of (n, N, 2) faces, in crop coordinates.

    Faces are averaged inside their ROIs, then the mean with its mirror image. A second round uses ROIs at the roll that
    the first mean gives.
    """
    rolls = [0.0] * len(landmarks)
    for _ in range(2):
        shapes = [ROI.from_landmarks(face, roll).to_crop(face) for face, roll in zip(landmarks, rolls, strict=True)]
        mean = np.mean(shapes, axis=0)
        mirrored = np.column_stack([1 - mean[:, 0], mean[:, 1]])[scheme.mirror]
        mean = (mean + mirrored) / 2
        rolls = [upright_roll(face, mean) for face in landmarks]
    return mean.astype(np.float32)


def filled(landmarks: np.ndarray, mean_shape: np.ndarray) -> np.ndarray:
    """Fill unknown (NaN) landmarks of (N, 2) pixels with the mean shape, fitted to the known ones."""
    known = ~np.isnan(landmarks).any(axis=1)
    if known.all():
        return landmarks
    center, mean_center = landmarks[known].mean(axis=0), mean_shape[known].mean(axis=0)
    to, source = landmarks[known] - center, mean_shape[known] - mean_center
    size = np.sqrt((to**2).sum() / (source**2).sum())
    turn = rotation_2d(upright_roll(landmarks[known], source))
    return np.where(known[:, None], landmarks, size * (mean_shape - mean_center) @ turn.T + center).astype(np.float32)


def jittered_roi(landmarks: np.ndarray, mean_shape: np.ndarray, jitter: JitterConfig, rng: np.random.Generator) -> ROI:
    """Return the crop rule's ROI for (N, 2) pixel landmarks (NaN: unknown) with random roll, center and size errors."""
    landmarks = filled(landmarks, mean_shape)
    roll = 0.0
    if rng.random() >= jitter.unrolled_prob:
        if rng.random() < jitter.wide_roll_prob:
            error = rng.uniform(-jitter.wide_roll, jitter.wide_roll)
        else:
            error = rng.normal(0.0, jitter.roll_sigma)
        roll = upright_roll(landmarks, mean_shape) + math.radians(error)
    elif jitter.rotation:
        roll = math.radians(rng.uniform(-jitter.rotation, jitter.rotation))
    roi = ROI.from_landmarks(landmarks, roll)
    scale = math.exp(float(np.clip(rng.normal(0.0, jitter.scale_sigma), -jitter.scale_limit, jitter.scale_limit)))
    shift = rotation_2d(roll) @ rng.normal(0.0, jitter.center_sigma, 2) * roi.size
    return ROI(roi.cx + float(shift[0]), roi.cy + float(shift[1]), roi.size * scale, roll)


def cut_crop(sample: Sample, roi: ROI, crop_size: int, flip: bool = False) -> Crop:
    """Cut one labeled crop; `flip` mirrors it left to right, with all its labels.

    Unknown intrinsics are replaced by the runtime's default camera. ValueError for a sample without a face.
    """
    if sample.landmarks is None:
        raise ValueError(f"sample {sample.key!r} has no landmarks, so it cannot become a face crop")
    image = extract_crop(sample.image, roi, crop_size)
    landmarks = roi.to_crop(sample.landmarks)
    pose = np.full(3, np.nan)
    height, width = sample.image.shape[:2]
    to_crop = crop_to_camera(roi, sample.intrinsics or Intrinsics.from_fov(width, height)).T
    if sample.rotation is not None:
        rotation = to_crop @ sample.rotation
        pose = matrix_to_angles(mirrored_rotation(rotation) if flip else rotation)
    if flip:
        image = np.ascontiguousarray(image[:, ::-1])
        landmarks = np.column_stack([1 - landmarks[:, 0], landmarks[:, 1]])[sample.scheme.mirror]
    dense = None if sample.dense is None else roi.to_crop(sample.dense).astype(np.float32)
    if dense is not None and flip:
        dense[:, 0] = 1 - dense[:, 0]
    expressions, gaze = sample.expressions, None
    if expressions is not None and flip:
        expressions = expressions[list(EXPRESSION_MIRROR)]
    if sample.gaze is not None:
        gaze = gaze_angles(gaze_directions(sample.gaze) @ to_crop.T).astype(np.float32)
        if flip:
            gaze = gaze[::-1] * np.float32([-1, 1])
    labels = landmarks.astype(np.float32), pose.astype(np.float32)
    return Crop(image, *labels, roi, flip, expressions, gaze, dense)


def mirrored_rotation(rotation: np.ndarray) -> np.ndarray:
    """Return the (..., 3, 3) rotation of the mirrored head: M R M with M = diag(-1, 1, 1)."""
    return rotation * np.array([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])


def random_crop(
    sample: Sample, mean_shape: np.ndarray, crop_size: int, jitter: JitterConfig, rng: np.random.Generator
) -> Crop:
    """Return a jittered, randomly mirrored crop of the sample's face."""
    if sample.landmarks is None:
        raise ValueError(f"sample {sample.key!r} has no landmarks, so it cannot become a face crop")
    roi = jittered_roi(sample.landmarks, mean_shape, jitter, rng)
    return cut_crop(sample, roi, crop_size, flip=bool(rng.random() < jitter.flip_prob))
