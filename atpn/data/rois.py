"""ROIs in batches: the crop rule, its jitter, and labels in the crops' frames.

Vectorized versions of `crops.jittered_roi` and `crops.cut_crop`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.data.crops import JitterConfig, mirrored_rotation
from edge_runtime.geometry import MAX_OVERSAMPLING, ROI_MARGIN, matrix_to_angles


@dataclass(frozen=True)
class ROIs:
    """A batch of `edge_runtime.geometry.ROI`: (B,) float64 arrays of the same meaning and unit."""

    cx: np.ndarray
    cy: np.ndarray
    size: np.ndarray
    roll: np.ndarray

    @staticmethod
    def from_landmarks(landmarks: np.ndarray, roll: np.ndarray, margin: float = ROI_MARGIN) -> ROIs:
        """Apply the crop rule to (B, N, 2) pixel landmarks, along axes rotated by (B,) radians."""
        upright = _turned(landmarks[..., 0], landmarks[..., 1], -roll[:, None])
        low, high = upright.min(axis=2), upright.max(axis=2)  # (2, B)
        cx, cy = _turned(*(low + high) / 2, roll)
        return ROIs(cx, cy, (high - low).max(axis=0) * (1 + 2 * margin), roll)

    def __getitem__(self, rows: np.ndarray) -> ROIs:
        return ROIs(self.cx[rows], self.cy[rows], self.size[rows], self.roll[rows])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Convert (B, N, 2) frame pixels to normalized crop coordinates."""
        x, y = points[..., 0] - self.cx[:, None], points[..., 1] - self.cy[:, None]
        return np.stack(_turned(x, y, -self.roll[:, None]) / self.size[:, None] + 0.5, axis=-1)

    def frame_matrices(self, crop_size: int, flipped: np.ndarray) -> np.ndarray:
        """Return (B, 2, 3) affine maps from crop pixels to frame pixels; a flipped crop is mirrored left to right."""
        scale = self.size / crop_size
        c, s = scale * np.cos(self.roll), scale * np.sin(self.roll)
        middle = (crop_size - 1) / 2
        # Mirroring about the crop's middle turns its horizontal axis around.
        across = np.where(flipped, -1.0, 1.0)
        rows = [
            [c * across, -s, self.cx - c * across * middle + s * middle],
            [s * across, c, self.cy - s * across * middle - c * middle],
        ]
        return np.array(rows).transpose(2, 0, 1)

    def oversampling(self, crop_size: int) -> np.ndarray:
        """Return the (B,) number of samples per crop pixel and axis that `extract_crop` averages."""
        return np.clip(np.ceil(self.size / (2 * crop_size)), 1, MAX_OVERSAMPLING).astype(int)

    def to_camera(self, intrinsics: np.ndarray) -> np.ndarray:
        """Return (B, 3, 3) rotations from the crops' frames to the cameras' (see `geometry.crop_to_camera`).

        `intrinsics` is (B, 4): fx, fy, cx, cy.
        """
        fx, fy, cx, cy = intrinsics.T
        x, y, z = (self.cx - cx) / fx, (self.cy - cy) / fy, np.ones_like(self.cx)
        x, y, z = np.stack([x, y, z]) / np.sqrt(x**2 + y**2 + 1)
        columns = np.array([[1 - x * x / (1 + z), -x * y / (1 + z), -x], [-x * y / (1 + z), 1 - y * y / (1 + z), -y]])
        c, s = np.cos(self.roll), np.sin(self.roll)
        turned = [c * columns[0] + s * columns[1], c * columns[1] - s * columns[0], [x, y, z]]
        return np.array(turned).transpose(2, 1, 0)


def jittered_rois(
    landmarks: np.ndarray, upright_roll: np.ndarray, jitter: JitterConfig, rng: np.random.Generator
) -> ROIs:
    """Return ROIs with random errors in roll, center and size, distributed as those of `crops.jittered_roi`.

    `landmarks` is (B, N, 2) pixels, all known (see `crops.filled`); `upright_roll` is (B,) radians.
    """
    count = len(landmarks)
    wide = rng.random(count) < jitter.wide_roll_prob
    error = np.where(
        wide,
        rng.uniform(-jitter.wide_roll, jitter.wide_roll, count),
        rng.normal(0.0, jitter.roll_sigma, count),
    )
    turned = rng.uniform(-jitter.rotation, jitter.rotation, count)
    unrolled = rng.random(count) < jitter.unrolled_prob
    rois = ROIs.from_landmarks(landmarks, np.where(unrolled, np.radians(turned), upright_roll + np.radians(error)))
    scale = np.exp(np.clip(rng.normal(0.0, jitter.scale_sigma, count), -jitter.scale_limit, jitter.scale_limit))
    x, y = _turned(*rng.normal(0.0, jitter.center_sigma, (2, count)), rois.roll) * rois.size
    return ROIs(rois.cx + x, rois.cy + y, rois.size * scale, rois.roll)


def background_rois(image_sizes: np.ndarray, rng: np.random.Generator) -> ROIs:
    """Return a random square inside each image, as `scenes.background_roi`; `image_sizes` is (B, 2) height, width."""
    size = image_sizes.min(axis=1) * rng.uniform(0.25, 1.0, len(image_sizes))
    cy, cx = (rng.uniform(size / 2, np.maximum(extent - size / 2, size / 2)) for extent in image_sizes.T)
    return ROIs(cx, cy, size, rng.uniform(-np.pi, np.pi, len(image_sizes)))


def crop_landmarks(landmarks: np.ndarray, rois: ROIs, flipped: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return (B, N, 2) float32 labels in crop coordinates (NaN stays); `mirror` reorders a flipped crop's landmarks."""
    placed = rois.to_crop(landmarks)
    mirrored = placed[:, mirror] * (-1, 1) + (1, 0)
    return np.where(flipped[:, None, None], mirrored, placed).astype(np.float32)


def crop_poses(rotation: np.ndarray, rois: ROIs, intrinsics: np.ndarray, flipped: np.ndarray) -> np.ndarray:
    """Convert (B, 3, 3) head-to-camera rotations to (B, 3) float32 pitch, yaw, roll in radians in the crops' frames.

    NaN rotations give NaN. `intrinsics` as in `ROIs.to_camera`.
    """
    own = rois.to_camera(intrinsics).transpose(0, 2, 1) @ rotation
    return matrix_to_angles(np.where(flipped[:, None, None], mirrored_rotation(own), own)).astype(np.float32)


def _turned(x: np.ndarray, y: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return (2, ...) points rotated clockwise (y down) by radians."""
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * x - s * y, s * x + c * y])
