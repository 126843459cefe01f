"""Geometry shared by training and the device: regions of interest, THE crop rule, viewing rays, rotations.

Pixels: x right, y down, pixel centres at integers. Camera frame: x right, y down, z forward.
Crop coordinates are normalised: u in [0, 1] across the crop, and crop pixel = u * crop size - 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

ROI_MARGIN = 0.25
"""Each side of the landmarks' rectangle moves out by this share of its width or height (thesis, section 3.2)."""
DEFAULT_FOV = 60.0
"""Degrees along the longer side: typical of webcams and phones."""


@dataclass(frozen=True)
class ROI:
    """An oriented square of the frame: what the network gets to see."""

    cx: float
    cy: float
    size: float
    """Side in pixels."""
    roll: float = 0.0
    """Radians; the square's upright axis turned clockwise as seen in the image."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.cx, self.cy, self.size, self.roll)) or self.size <= 0:
            raise ValueError(f"an ROI needs finite numbers and a positive size, got {self}")

    @staticmethod
    def from_landmarks(landmarks: np.ndarray, roll: float = 0.0, margin: float = ROI_MARGIN) -> ROI:
        """The crop rule: bounding rectangle of (N, 2) pixel landmarks, widened by `margin` per side, squared.

        The rectangle is taken in axes turned by `roll`; roll 0 is the thesis' rule exactly.
        """
        upright = landmarks @ rotation_2d(-roll).T
        low, high = upright.min(axis=0), upright.max(axis=0)
        cx, cy = rotation_2d(roll) @ ((low + high) / 2)
        return ROI(float(cx), float(cy), float((high - low).max() * (1 + 2 * margin)), roll)

    def crop_matrix(self, crop_size: int) -> np.ndarray:
        """(2, 3) affine map from frame pixels to crop pixels."""
        scale = crop_size / self.size
        linear = scale * rotation_2d(-self.roll)
        offset = (crop_size - 1) / 2 - linear @ (self.cx, self.cy)
        return np.column_stack([linear, offset])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) frame pixels to normalised crop coordinates."""
        return np.asarray((points - (self.cx, self.cy)) @ rotation_2d(-self.roll).T / self.size + 0.5)

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) normalised crop coordinates to frame pixels."""
        return np.asarray((points - 0.5) * self.size @ rotation_2d(self.roll).T + (self.cx, self.cy))

    def corners(self) -> np.ndarray:
        """(4, 2) frame pixels: the square's corners from its own top left, clockwise."""
        return self.to_frame(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))

    def iou(self, other: ROI) -> float:
        """Intersection over union with another square, rolls included."""
        area, _ = cv2.intersectConvexConvex(self.corners().astype(np.float32), other.corners().astype(np.float32))
        return float(area / (self.size**2 + other.size**2 - area))


def extract_crop(image: np.ndarray, roi: ROI, crop_size: int) -> np.ndarray:
    """Cut the ROI out of an (H, W, C) uint8 image as (crop_size, crop_size, C) uint8, channel order kept.

    Bilinear, edges repeated outside the image. A crop that shrinks the image more than twofold is sampled on a k times
    finer grid and averaged in k x k blocks, so that detail does not alias.
    """
    k = min(max(1, math.ceil(roi.size / (2 * crop_size))), 8)
    matrix = roi.crop_matrix(crop_size * k)
    fine = cv2.warpAffine(
        image, matrix, (crop_size * k, crop_size * k), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return fine if k == 1 else cv2.resize(fine, (crop_size, crop_size), interpolation=cv2.INTER_AREA)


def upright_roll(landmarks: np.ndarray, mean_shape: np.ndarray) -> float:
    """Radians by which (N, 2) landmarks are turned clockwise against an (N, 2) upright mean shape (least squares)."""
    a = mean_shape - mean_shape.mean(axis=0)
    b = landmarks - landmarks.mean(axis=0)
    return math.atan2(float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()), float((a * b).sum()))


def rotation_2d(angle: float) -> np.ndarray:
    """(2, 2) rotation by radians, clockwise as seen in an image (y down)."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def angles_to_matrix(angles: np.ndarray) -> np.ndarray:
    """(..., 3) pitch, yaw, roll in radians to (..., 3, 3) rotations from head to camera; signs as in `face.Pose`."""
    pitch, yaw, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    # The nose points along -z in the head frame, so turning it to +x and -y takes negative angles about y and x.
    return np.asarray(_rotation(1, -yaw) @ _rotation(0, -pitch) @ _rotation(2, roll))


def matrix_to_angles(matrix: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations from head to camera to (..., 3) pitch, yaw, roll in radians.

    The one place where angles come from a matrix. Pitch lies in [-pi/2, pi/2]; at its ends (gimbal lock) roll is 0.
    """
    m = np.asarray(matrix, np.float64)
    pitch = np.arcsin(np.clip(m[..., 1, 2], -1.0, 1.0))
    locked = np.abs(m[..., 1, 2]) > 1.0 - 1e-9
    yaw = np.where(locked, np.arctan2(m[..., 2, 0], m[..., 0, 0]), np.arctan2(-m[..., 0, 2], m[..., 2, 2]))
    roll = np.where(locked, 0.0, np.arctan2(m[..., 1, 0], m[..., 1, 1]))
    return np.stack([pitch, yaw, roll], axis=-1)


def _rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    """(...) radians to (..., 3, 3) right-handed rotations about one coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*np.shape(angle), 3, 3))
    matrix[..., axis, axis] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = np.cos(angle)
    matrix[..., i, j] = -np.sin(angle)
    matrix[..., j, i] = np.sin(angle)
    return matrix


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)) or min(self.fx, self.fy) <= 0:
            raise ValueError(f"intrinsics need finite numbers and positive focal lengths, got {self}")

    @staticmethod
    def from_fov(width: int, height: int, fov_degrees: float = DEFAULT_FOV) -> Intrinsics:
        """A camera whose longer side sees `fov_degrees`, centred."""
        if not 0 < fov_degrees < 180:
            raise ValueError(f"the field of view must lie between 0 and 180 degrees, got {fov_degrees}")
        focal = max(width, height) / 2 / math.tan(math.radians(fov_degrees) / 2)
        return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def ray(self, x: float, y: float) -> np.ndarray:
        """(3,) unit direction of the viewing ray through a pixel, camera frame."""
        direction = np.array([(x - self.cx) / self.fx, (y - self.cy) / self.fy, 1.0])
        return np.asarray(direction / np.linalg.norm(direction))


def crop_to_camera(roi: ROI, intrinsics: Intrinsics) -> np.ndarray:
    """(3, 3) rotation from the crop's frame to the camera's.

    The network judges a head against the ray through its crop's centre and the crop's own upright axis. This is the
    smallest rotation that takes the optical axis to that ray, after the crop's roll: camera = this @ crop.
    """
    x, y, z = intrinsics.ray(roi.cx, roi.cy)
    # Rodrigues' formula for z-axis -> (x, y, z); z > 0 always, so 1 + z never vanishes.
    to_ray = np.array(
        [
            [1 - x * x / (1 + z), -x * y / (1 + z), x],
            [-x * y / (1 + z), 1 - y * y / (1 + z), y],
            [-x, -y, z],
        ]
    )
    return np.asarray(to_ray @ _rotation(2, np.array(roi.roll)))
