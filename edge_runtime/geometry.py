"""Geometry shared by training and the device: regions of interest, THE crop rule, viewing rays, rotations.

Pixels: x right, y down, pixel centres at integers. Camera frame: x right, y down, z forward.
Crop coordinates are normalised: u in [0, 1] across the crop, and crop pixel = u * crop size - 0.5.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

ROI_MARGIN = 0.25
"""Each side of the landmarks' rectangle moves out by this share of its width or height (thesis, section 3.2)."""
DEFAULT_FOV = 60.0
"""Degrees along the longer side: typical of webcams and phones."""
MAX_OVERSAMPLING = 8
"""Samples per crop pixel and axis, at most: a face of thousands of pixels is not worth more time."""


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
        if not all(map(math.isfinite, (self.cx, self.cy, self.size, self.roll))) or self.size <= 0:
            raise ValueError(f"an ROI needs finite numbers and a positive size, got {self}")

    @staticmethod
    def from_landmarks(landmarks: np.ndarray, roll: float = 0.0, margin: float = ROI_MARGIN) -> ROI:
        """The crop rule: bounding rectangle of (N, 2) pixel landmarks, widened by `margin` per side, squared.

        The rectangle is taken in axes turned by `roll`; roll 0 is the thesis' rule exactly.
        """
        return Rectangle.around(landmarks, roll).squared(margin)

    def crop_matrix(self, crop_size: int) -> np.ndarray:
        """(2, 3) affine map from frame pixels to crop pixels."""
        scale = crop_size / self.size
        c, s = scale * math.cos(self.roll), scale * math.sin(self.roll)
        middle = (crop_size - 1) / 2
        return np.array([[c, s, middle - c * self.cx - s * self.cy], [-s, c, middle + s * self.cx - c * self.cy]])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) frame pixels to normalised crop coordinates."""
        return np.asarray((points - (self.cx, self.cy)) @ rotation_2d(-self.roll).T / self.size + 0.5)

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) normalised crop coordinates to frame pixels."""
        c, s = self.size * math.cos(self.roll), self.size * math.sin(self.roll)
        origin = self.cx - (c - s) / 2, self.cy - (s + c) / 2
        return np.asarray(points @ np.array([[c, s], [-s, c]]) + origin)

    def corners(self) -> np.ndarray:
        """(4, 2) frame pixels: the square's corners from its own top left, clockwise."""
        return self.to_frame(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))

    def iou(self, other: ROI) -> float:
        """Intersection over union with another square, rolls included."""
        area, _ = cv2.intersectConvexConvex(self.corners().astype(np.float32), other.corners().astype(np.float32))
        return float(area / (self.size**2 + other.size**2 - area))


@dataclass(frozen=True)
class Rectangle:
    """An oriented rectangle of the frame: where a face's landmarks lie."""

    cx: float
    cy: float
    width: float
    height: float
    roll: float
    """Radians, as in `ROI`."""

    @staticmethod
    def around(landmarks: np.ndarray, roll: float) -> Rectangle:
        """The smallest one, of this roll, around (N, 2) pixel landmarks."""
        upright = landmarks @ rotation_2d(-roll).T
        (x0, y0), (x1, y1) = upright.min(axis=0).tolist(), upright.max(axis=0).tolist()
        x, y, c, s = (x0 + x1) / 2, (y0 + y1) / 2, math.cos(roll), math.sin(roll)
        return Rectangle(c * x - s * y, s * x + c * y, x1 - x0, y1 - y0, roll)

    def squared(self, margin: float) -> ROI:
        """The square around the same middle, its sides the longer one's and `margin` of it at either end."""
        return ROI(self.cx, self.cy, max(self.width, self.height) * (1 + 2 * margin), self.roll)

    def fraction_inside(self, width: int, height: int) -> float:
        """Of the rectangle's area, the share within a frame of `width` x `height` pixels."""
        c, s = abs(math.cos(self.roll)) / 2, abs(math.sin(self.roll)) / 2
        reach_x, reach_y = c * self.width + s * self.height, s * self.width + c * self.height
        # Pixels reach half a pixel beyond their centres.
        if reach_x - 0.5 <= self.cx <= width - 0.5 - reach_x and reach_y - 0.5 <= self.cy <= height - 0.5 - reach_y:
            return 1.0
        frame = ((width - 1) / 2, (height - 1) / 2), (width, height), 0.0
        own = (self.cx, self.cy), (self.width, self.height), math.degrees(self.roll)
        area, _ = cv2.intersectConvexConvex(cv2.boxPoints(own), cv2.boxPoints(frame))
        return area / (self.width * self.height)


