"""Motion and variation of the procedural head: displacements of places on the neutral head.

Most shapes push the surroundings of one place with a Gaussian falloff; the jaw turns, lids slide over the eyeballs.
"""

from __future__ import annotations

import numpy as np

from atpn.synthetic.heads.procedural_shape import EYE_CENTERS, lid_heights, mouth_line, skin_at

_JAW_HINGE = np.array([0.0, -1.0, -1.5])
_JAW_ANGLE = np.radians(16)  # parts the lips by about 3 cm

# Lid shapes: which part of the opening the upper lid comes down and the lower lid goes up.
_LIDS = {
    "eyeBlink": (0.85, 0.15),
    "eyeSquint": (0.15, 0.3),
    "eyeWide": (-0.25, -0.08),
    "eyeLookDown": (0.35, -0.1),
    "eyeLookUp": (-0.15, 0.05),
}
# Name, center (x, y, z) at the image's right or on the midline, radii, displacement of the center; all in centimeters.
# A name that ends in _ makes two shapes, the subject's left (_L, the image's right) and its mirror image.
_PUSHES: tuple[tuple[str, tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...] = (
    ("browInnerUp_", (1.6, -5.7, -10), (1.5, 1.6, 4), (0, -0.9, 0)),
    ("browOuterUp_", (4.8, -5.7, -9), (1.8, 1.6, 4), (0, -0.9, 0.1)),
    ("browDown_", (2.6, -5.7, -10), (2.4, 1.4, 4), (-0.25, 0.6, -0.1)),
    ("cheekPuff_", (4.6, 2.4, -8), (1.8, 1.8, 4), (0.8, 0, -0.6)),
    ("cheekSquint_", (4.0, -0.8, -9), (1.8, 1.3, 4), (0.1, -0.4, -0.3)),
    ("noseSneer_", (1.3, 0.4, -12), (1.1, 1.4, 4), (0.1, -0.45, -0.1)),
    ("mouthSmile_", (2.6, 3.4, -10), (1.7, 1.8, 4), (0.8, -0.9, 0.6)),
    ("mouthFrown_", (2.6, 3.4, -10), (1.5, 1.5, 4), (0.2, 0.7, 0.1)),
    ("mouthStretch_", (2.6, 3.5, -10), (1.7, 1.5, 4), (0.8, 0.25, 0.5)),
    ("mouthLeft", (0, 3.5, -11), (3.2, 2.0, 4), (1.0, 0, 0.2)),
    ("mouthRight", (0, 3.5, -11), (3.2, 2.0, 4), (-1.0, 0, 0.2)),
)
# Shape modes of identity: the same columns; sides move as mirror images of each other. One standard deviation each.
_TRAITS: tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...] = (
    ((0, 0.2, -12), (1.6, 1.8, 5), (0, 0, -0.35)),  # nose's length forwards
    ((1.3, 0.7, -11), (0.9, 1.0, 4), (0.22, 0, 0)),  # its width
    ((0, 0.4, -12), (2.0, 1.5, 5), (0, 0.3, 0)),  # its length downwards
    ((0, -3.5, -10), (1.2, 1.8, 4), (0, 0, -0.25)),  # its bridge
    ((2.6, 3.5, -10), (1.7, 1.6, 4), (0.25, 0, 0.05)),  # mouth's width
    ((0, 3.5, -11), (3.0, 1.6, 4), (0, 0.25, 0)),  # its height
    ((0, 3.4, -11), (2.6, 1.1, 3), (0, 0, -0.25)),  # fullness of the lips
    ((0, 7.0, -10), (2.6, 2.0, 4), (0, 0.4, -0.1)),  # chin's length
    ((0, 6.8, -10), (2.2, 1.8, 4), (0, 0, -0.4)),  # its prominence
    ((5.2, 4.8, -6), (2.4, 3.0, 5), (0.4, 0.1, 0)),  # jaw's width
    ((4.8, -0.6, -8), (2.2, 2.0, 4), (0.3, 0, -0.25)),  # cheekbones
    ((4.5, 2.2, -8), (2.0, 1.8, 4), (0.35, 0, -0.25)),  # full or hollow cheeks
    ((3.2, -3.5, -8.3), (2.6, 2.2, 5), (0.15, 0, 0)),  # eyes' distance
    ((3.2, -3.5, -8.3), (2.6, 2.0, 5), (0, 0.2, 0)),  # their height
    ((3.2, -5.8, -10), (3.0, 1.1, 4), (0, 0.1, -0.22)),  # brow ridge
    ((0, -9.5, -9), (6.0, 3.5, 6), (0, 0, -0.4)),  # forehead's slope
    ((0, -13, 0), (9.0, 5.0, 9), (0, -0.5, 0)),  # skull's height
    ((9, -0.9, 0.5), (1.6, 3.5, 3), (0.3, 0, 0)),  # how far the ears stand out
)


