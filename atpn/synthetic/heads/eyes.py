"""Movement of the eyes: where each looks, and lids that follow."""

from __future__ import annotations

import numpy as np

from edge_runtime.gaze import gaze_angles, gaze_directions

FULL_LOOK = np.radians(30.0)
"""Angle of an eye against the head at which its look coefficient is 1. The lid of `eyeLookDown` at weight 1 has moved
as far as a point on an eyeball does that turns by this angle."""
_LIMIT = np.radians([40.0, 32.0])
"""Maximum yaw and pitch of an eye against the head."""
_EYE_DISTANCE, _NEAREST = 6.3, 20.0
"""Centimeters between the pupils, and to the nearest point that both look at."""


def sample_gaze(rng: np.random.Generator) -> np.ndarray:
    """Return (2, 3) unit directions of the eye at the image's left, then right, in the head frame.

    All directions within the eyes' reach; both eyes look at one point, 20 cm away or farther.
    """
    kind = rng.random()
    if kind < 0.25:  # about straight ahead
        angles = rng.normal(0.0, np.radians([5.0, 4.0]))
    elif kind < 0.5:
        angles = rng.normal(0.0, np.radians([16.0, 12.0]))
    else:
        radius, way = np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        angles = radius * np.radians([38.0, 30.0]) * (np.cos(way), np.sin(way))
    nearness = rng.random() ** 2 / _NEAREST  # of the point, in 1 / cm
    toward = _EYE_DISTANCE / 2 * nearness  # radians by which each eye turns to the nose
    turn = np.array([toward, 0.0])
    both = np.stack([angles + turn, angles - turn])
    return gaze_directions(both.clip(-_LIMIT, _LIMIT))


def follow_gaze(weights: dict[str, float], gaze: np.ndarray) -> None:
    """Set the look weights that (2, 3) directions in the head frame give, the eye at the image's left first.

    The more a lid is closed, the less it follows: a closed one hides where the eye looks, and a lid that moved twice
    would pass the other.
    """
    for letter, outward, (yaw, pitch) in zip("RL", (-1.0, 1.0), gaze_angles(gaze), strict=True):
        openness = 1.0 - weights.get(f"eyeBlink_{letter}", 0.0)
        for name, angle in (("Out", outward * yaw), ("In", -outward * yaw), ("Up", pitch), ("Down", -pitch)):
            weight = float(np.clip(angle / FULL_LOOK, 0.0, 1.0)) * openness
            weights.pop(f"eyeLook{name}_{letter}", None)
            if weight > 0.0:
                weights[f"eyeLook{name}_{letter}"] = weight
