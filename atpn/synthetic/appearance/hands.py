"""Hands before a face: a height field of palm and fingers, shaded as skin."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from atpn.synthetic.appearance.occluders import Occluded, face_scale

# Lengths in centimeters of an adult's hand: index to little finger.
_FINGER_LENGTHS = (7.2, 7.9, 7.4, 5.9)
_FINGER_WIDTHS = (0.82, 0.85, 0.8, 0.7)
"""Half widths at the root."""
_KNUCKLES = np.array([[0.3, -3.0], [0.55, -1.05], [0.35, 0.85], [-0.25, 2.55]])
"""(4, 2) places forward and sideways of the knuckles' middle, index first."""
_PHALANGES = (0.0, 0.47, 0.76, 1.0)
"""Joints of a finger as fractions of its length."""
_POSES = {
    # Fingers shown, their spread (radians), bend sideways at the middle joint (radians), and how far the thumb is out.
    "flat": ((0, 1, 2, 3), 0.03, 0.0, 0.3),
    "spread": ((0, 1, 2, 3), 0.16, 0.0, 0.8),
    "relaxed": ((0, 1, 2, 3), 0.07, 0.25, 0.5),
    "pointing": ((0,), 0.0, 0.08, 0.2),
    "two": ((0, 1), 0.1, 0.05, 0.2),
    "fist": ((), 0.0, 0.0, 0.1),
}
_POSE_PROBS = (0.25, 0.15, 0.3, 0.14, 0.08, 0.08)
# Where hands rest on faces: landmark reached for, and the direction (radians) in which the fingers then point.
_TARGETS = {
    "mouth": (85, (-2.3, -0.8)),
    "cheek": (5, (-1.9, -0.9)),
    "other cheek": (27, (-2.2, -1.2)),
    "chin": (16, (-2.4, -0.7)),
    "brow": (40, (-2.0, -0.2)),
    "other brow": (47, (-2.9, -1.1)),
    "eye": (96, (-2.2, -0.5)),
    "nose": (54, (-2.2, -0.9)),
}