def extract_crop(image: np.ndarray, roi: ROI, crop_size: int) -> np.ndarray:
    """Cut the ROI out of an (H, W, C) uint8 image as (crop_size, crop_size, C) uint8, channel order kept.

    Bilinear, edges repeated outside the image. A crop that shrinks the image more than twofold is sampled on a k times
    finer grid and averaged in k x k blocks, so that detail does not alias.
    """
    k = min(max(1, math.ceil(roi.size / (2 * crop_size))), MAX_OVERSAMPLING)
    matrix = roi.crop_matrix(crop_size * k)
    fine = cv2.warpAffine(
        image, matrix, (crop_size * k, crop_size * k), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return fine if k == 1 else cv2.resize(fine, (crop_size, crop_size), interpolation=cv2.INTER_AREA)


def upright_roll(landmarks: np.ndarray, mean_shape: np.ndarray) -> float:
    """Radians by which (N, 2) landmarks are turned clockwise against an (N, 2) upright mean shape (least squares)."""
    # Where one of the two is centred, the other's middle drops out of the products.
    (xx, xy), (yx, yy) = (mean_shape.T @ (landmarks - landmarks.sum(axis=0) / len(landmarks))).tolist()
    return math.atan2(xy - yx, xx + yy)


def rotation_2d(angle: float) -> np.ndarray:
    """(2, 2) rotation by radians, clockwise as seen in an image (y down)."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def angles_to_matrix(angles: np.ndarray) -> np.ndarray:
    """(..., 3) pitch, yaw, roll in radians to (..., 3, 3) rotations from head to camera; signs as in `face.Pose`."""
    angles = np.asarray(angles, np.float64).T
    (cp, cy, cr), (sp, sy, sr) = np.cos(angles), np.sin(angles)
    # The nose points along -z in the head frame, so turning it to +x and -y takes negative angles about y and x:
    # Ry(-yaw) @ Rx(-pitch) @ Rz(roll), written out column by column, since a tracker needs it in every frame.
    columns = [
        [cy * cr + sy * sp * sr, cp * sr, sy * cr - cy * sp * sr],
        [sy * sp * cr - cy * sr, cp * cr, -sy * sr - cy * sp * cr],
        [-sy * cp, sp, cy * cp],
    ]
    return np.array(columns).T


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
    @functools.lru_cache(maxsize=8)
    def from_fov(width: int, height: int, fov_degrees: float = DEFAULT_FOV) -> Intrinsics:
        """A camera whose longer side sees `fov_degrees`, centred."""
        if not 0 < fov_degrees < 180:
            raise ValueError(f"the field of view must lie between 0 and 180 degrees, got {fov_degrees}")
        focal = max(width, height) / 2 / math.tan(math.radians(fov_degrees) / 2)
        return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def ray(self, x: float, y: float) -> np.ndarray:
        """(3,) unit direction of the viewing ray through a pixel, camera frame."""
        right, down = (x - self.cx) / self.fx, (y - self.cy) / self.fy
        return np.array([right, down, 1.0]) / math.hypot(right, down, 1.0)


def crop_to_camera(roi: ROI, intrinsics: Intrinsics) -> np.ndarray:
    """(3, 3) rotation from the crop's frame to the camera's.

    The network judges a head against the ray through its crop's centre and the crop's own upright axis. This is the
    smallest rotation that takes the optical axis to that ray, after the crop's roll: camera = this @ crop.
    """
    x, y, z = intrinsics.ray(roi.cx, roi.cy).tolist()
    # Rodrigues' formula for z-axis -> (x, y, z); z > 0 always, so 1 + z never vanishes.
    to_ray = np.array(
        [
            [1 - x * x / (1 + z), -x * y / (1 + z), x],
            [-x * y / (1 + z), 1 - y * y / (1 + z), y],
            [-x, -y, z],
        ]
    )
    to_ray[:, :2] = to_ray[:, :2] @ rotation_2d(roi.roll)
    return to_ray