def _push(
    place: np.ndarray, center: tuple[float, ...], radii: tuple[float, ...], move: tuple[float, ...], mirrored: bool
) -> np.ndarray:
    """Return (N, 3) displacements with a Gaussian falloff around a center, on both sides of the face if mirrored."""
    total = np.zeros_like(place)
    for side in (1, -1) if mirrored and center[0] > 0 else (1,):
        flip = np.array([side, 1, 1])
        distance = ((place - np.array(center) * flip) / radii) ** 2
        total += np.exp(-distance.sum(axis=1))[:, None] * np.array(move) * flip
    return total


def identity_shapes(place: np.ndarray) -> np.ndarray:
    """Return (K, N, 3) displacements, one standard deviation each, of places (N, 3) on the neutral head."""
    return np.stack([_push(place, *trait, mirrored=True) for trait in _TRAITS])


def _smooth_step(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _with_jaw(place: np.ndarray) -> np.ndarray:
    """Return the (N,) fraction of the jaw's movement: sharp between the lips, soft over the cheeks."""
    _, y, z = place.T
    return _lower_lip(place) * (1 - _smooth_step((y - 7.8) / 2.4)) * _smooth_step((-z - 0.5) / 3.5)


def _lids(place: np.ndarray, side: int, upper_fraction: float, lower_fraction: float) -> np.ndarray:
    """Return (N, 3) displacements of the lids of one eye over its eyeball, by fractions of the opening."""
    moved = np.zeros_like(place)
    x, y = place[:, 0], place[:, 1]
    near = (np.abs(x - EYE_CENTERS[side, 0]) < 1.3) & (np.abs(y - EYE_CENTERS[side, 1]) < 2.5) & (place[:, 2] < -8.4)
    x, y = x[near], y[near]
    upper, lower = lid_heights(x, side)
    belongs_up = y < (upper + lower) / 2
    away = np.where(belongs_up, upper - y, y - lower)
    fade = np.exp(-((np.clip(away, 0, None) / 0.8) ** 2))
    dy = fade * (lower - upper) * np.where(belongs_up, upper_fraction, -lower_fraction)
    moved[near, 1] = dy
    moved[near, 2] = skin_at(x, y + dy)[:, 2] - skin_at(x, y)[:, 2]
    return moved


def expression_shapes(place: np.ndarray) -> dict[str, np.ndarray]:
    """Return (N, 3) displacements at weight 1 of places (N, 3) on the neutral head, by ARKit-style name."""
    shapes: dict[str, np.ndarray] = {}
    jaw = _with_jaw(place)[:, None]
    arm = place - _JAW_HINGE
    c, s = np.cos(_JAW_ANGLE), np.sin(_JAW_ANGLE)
    shapes["jawOpen"] = jaw * (arm @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]).T - arm) * (1, -1, 1)
    for name, sign in (("jawLeft", 1.0), ("jawRight", -1.0)):
        shapes[name] = jaw * np.array([0.9 * sign, 0, 0]) * np.clip(-arm[:, 2:] / 9, 0, 1)
    for side, letter in ((1, "L"), (0, "R")):  # the subject's left is at the image's right
        for name, shares in _LIDS.items():
            shapes[f"{name}_{letter}"] = _lids(place, side, *shares)
    for name, center, radii, move in _PUSHES:
        if not name.endswith("_"):
            shapes[name] = _push(place, center, radii, move, mirrored=False)
            continue
        for letter, sign in (("L", 1), ("R", -1)):
            across = (sign * center[0], *center[1:]), radii, (sign * move[0], *move[1:])
            shapes[name + letter] = _push(place, *across, mirrored=False)
    around = _push(place, (0, 3.4, -11), (2.8, 1.7, 4), (1, 0, 0), mirrored=False)[:, :1]
    inwards = np.stack([-place[:, 0], 3.4 - place[:, 1], np.zeros(len(place))], axis=1)
    apart = np.stack([np.zeros(len(place)), 2 * _lower_lip(place) - 1, np.zeros(len(place))], axis=1)
    shapes["mouthPucker"] = around * (inwards * (0.45, -0.1, 0) + (0, 0, -0.7))
    shapes["mouthFunnel"] = around * (inwards * (0.35, 0, 0) + apart * 0.5 + (0, 0, -0.5))
    for letter, sign in (("L", 1), ("R", -1)):
        for name, half, move in (
            ("mouthUpperUp", 1 - _lower_lip(place), -0.5),
            ("mouthLowerDown", _lower_lip(place), 0.5),
        ):
            lift = _push(place, (sign * 1.2, 3.4, -11), (1.4, 1.4, 4), (0, move, 0), mirrored=False)
            shapes[f"{name}_{letter}"] = half[:, None] * lift
    return shapes


def _lower_lip(place: np.ndarray) -> np.ndarray:
    """Return (N,) 1 below the mouth's line, 0 above: a sharp step between the lips, a soft one beside them."""
    across = np.abs(place[:, 0])
    below = place[:, 1] - mouth_line(np.clip(place[:, 0], -2.2, 2.2))
    sharp = _smooth_step(0.5 + 0.5 * below / 0.02)
    soft = _smooth_step(0.5 + 0.5 * below / (2.2 + np.clip(across - 2.2, 0, None)))
    return sharp + (soft - sharp) * np.clip(across / 2.2, 0, 1) ** 4