class _Height:
    """A window's heights over the image plane, in pixels, raised by tapering limbs that flow into each other."""

    def __init__(self, corner: np.ndarray, shape: tuple[int, int], blend: float) -> None:
        self._x = np.arange(shape[1], dtype=np.float32)[None] + np.float32(corner[0])
        self._y = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(corner[1])
        self.height = np.full(shape, -1e3, np.float32)
        self._blend = np.float32(blend)

    def limb(self, joints: np.ndarray, radii: np.ndarray, lift: float = 0.0) -> None:
        """Add a bent round-ended limb: joints (N, 2) pixels with a radius each, its axis `lift` pixels up."""
        reach = float(np.max(radii)) + float(self._blend)
        (left, top), (right, bottom) = joints.min(axis=0) - reach, joints.max(axis=0) + reach
        rows = slice(*np.searchsorted(self._y[:, 0], (top, bottom)))
        columns = slice(*np.searchsorted(self._x[0], (left, right)))
        height, x_here, y_here = self.height[rows, columns], self._x[:, columns], self._y[rows]
        if not height.size:
            return
        best = np.full(height.shape, -1e3, np.float32)
        for (start, end), (first, last) in zip(pairwise(joints.astype(np.float32)), pairwise(radii), strict=True):
            axis = end - start
            x, y = x_here - start[0], y_here - start[1]
            along = np.clip((x * axis[0] + y * axis[1]) / max(float(axis @ axis), 1e-6), 0, 1)
            radius = first + along * np.float32(last - first)
            away = (x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2
            inside = radius * radius - away
            # Outside it falls away steeply, so that the outline stays where the radius ends.
            np.maximum(best, np.where(inside > 0, cv2.sqrt(np.maximum(inside, 0)), 3 * (radius - cv2.sqrt(away))), best)
        best += np.float32(lift) * (best > 0)
        # Smooth maximum: skin stretches between neighbors instead of meeting in a crease.
        gap = np.clip(1 - np.abs(height - best) / self._blend, 0, 1)
        height[:] = np.maximum(height, best) + gap * gap * self._blend * np.float32(0.25) * (best > -self._blend)


def paint_hand(
    image: np.ndarray, tip: np.ndarray, direction: float, scale: float, tone: np.ndarray, rng: np.random.Generator
) -> Occluded:
    """Paint a hand whose fingers end near `tip` (2,) pixels and point in `direction` (radians); scale: pixels per cm.

    tone (3,) is the skin's RGB color 0..255.
    """
    shape = image.shape[:2]
    shown, spread, bend, thumb_out = _POSES[str(rng.choice(list(_POSES), p=_POSE_PROBS))]
    side = rng.choice([-1.0, 1.0])
    size = scale * rng.uniform(0.85, 1.08)
    forward = np.array([np.cos(direction), np.sin(direction)])
    sideways = side * np.array([-forward[1], forward[0]])

    def place(ahead: float, across: float) -> np.ndarray:
        return knuckles + (ahead * forward + across * sideways) * size

    reach = max((_FINGER_LENGTHS[finger] for finger in shown), default=2.2)
    knuckles = np.asarray(tip, float) - reach * size * forward
    corners = np.stack([place(*p) for p in ((12, -9), (12, 9), (-24, -9), (-24, 9))])
    low = np.clip(np.floor(corners.min(axis=0)), 0, shape[::-1]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, shape[::-1]).astype(int)
    out, covered = np.array(image, np.float32), np.zeros(shape, bool)
    if (high <= low).any():
        return out, covered
    hand = _Height(low, tuple((high - low)[::-1]), 0.55 * size)
    # The back of the hand, its thumb's ball, wrist and arm.
    hand.limb(np.stack([place(-7.2, 0.0), place(-1.2, -1.9)]), np.array([2.3, 1.75]) * size)
    hand.limb(np.stack([place(-7.2, 0.3), place(-1.0, 0.2)]), np.array([2.4, 1.85]) * size)
    hand.limb(np.stack([place(-7.0, 0.6), place(-1.4, 1.9)]), np.array([2.2, 1.55]) * size)
    arm = rng.uniform(-0.25, 0.25)
    hand.limb(np.stack([place(-22, 14 * arm), place(-8.0, 0.2)]), np.array([3.3, 2.5]) * size)
    base = place(-6.0, -2.4)
    angle = direction + side * -(0.25 + 0.7 * thumb_out)
    first = base + np.array([np.cos(angle), np.sin(angle)]) * 3.6 * size
    second = first + np.array([np.cos(angle + side * 0.3), np.sin(angle + side * 0.3)]) * 2.8 * size
    hand.limb(np.stack([base, first, second]), np.array([1.6, 1.0, 0.78]) * size, 0.4 * size)
    nails = [(second, angle + side * 0.3, 0.62 * size)]
    creases = [(first, angle, 0.9 * size)]
    for finger in range(4):
        length = _FINGER_LENGTHS[finger] * (rng.uniform(0.95, 1.05) if finger in shown else 0.32) * size
        heading = direction + side * (spread * (finger - 1.3) + rng.normal(0, 0.025))
        joints, ahead = [knuckles + (_KNUCKLES[finger] @ np.stack([forward, sideways])) * size], heading
        for near, far in pairwise(_PHALANGES):
            joints.append(joints[-1] + np.array([np.cos(ahead), np.sin(ahead)]) * (far - near) * length)
            ahead += side * bend * rng.uniform(0.3, 0.8)
        radii = _FINGER_WIDTHS[finger] * size * np.array([1.06, 0.98, 0.88, 0.74])
        hand.limb(np.stack(joints), radii, (0.25 + 0.12 * (finger % 2)) * size)
        if finger in shown:
            creases += [(joint, heading, radius) for joint, radius in zip(joints[1:3], radii[1:3], strict=True)]
            nails.append((joints[-1], heading, radii[-1]))
    window = out[low[1] : high[1], low[0] : high[0]]
    alpha = _shade(window, hand, nails if rng.random() < 0.75 else [], creases, size, tone, rng)
    covered[low[1] : high[1], low[0] : high[0]] = alpha > 0.5
    return out, covered


def _shade(
    window: np.ndarray,
    hand: _Height,
    nails: list[tuple[np.ndarray, float, float]],
    creases: list[tuple[np.ndarray, float, float]],
    size: float,
    tone: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Paint the heights as skin over a window of the image in place, and return their coverage."""
    height = hand.height
    alpha = np.clip(height / 3 + 0.5, 0, 1)
    alpha[height > 0] = np.maximum(alpha[height > 0], 0.75)
    relief = cv2.GaussianBlur(np.maximum(height, 0), (0, 0), max(0.4, 0.09 * size))
    for place, heading, radius in creases:
        relief -= 0.16 * size * _bar(hand, place, heading, 0.1 * size, 0.7 * radius)
    pores = rng.standard_normal(height.shape, dtype=np.float32)
    grain = cv2.GaussianBlur(pores, (0, 0), max(0.5, 0.1 * size))
    relief += grain * np.float32(0.09 * size)
    slope_x, slope_y = cv2.Sobel(relief, -1, 1, 0, scale=0.125), cv2.Sobel(relief, -1, 0, 1, scale=0.125)
    steep = 1 / np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
    light = rng.normal(0, 0.7, 3) + np.array([0, -0.6, 1.4])
    light /= np.linalg.norm(light)
    lambert = (light[2] - slope_x * light[0] - slope_y * light[1]).astype(np.float32) * steep
    # Light bleeds through skin, so its shadow side is neither black nor gray; it hardly gets between fingers.
    shade = 0.42 + 0.62 * np.clip((lambert + 0.3) / 1.3, 0, 1)
    around = cv2.GaussianBlur(np.maximum(height, 0), (0, 0), max(0.6, 0.5 * size))
    shade *= np.clip(1 + (relief - around) / np.float32(1.6 * size), 0.55, 1.05)
    knots = rng.normal(0, 0.05, (6, 6)).astype(np.float32)
    blotches = cv2.resize(knots, height.shape[::-1], interpolation=cv2.INTER_CUBIC)
    color = np.stack([shade**0.8 * (1 + 0.5 * blotches), shade * (1 + blotches), shade**1.2 * (1 + blotches)], axis=-1)
    color *= np.asarray(tone, np.float32) * rng.uniform(0.9, 1.1)
    for place, heading, radius in nails:
        ahead = np.array([np.cos(heading), np.sin(heading)])
        nail = _bar(hand, place + 0.15 * radius * ahead, heading, 0.75 * radius, 0.62 * radius)
        pale = np.array([1.1, 1.02, 1.0], np.float32) * color + 14
        color += (pale - color) * (0.8 * nail)[..., None]
    gloss = np.clip(lambert, 0, 1) ** np.float32(14) * np.float32(rng.uniform(0, 30))
    window += (np.clip(color + gloss[..., None], 0, 255) - window) * alpha[..., None]
    return alpha


def _bar(hand: _Height, place: np.ndarray, heading: float, half_length: float, half_width: float) -> np.ndarray:
    """Return a soft-edged superellipse around a place, its length along the heading."""
    c, s = np.float32(np.cos(heading)), np.float32(np.sin(heading))
    x, y = hand._x - np.float32(place[0]), hand._y - np.float32(place[1])
    along, across = (x * c + y * s) / np.float32(half_length), (y * c - x * s) / np.float32(half_width)
    squared = along * along + across * across * across * across
    return np.exp(-squared * squared)


def draw_hand(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, tone: np.ndarray) -> Occluded:
    """Draw a hand on mouth, cheek, brow or chin; tone (3,) is the skin's RGB color 0..255."""
    scale = face_scale(landmarks) * rng.uniform(0.85, 1.05)
    index, headings = _TARGETS[str(rng.choice(list(_TARGETS)))]
    across = landmarks[72] - landmarks[60]
    direction = (
        rng.uniform(*headings) + rng.normal(0, 0.2) + float(np.clip(np.arctan2(across[1], across[0]), -0.8, 0.8))
    )
    forward = np.array([np.cos(direction), np.sin(direction)])
    target = landmarks[index] + (rng.uniform(0, 5.0) * forward + rng.normal(0, 0.9, 2)) * scale
    out, covered = paint_hand(image, target, direction, scale, np.asarray(tone, np.float64), rng)
    # The shadow that it throws on the face; the hand itself stays as painted.
    away = np.array([[1, 0, rng.uniform(-1, 1) * scale], [0, 1, rng.uniform(0, 1) * scale]], np.float32)
    shadow = cv2.warpAffine(covered.astype(np.float32), away, covered.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(0.5, 0.5 * scale)) * ~covered
    return out * (1 - np.float32(rng.uniform(0.15, 0.5)) * shadow)[..., None], covered
