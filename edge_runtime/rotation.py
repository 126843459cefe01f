"""Products and angles of single rotations in plain floats: numpy takes several times as long for nine numbers.

A matrix is a list of rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

Rows = Sequence[Sequence[float]]
MAX_PLAIN_ANGLE = 3.0
"""Largest angle in radians that is read from a matrix's antisymmetric part, which vanishes at half a turn."""


def product(first: Rows, second: Rows) -> list[list[float]]:
    """Return the matrix product of two (3, 3) matrices."""
    (a, b, c), (d, e, f), (g, h, i) = second
    return [[x * a + y * d + z * g, x * b + y * e + z * h, x * c + y * f + z * i] for x, y, z in first]


def transposed(matrix: Rows) -> list[list[float]]:
    """Return the inverse of a (3, 3) rotation."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return [[a, d, g], [b, e, h], [c, f, i]]


def rotation_vector(matrix: Rows) -> tuple[float, float, float]:
    """Return the axis of a (3, 3) rotation times its angle in [0, pi]: `cv2.Rodrigues`."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    x, y, z = h - f, c - g, d - b
    # Sine and cosine of the angle, both doubled.
    sine, cosine = math.hypot(x, y, z), a + e + i - 1.0
    angle = math.atan2(sine, cosine)
    if angle > MAX_PLAIN_ANGLE:
        x, y, z = cv2.Rodrigues(np.array(matrix))[0].ravel().tolist()
        return x, y, z
    scale = angle / sine if sine else 0.5
    return scale * x, scale * y, scale * z


def rotation_by(x: float, y: float, z: float) -> list[list[float]]:
    """Return the (3, 3) rotation of a rotation vector, radians: the inverse of `rotation_vector`."""
    angle = math.hypot(x, y, z)
    if not angle:
        return [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    x, y, z = x / angle, y / angle, z / angle
    c, s = math.cos(angle), math.sin(angle)
    d = 1.0 - c
    return [
        [c + d * x * x, d * x * y - s * z, d * x * z + s * y],
        [d * x * y + s * z, c + d * y * y, d * y * z - s * x],
        [d * x * z - s * y, d * y * z + s * x, c + d * z * z],
    ]
