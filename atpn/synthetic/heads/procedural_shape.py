"""The surface of the procedural head: formulas from places on the unrolled head to points in space.

The featureless head is a radius around a vertical axis; features are relief on its front. Sizes follow average adults,
in centimeters, in the head frame of `HeadModel`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

EYE_CENTERS = np.array([[-3.2, -3.5, -8.3], [3.2, -3.5, -8.3]])
EYE_RADIUS = 1.25
_LID_RADIUS = 1.36
CROWN, EQUATOR, FLOOR = -14.5, -5.5, 17.0
"""Heights (y) of the top, of the skull's widest part, and of the cut through the shoulders."""


def _curve(*knots: tuple[float, float]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a smooth curve through (height, value) knots, constant beyond them."""
    heights, values = np.array(knots).T
    curve = PchipInterpolator(heights, values)
    return lambda y: curve(np.clip(y, heights[0], heights[-1]))


# Half width and depth of the face's wedge and of neck and shoulders at each height (y).
_FACE_WIDTH = _curve(
    (-12, 0.1),
    (-9.5, 4.5),
    (-7.5, 6.2),
    (-5, 6.9),
    (-2, 6.9),
    (1, 6.7),
    (3, 6.4),
    (5, 5.9),
    (6.4, 4.9),
    (7.3, 3.4),
    (8.2, 1.2),
    (9, 0.1),
)
_FACE_DEPTH = _curve(
    (-12, 0.1),
    (-9.5, 6.5),
    (-7.5, 8.6),
    (-5, 9.5),
    (-2, 9.7),
    (2, 10.2),
    (5, 10.1),
    (6.8, 10.3),
    (7.6, 9.8),
    (8.3, 7.0),
    (9, 0.2),
)
_NECK_WIDTH = _curve((1, 0.1), (4, 5.0), (8, 5.5), (10.5, 5.9), (12.5, 8.5), (14.5, 12.0), (17, 12.6))
_NECK_FRONT = _curve((1, 0.1), (4, 4.0), (8, 4.9), (12, 4.6), (17, 5.6))
_NECK_BACK = _curve((1, 0.1), (4, 5.4), (8, 5.8), (12, 7.0), (17, 9.0))

_NOSE_HEIGHT = _curve(
    (-5.2, 0), (-3.7, 0.35), (-2.6, 0.95), (-1.5, 1.8), (-0.4, 2.7), (0.25, 2.5), (0.95, 1.3), (1.6, 0.1), (2, 0)
)
_NOSE_WIDTH = _curve((-5.2, 0.8), (-3.7, 0.7), (-1.5, 0.95), (-0.3, 1.15), (1, 1.45))


def _section(turn: np.ndarray, width: np.ndarray, front: np.ndarray, back: np.ndarray, power: float) -> np.ndarray:
    depth = np.where(np.cos(turn) > 0, front, back)
    scaled = (np.abs(np.sin(turn)) / width) ** power + (np.abs(np.cos(turn)) / depth) ** power
    return scaled ** (-1 / power)


def _radius(turn: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance from the vertical axis at a turn (radians, 0 in front, growing toward +x) and height."""
    upper = np.clip(np.abs((y - EQUATOR) / (EQUATOR - CROWN)), 0, 1)
    skull = np.maximum((1 - upper**2.5) ** 0.4, 1e-3)
    parts = (
        _section(turn, 7.5 * skull, 9.9 * skull, 8.4 * skull, 2.1),
        _section(turn, _FACE_WIDTH(y), _FACE_DEPTH(y), np.minimum(_FACE_WIDTH(y), 3.0), 2.6),
        _section(turn, _NECK_WIDTH(y), _NECK_FRONT(y), _NECK_BACK(y), 2.2),
    )
    joined = sum(part**12 for part in parts) ** (1 / 12)  # the largest, with rounded seams
    behind = np.degrees(np.abs((turn + np.pi) % (2 * np.pi) - np.pi)) - 97
    # An ear rises toward the back and drops off steeply behind.
    ear = np.exp(-(((y + 0.9) / 2.9) ** 4)) * np.exp(-((behind / np.where(behind < 3, 9, 4)) ** 2))
    return joined + 1.3 * ear


def _hill(x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    """Return a bump of height 1 on both sides of the face."""
    return np.exp(-(((np.abs(x) - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)


def _relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how far the features, without eyes, stand out of the featureless front."""
    nose = _NOSE_HEIGHT(y) * np.exp(-(np.abs(x / _NOSE_WIDTH(y)) ** 2.2)) + 0.6 * _hill(x, y, (1.25, 0.6), (0.45, 0.5))
    brow = 0.35 * _hill(x, y, (2.8, -5.6), (2.2, 0.8))
    socket = -0.85 * _hill(x, y, (3.1, -3.6), (1.9, 1.3)) - 0.45 * _hill(x, y, (1.5, -3.0), (0.6, 1.2))
    cheek = 0.45 * _hill(x, y, (4.5, -0.6), (1.7, 1.5)) - 0.25 * _hill(x, y, (2.7, 1.7), (0.5, 1.2))
    muzzle = 1.0 * _hill(x, y, (0, 3.1), (2.9, 2.2))
    across = np.exp(-((x / 2.3) ** 4))
    lips = 0.32 * np.exp(-(((y - 2.95) / 0.4) ** 2)) + 0.38 * np.exp(-(((y - 3.9) / 0.42) ** 2))
    lips -= 0.3 * np.exp(-(((y - 3.38) / 0.13) ** 2))
    philtrum = -0.15 * _hill(x, y, (0, 1.9), (0.3, 0.5))
    chin = 0.7 * _hill(x, y, (0, 6.4), (1.7, 1.0)) - 0.35 * _hill(x, y, (0, 5.0), (1.6, 0.5))
    return nose + brow + socket + cheek + muzzle + across * lips + philtrum + chin


def surface(turn: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (N, 3) points of the skin at turns and heights (N,)."""
    radius = _radius(turn, y)
    x, z = radius * np.sin(turn), -radius * np.cos(turn)
    frontal = np.clip(np.cos(turn) / 0.5, 0, 1) ** 2
    z = z - frontal * _relief(x, y)
    for center in EYE_CENTERS:
        # Lids: the part of a ball around each eyeball that stands out, joined to the socket with a rounded seam.
        across = (x - center[0]) ** 2 + (y - center[1]) ** 2
        ball = center[2] - np.sqrt(np.clip(_LID_RADIUS**2 - across, 0, None))
        gap = np.clip((ball - z) / 0.5, -1, 1)
        joined = np.where(gap > 0, z, ball) - 0.125 * (1 - np.abs(gap)) ** 2
        z = np.where((across < _LID_RADIUS**2) & (np.cos(turn) > 0), joined, z)
    return np.stack([x, y, z], axis=-1)


def turn_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the (N,) turns at which the front of the head has the given x at the given height, by bisection."""
    low, high = np.zeros(len(x)), np.full(len(x), np.radians(80))
    for _ in range(40):
        middle = (low + high) / 2
        outside = _radius(middle, y) * np.sin(middle) > np.abs(x)
        low, high = np.where(outside, low, middle), np.where(outside, middle, high)
    return np.sign(x) * low


def skin_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (N, 3) points of the face's front at (x, y)."""
    return surface(turn_at(x, y), y)


def lid_heights(x: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return heights (y) of the upper and lower lid margin at x; side 0 is the eye at the image's left."""
    along = np.clip((x - EYE_CENTERS[side, 0]) / 1.3, -1, 1)
    outwards = along if side else -along
    corner = EYE_CENTERS[side, 1] + 0.1 - 0.12 * outwards
    arch = np.sqrt(np.clip(1 - along**2, 0, None))
    return corner - 0.62 * arch * (1 - 0.15 * outwards), corner + 0.38 * arch


def lid_loop(side: int, count: int = 24) -> np.ndarray:
    """Return (count, 2) x, y around a lid opening, from its corner at the image's left over the upper lid."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x = EYE_CENTERS[side, 0] - 1.3 * np.cos(angle)
    upper, lower = lid_heights(x, side)
    return np.stack([x, np.where(angle < np.pi, upper, lower)], axis=1)


def mouth_line(x: np.ndarray) -> np.ndarray:
    """Return the height (y) at which closed lips meet at x."""
    return 3.42 - 0.03 * np.cos(2 * np.pi * x / 2.2)


def lip_loops(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Return (count, 2) outer and inner edge of the lips, from the image's left corner over the upper lip."""
    outer = np.array([[-2.5, 3.45], [-1.7, 2.85], [-0.65, 2.45], [0, 2.6], [0.65, 2.45], [1.7, 2.85]])
    below = np.array([[2.5, 3.45], [1.8, 4.05], [0.9, 4.4], [0, 4.5], [-0.9, 4.4], [-1.8, 4.05]])
    corners = np.concatenate([outer, below, outer[:1]])
    fine = np.linspace(0, 12, count, endpoint=False)
    outline = np.stack([np.interp(fine, np.arange(13), corners[:, k]) for k in range(2)], axis=1)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x = -2.2 * np.cos(angle)
    # Just apart, so that opening has two edges to pull on.
    inner = np.stack([x, mouth_line(x) - 0.05 * np.sin(angle)], axis=1)
    return outline, inner
