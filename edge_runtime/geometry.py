"""Geometry shared by training and the runtime: regions of interest, the crop rule, viewing rays, rotations.

Pixels: x right, y down, pixel centers at integers. Camera frame: x right, y down, z forward.
Crop coordinates are normalized: u in [0, 1] across the crop, and crop pixel = u * crop size - 0.5.
"""

from __future__ import annotations

import cmath
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from edge_runtime.rotation import Rows

ROI_MARGIN = 0.25
"""Margin added to each side of the landmarks' rectangle, as a fraction of its width or height (thesis, section 3.2)."""
DEFAULT_FOV = 60.0
"""Field of view along the longer side, degrees: typical of webcams and phones."""
MAX_OVERSAMPLING = 8
"""Maximum number of samples per crop pixel and axis; bounds the cost of very large faces."""


@dataclass(frozen=True)
class ROI:
    """Region of interest: an oriented square of the frame, the input of the network."""

    cx: float
    cy: float
    size: float
    """Side in pixels."""
    roll: float = 0.0
    """Radians, clockwise in the image."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.cx, self.cy, self.size, self.roll))) or self.size <= 0:
            raise ValueError(f"an ROI needs finite numbers and a positive size, got {self}")

    @staticmethod
    def from_landmarks(landmarks: np.ndarray, roll: float = 0.0, margin: float = ROI_MARGIN) -> ROI:
        """Apply the crop rule: the bounding rectangle of (N, 2) pixel landmarks, widened by `margin` per side, squared.

        The rectangle's axes are rotated by `roll` (radians); roll 0 is the thesis' rule.
        """
        return Rectangle.around(landmarks, roll).squared(margin)

    def crop_matrix(self, crop_size: int) -> np.ndarray:
        """Return the (2, 3) affine matrix from frame pixels to crop pixels."""
        scale = crop_size / self.size
        c, s = scale * math.cos(self.roll), scale * math.sin(self.roll)
        center = (crop_size - 1) / 2
        return np.array([[c, s, center - c * self.cx - s * self.cy], [-s, c, center + s * self.cx - c * self.cy]])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Convert (..., 2) frame pixels to normalized crop coordinates."""
        return np.asarray((points - (self.cx, self.cy)) @ rotation_2d(-self.roll).T / self.size + 0.5)

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """Convert (..., 2) normalized crop coordinates to frame pixels."""
        turn = cmath.rect(self.size, self.roll)
        origin = complex(self.cx, self.cy) - turn * (0.5 + 0.5j)
        return (as_complex(points) * turn + origin).view(np.float64)

    def corners(self) -> np.ndarray:
        """Return the (4, 2) corners in frame pixels, clockwise from the square's own top left."""
        return self.to_frame(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))

    def iou(self, other: ROI) -> float:
        """Return the intersection over union with another ROI of any roll."""
        # In this square's own coordinates. OpenCV's intersection is wrong by half for squares that nearly coincide.
        polygon = self.to_crop(other.corners()).tolist()
        for axis in (0, 1):
            polygon = _clipped(_clipped(polygon, axis, 0.0, 1.0), axis, 1.0, -1.0)
        area = self.size**2 * _area(polygon)
        return area / (self.size**2 + other.size**2 - area)


def _clipped(polygon: list[list[float]], axis: int, limit: float, sign: float) -> list[list[float]]:
    """Return the corners of the part of a convex polygon where sign * (coordinate - limit) is positive."""
    kept = []
    for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        before, after = sign * (start[axis] - limit), sign * (end[axis] - limit)
        if before >= 0:
            kept.append(start)
        if before * after < 0:
            part = before / (before - after)
            kept.append([s + part * (e - s) for s, e in zip(start, end, strict=True)])
    return kept


def _area(polygon: list[list[float]]) -> float:
    following = polygon[1:] + polygon[:1]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(polygon, following, strict=True))) / 2


