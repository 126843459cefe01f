"""Gaze: the direction in which an eye looks, as two angles with the signs of the head's pose."""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.rotation import Rows


def gaze_angles(directions: np.ndarray) -> np.ndarray:
    """Convert (..., 3) directions to (..., 2) yaw and pitch, radians.

    The frame is the camera's: x right, y down, z forward. An eye that looks along -z, into the camera, has yaw and
    pitch 0. Yaw is positive toward the image's right, the subject's left; pitch is positive upward.
    """
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(unit, -1, 0)
    return np.stack([np.arctan2(x, -z), np.arcsin(np.clip(-y, -1.0, 1.0))], axis=-1)


def gaze_directions(angles: np.ndarray) -> np.ndarray:
    """Convert (..., 2) yaw and pitch in radians to (..., 3) unit directions; the inverse of `gaze_angles`."""
    yaw, pitch = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    return np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)], axis=-1)


def turn_gaze(angles: np.ndarray, rotation: Rows) -> np.ndarray:
    """Return (N, 2) yaw and pitch in radians in another frame, to which a (3, 3) rotation leads."""
    turned = []
    # In plain floats: numpy takes several times as long for two eyes.
    for yaw, pitch in angles.tolist():
        cosine = math.cos(pitch)
        right, down, forward = math.sin(yaw) * cosine, -math.sin(pitch), -math.cos(yaw) * cosine
        x, y, z = (a * right + b * down + c * forward for a, b, c in rotation)
        turned.append((math.atan2(x, -z), math.atan2(-y, math.hypot(x, z))))
    return np.array(turned)
