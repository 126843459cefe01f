"""A sequence against the plain formulas of each step."""

import math

import cv2
import numpy as np
import pytest
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from edge_runtime import ROI, FaceTracker, Intrinsics, TrackerOptions
from edge_runtime.geometry import Rectangle
from edge_runtime.motion import RoiMotion
from edge_runtime.smoothing import (
    DERIVATIVE_CUTOFF_HZ,
    LANDMARK_SPEED_COEFFICIENT,
    POSE_SPEED_COEFFICIENT,
    min_cutoff_hz,
)

FRAMES, SMOOTHING = 90, 0.5
CAMERA = Intrinsics(300.0, 310.0, 150.0, 125.0)
RNG = np.random.default_rng(5)


def turned(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def to_frame(points, roi):
    return np.array([turned(roi.roll) @ ((p - 0.5) * roi.size) + (roi.cx, roi.cy) for p in points])


def roll_of(landmarks, mean_shape):
    """Orthogonal Procrustes by SVD."""
    u, _, vt = np.linalg.svd((mean_shape - mean_shape.mean(axis=0)).T @ (landmarks - landmarks.mean(axis=0)))
    rotation = vt.T @ np.diag([1, np.linalg.det(vt.T @ u.T)]) @ u.T
    return math.atan2(rotation[1, 0], rotation[0, 0])


def roi_around(landmarks, roll, margin):
    low, high = (f(landmarks @ turned(roll), axis=0) for f in (np.min, np.max))
    return ROI(*(turned(roll) @ (low + high) / 2).tolist(), float((high - low).max()) * (1 + 2 * margin), roll)


def rotation_of(angles, roi):
    """The smallest rotation from the optical axis to the ray, the crop's roll, then the head's own angles."""
    ray = np.array([(roi.cx - CAMERA.cx) / CAMERA.fx, (roi.cy - CAMERA.cy) / CAMERA.fy, 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.cross([0, 0, 1], ray)
    to_ray = Rotation.from_rotvec(axis / np.linalg.norm(axis) * math.acos(ray[2]))
    pitch, yaw, roll = angles
    return (to_ray * Rotation.from_euler("z", roi.roll) * Rotation.from_euler("YXZ", (-yaw, -pitch, roll))).as_matrix()


class Smoother:
    """One-Euro as in the paper; rotations are blended as matrices and projected by polar decomposition."""

    def __init__(self, coefficient, velocity_of, length_of, nearest):
        self.coefficient, self.velocity_of, self.length_of, self.nearest = coefficient, velocity_of, length_of, nearest
        self.value, self.velocity = None, 0.0

    def __call__(self, value, dt, scale=1.0):
        def alpha(cutoff):
            return 1 / (1 + 1 / (2 * math.pi * cutoff) / dt)

        if self.value is None:
            self.value = value
            return value
        new = self.velocity_of(value, self.value) / dt / scale
        self.velocity = self.velocity + alpha(DERIVATIVE_CUTOFF_HZ) * (new - self.velocity)
        weight = alpha(min_cutoff_hz(SMOOTHING) + self.coefficient * self.length_of(self.velocity))
        self.value = self.nearest(self.value + weight * (value - self.value))
        return self.value


def points_smoother():
    return Smoother(
        LANDMARK_SPEED_COEFFICIENT,
        lambda now, before: now - before,
        lambda v: np.linalg.norm(np.broadcast_to(v, (98, 2)), axis=1, keepdims=True),
        lambda v: v,
    )


def rotation_smoother():
    return Smoother(
        POSE_SPEED_COEFFICIENT,
        lambda now, before: (Rotation.from_matrix(now) * Rotation.from_matrix(before).inv()).as_rotvec(),
        np.linalg.norm,
        lambda m: polar(m)[0],
    )


def test_sequence_equals_the_plain_formulas(backend, detector, frame, spec):
    """A face that moves, grows, tilts, turns, and jitters, partly outside the frame."""
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=SMOOTHING, camera=CAMERA))
    points, rotations = points_smoother(), rotation_smoother()
    detector.rois = [ROI(280.0, 70.0, 120.0)]
    motion = None
    for number in range(FRAMES):
        now = number / 30
        if motion:
            roi = motion.predict(now)
            size, roll = 80 * (1 + 0.2 * math.sin(number / 9)), 0.4 * math.sin(number / 7)
            center = 280 + 25 * math.sin(number / 6), 70 + 20 * math.cos(number / 8)
            shape = (spec.mean_shape - spec.mean_shape.mean(axis=0)) * size * 1.5 @ turned(roll).T + center
            jitter = RNG.normal(0, 0.002, (98, 2))
            backend.landmarks = ((shape - (roi.cx, roi.cy)) @ turned(roi.roll) / roi.size + 0.5 + jitter).astype(
                np.float32
            )
        backend.pose = (0.6 * np.sin(number / np.array([8, 11, 13])) + RNG.normal(0, 0.02, 3)).astype(np.float32)
        (face,) = tracker.update(frame, now)
        # A new face is observed three times; its motion starts with the last one.
        if not motion:
            roi, backend.landmarks = face.roi, spec.mean_shape

        landmarks = to_frame(backend.landmarks.astype(np.float64), roi)
        next_roi = roi_around(landmarks, roll_of(landmarks, spec.mean_shape.astype(np.float64)), spec.crop_margin)
        if motion:
            motion.update(next_roi, now)
        else:
            motion = RoiMotion(next_roi, now)

        assert (face.roi.cx, face.roi.cy, face.roi.size, face.roi.roll) == pytest.approx(
            (roi.cx, roi.cy, roi.size, roi.roll), abs=1e-6
        )
        assert np.allclose(face.landmarks, points(landmarks, 1 / 30, roi.size), rtol=0, atol=1e-6)
        smooth = rotations(rotation_of(backend.pose.astype(np.float64), roi), 1 / 30)
        assert np.allclose(face.pose.matrix, smooth, rtol=0, atol=1e-6)
    assert face.age == FRAMES - 1


@pytest.mark.parametrize("roll", [0.0, 0.3, -1.2, math.pi])
def test_fraction_inside_equals_the_fraction_of_pixels(roll):
    for cx, cy, width, height in [(160, 120, 60, 90), (5, 120, 80, 60), (310, 235, 70, 50), (160, 120, 500, 40)]:
        rectangle = Rectangle(cx, cy, width, height, roll)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2 * (width, height) @ turned(roll).T + (cx, cy)
        painted = cv2.fillConvexPoly(
            np.zeros((1240, 1320), np.uint8), np.rint((corners + 500) * 16).astype(int), 1, shift=4
        )
        expected = painted[500:740, 500:820].sum() / painted.sum()
        assert rectangle.fraction_inside(320, 240) == pytest.approx(expected, abs=0.03)


def test_a_rectangle_around_landmarks_holds_them_all_and_touches_four():
    landmarks = RNG.normal(100, 30, (98, 2))
    box = Rectangle.around(landmarks, 0.4)
    own = (landmarks - (box.cx, box.cy)) @ turned(0.4) / (box.width, box.height)
    assert np.allclose(own.min(axis=0), -0.5)
    assert np.allclose(own.max(axis=0), 0.5)