@dataclass(frozen=True)
class Rectangle:
    """Oriented bounding rectangle of landmarks, frame pixels."""

    cx: float
    cy: float
    width: float
    height: float
    roll: float
    """Radians, as in `ROI`."""

    @staticmethod
    def around(landmarks: np.ndarray, roll: float) -> Rectangle:
        """Return the smallest rectangle of this roll around (N, 2) pixel landmarks."""
        c, s = math.cos(roll), math.sin(roll)
        upright = (as_complex(landmarks) * complex(c, -s)).view(np.float64)
        # OpenCV takes two thirds of numpy's time for so few points.
        ((x0, y0),) = cv2.reduce(upright, 0, cv2.REDUCE_MIN).tolist()
        ((x1, y1),) = cv2.reduce(upright, 0, cv2.REDUCE_MAX).tolist()
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        return Rectangle(c * x - s * y, s * x + c * y, x1 - x0, y1 - y0, roll)

    def squared(self, margin: float) -> ROI:
        """Return the square of the same center whose side is the longer one, widened by `margin` at each end."""
        return ROI(self.cx, self.cy, max(self.width, self.height) * (1 + 2 * margin), self.roll)

    def fraction_inside(self, width: int, height: int) -> float:
        """Return the fraction of the area that lies inside a frame of `width` x `height` pixels."""
        c, s = abs(math.cos(self.roll)) / 2, abs(math.sin(self.roll)) / 2
        half_x, half_y = c * self.width + s * self.height, s * self.width + c * self.height
        # Pixels extend half a pixel beyond their centers.
        if half_x - 0.5 <= self.cx <= width - 0.5 - half_x and half_y - 0.5 <= self.cy <= height - 0.5 - half_y:
            return 1.0
        frame = ((width - 1) / 2, (height - 1) / 2), (width, height), 0.0
        own = (self.cx, self.cy), (self.width, self.height), math.degrees(self.roll)
        area, _ = cv2.intersectConvexConvex(cv2.boxPoints(own), cv2.boxPoints(frame))
        return area / (self.width * self.height)


def extract_crop(image: np.ndarray, roi: ROI, crop_size: int) -> np.ndarray:
    """Crop an (H, W, C) uint8 image to the ROI, (crop_size, crop_size, C) uint8, in the same channel order.

    Interpolation is bilinear; border pixels are replicated. If the crop shrinks the image more than twofold, it is
    sampled on a k times finer grid and averaged in k x k blocks, to avoid aliasing.
    """
    k = min(max(1, math.ceil(roi.size / (2 * crop_size))), MAX_OVERSAMPLING)
    matrix = roi.crop_matrix(crop_size * k)
    fine = cv2.warpAffine(
        image, matrix, (crop_size * k, crop_size * k), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return fine if k == 1 else cv2.resize(fine, (crop_size, crop_size), interpolation=cv2.INTER_AREA)


def as_complex(points: np.ndarray) -> np.ndarray:
    """Return (..., 2) points as (..., 1) complex numbers x + iy. A turn clockwise is then a product: y points down."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128)


def upright_roll(landmarks: np.ndarray, mean_shape: np.ndarray) -> float:
    """Return the clockwise rotation of (N, 2) landmarks against an upright mean shape, radians (least squares)."""
    return roll_against(landmarks, centered(mean_shape))


def centered(shape: np.ndarray) -> np.ndarray:
    """Return (N, 2) points less their mean, as (N, 1) complex numbers."""
    points = as_complex(shape)
    return np.asarray(points - points.sum() / len(points))


def roll_against(landmarks: np.ndarray, centered_shape: np.ndarray) -> float:
    """Return `upright_roll` against the result of `centered`, which a tracker computes once."""
    # Centering one of the two is enough: the other's mean cancels in the products.
    return cmath.phase(np.vdot(centered_shape, as_complex(landmarks)))


def rotation_2d(angle: float) -> np.ndarray:
    """Return the (2, 2) rotation by `angle` radians, clockwise in the image (y down)."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def angles_to_matrix(angles: np.ndarray) -> np.ndarray:
    """Convert (..., 3) pitch, yaw, roll in radians to (..., 3, 3) rotations, head to camera; see `face.Pose`."""
    angles = np.asarray(angles, np.float64).T
    return np.array(_head_rows(np.cos(angles), np.sin(angles))).T.swapaxes(-1, -2)


def head_rotation(pitch: float, yaw: float, roll: float) -> Rows:
    """Return the rows of one rotation of `angles_to_matrix`, in plain floats for speed."""
    cosines = math.cos(pitch), math.cos(yaw), math.cos(roll)
    return _head_rows(cosines, (math.sin(pitch), math.sin(yaw), math.sin(roll)))


def _head_rows(cosines: Sequence[Any] | np.ndarray, sines: Sequence[Any] | np.ndarray) -> list[list[Any]]:
    """Return the rows of rotations by pitch, yaw, and roll, numbers or arrays, of which these are cosines and sines."""
    (cp, cy, cr), (sp, sy, sr) = cosines, sines
    # The nose points along -z in the head frame, so turning it to +x and -y takes negative angles about y and x:
    # Ry(-yaw) @ Rx(-pitch) @ Rz(roll), written out for speed.
    return [
        [cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, -sy * cp],
        [cp * sr, cp * cr, sp],
        [sy * cr - cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp],
    ]


def matrix_to_angles(matrix: np.ndarray) -> np.ndarray:
    """Convert (..., 3, 3) rotations, head to camera, to (..., 3) pitch, yaw, roll in radians.

    Pitch lies in [-pi/2, pi/2]; at its limits (gimbal lock), roll is 0.
    """
    m = np.asarray(matrix, np.float64)
    pitch = np.arcsin(np.clip(m[..., 1, 2], -1.0, 1.0))
    locked = np.abs(m[..., 1, 2]) > 1.0 - 1e-9
    yaw = np.where(locked, np.arctan2(m[..., 2, 0], m[..., 0, 0]), np.arctan2(-m[..., 0, 2], m[..., 2, 2]))
    roll = np.where(locked, 0.0, np.arctan2(m[..., 1, 0], m[..., 1, 1]))
    return np.stack([pitch, yaw, roll], axis=-1)


def check_field_of_view(degrees: float, name: str = "the field of view") -> None:
    """Raise ValueError for a field of view that no camera has; a telescope's may be a tenth of a degree."""
    least, most = 0.1, 179.0  # the focal length stays a sensible number
    if not least <= degrees <= most:
        raise ValueError(f"{name} must lie between {least} and {most} degrees, got {degrees}")


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera: focal lengths and principal point in pixels."""

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
        """Return a centered camera with this field of view along the longer side."""
        check_field_of_view(fov_degrees)
        focal = max(width, height) / 2 / math.tan(math.radians(fov_degrees) / 2)
        return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def at(self, width: int, height: int) -> Intrinsics:
        """Return itself: the frames are those that it was made for. See `Camera.at`."""
        return self

    def ray(self, x: float, y: float) -> np.ndarray:
        """Return the (3,) unit direction of the viewing ray through a pixel, camera frame."""
        return np.array(self.direction(x, y))

    def direction(self, x: float, y: float) -> tuple[float, float, float]:
        """Return `ray` in plain floats."""
        right, down = (x - self.cx) / self.fx, (y - self.cy) / self.fy
        length = math.hypot(right, down, 1.0)
        return right / length, down / length, 1.0 / length


class Camera(Protocol):
    """Camera of frames of any size."""

    def at(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of a frame of this size, pixels."""


@dataclass(frozen=True)
class FieldOfView:
    """Camera known by its field of view along the longer side only. ValueError if it is out of range."""

    degrees: float = DEFAULT_FOV

    def __post_init__(self) -> None:
        check_field_of_view(self.degrees)

    def at(self, width: int, height: int) -> Intrinsics:
        """See `Camera.at`."""
        return Intrinsics.from_fov(width, height, self.degrees)


def crop_to_camera(roi: ROI, intrinsics: Intrinsics) -> np.ndarray:
    """Return the (3, 3) rotation from the crop's frame to the camera frame.

    The network's pose is relative to the ray through the crop's center and the crop's upright axis. The rotation is the
    smallest one from the optical axis to that ray, after the crop's roll.
    """
    return np.array(crop_rotation(roi, intrinsics))


def crop_rotation(roi: ROI, intrinsics: Intrinsics) -> Rows:
    """Return the rows of `crop_to_camera`, in plain floats for speed."""
    x, y, z = intrinsics.direction(roi.cx, roi.cy)
    # Rodrigues' formula for z-axis -> (x, y, z); z > 0 always, so 1 + z never vanishes.
    to_ray = [
        [1 - x * x / (1 + z), -x * y / (1 + z), x],
        [-x * y / (1 + z), 1 - y * y / (1 + z), y],
        [-x, -y, z],
    ]
    c, s = math.cos(roi.roll), math.sin(roi.roll)
    return [[a * c + b * s, b * c - a * s, forward] for a, b, forward in to_ray]
