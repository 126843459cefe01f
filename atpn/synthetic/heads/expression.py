"""Random facial expressions as ARKit-style blend-shape weights, and gaze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from atpn.synthetic.heads.eyes import follow_gaze


@dataclass
class Expression:
    """Expression and gaze of a face in one image."""

    weights: dict[str, float] = field(default_factory=dict)
    """Blend-shape name to weight in [0, 1]."""
    gaze: np.ndarray = field(default_factory=lambda: np.array([[0.0, 0.0, -1.0]] * 2))
    """(2, 3) unit vectors in the head frame: the eye at the image's left, then right."""


def sample_expression(names: Sequence[str], rng: np.random.Generator) -> Expression:
    """Return a random smile, open mouth, frown, pucker, speech or mixture, with blinks, winks and wide eyes."""
    face = Expression()

    def one(name: str, value: float) -> None:
        face.weights[name] = float(np.clip(value, 0, 1))

    # One face in seven does most things on one side only: smirks, sneers, a raised brow.
    weak_side, weakness = rng.choice(["L", "R"]), rng.uniform(0, 0.6) if rng.random() < 0.15 else 1.0

    def both(name: str, value: float, asymmetry: float = 0.15) -> None:
        for side in "LR":
            strength = weakness if side == weak_side and not name.startswith("eye") else 1.0
            one(f"{name}_{side}", value * strength * rng.normal(1, asymmetry))

    def sometimes(share: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < share else 0.0

    mood = rng.random()
    if mood < 0.30:
        smile = rng.uniform(0.2, 1)
        both("mouthSmile", smile)
        both("cheekSquint", smile * rng.uniform(0, 0.8))
        both("eyeSquint", smile * rng.uniform(0, 0.5))
        grin = rng.random() < 0.6  # people before cameras show their teeth
        both("mouthUpperUp", rng.uniform(0.2, 1.0) if grin else smile * sometimes(0.7, 0, 0.6))
        both("mouthLowerDown", rng.uniform(0.2, 1.0) if grin else smile * sometimes(0.6, 0, 0.6))
        both("mouthStretch", sometimes(0.3, 0, 0.7))
        both("mouthDimple", sometimes(0.3, 0, 0.8))
        one("jawOpen", rng.uniform(0, 0.5) if grin else sometimes(0.5, 0, 0.45))
    elif mood < 0.41:  # shouts, yawns, big laughs
        one("jawOpen", rng.uniform(0.6, 1.0))
        both("mouthUpperUp", sometimes(0.6, 0.2, 0.9))
        both("mouthLowerDown", sometimes(0.6, 0.2, 0.9))
        both("mouthSmile", sometimes(0.5, 0.2, 1.0))
        both("eyeSquint", sometimes(0.5, 0.2, 1.0))
        both("cheekSquint", sometimes(0.4, 0.2, 1.0))
        both("noseSneer", sometimes(0.2, 0.2, 0.8))
    elif mood < 0.58:
        one("jawOpen", rng.uniform(0.05, 1.0))
        both("mouthStretch", sometimes(0.4, 0, 0.6))
        one("mouthFunnel", sometimes(0.35, 0, 0.7))
        both("mouthSmile", sometimes(0.3, 0, 0.8))
        both("mouthUpperUp", sometimes(0.3, 0, 0.6))
        both("mouthLowerDown", sometimes(0.4, 0, 0.8))
    elif mood < 0.67:
        both("browDown", rng.uniform(0, 1))
        both("noseSneer", rng.uniform(0, 0.8))
        both("mouthFrown", rng.uniform(0, 0.8))
        both("mouthPress", sometimes(0.3, 0, 0.8))
        one("jawOpen", sometimes(0.25, 0, 0.5))
    elif mood < 0.77:
        one("mouthPucker", rng.uniform(0, 1))
        one("mouthFunnel", rng.uniform(0, 0.5))
        one("jawOpen", sometimes(0.3, 0, 0.3))
        both("cheekPuff", sometimes(0.3, 0, 1))
    elif mood < 0.88:
        for name in rng.choice([n for n in names if not n.startswith(("eye", "Pupil"))], 6):
            one(str(name), rng.uniform(0, 0.8))
    else:
        for name in names:
            one(name, abs(rng.normal(0, 0.1)))
    if rng.random() < 0.15:
        one(str(rng.choice(["mouthLeft", "mouthRight", "jawLeft", "jawRight"])), rng.uniform(0, 0.8))
    if rng.random() < 0.1:
        one("mouthRollLower", rng.uniform(0, 0.8))
        one("mouthRollUpper", rng.uniform(0, 0.8))
    if rng.random() < 0.3:
        both("browOuterUp", rng.uniform(0, 0.9))
        both("browInnerUp", rng.uniform(0, 0.9))

    for name in [n for n in face.weights if n.startswith(("eyeLook", "eyeBlink", "Pupil"))]:
        del face.weights[name]
    eyes = rng.random()
    if eyes < 0.15:
        both("eyeBlink", rng.uniform(0.85, 1), 0.04)
    elif eyes < 0.25:
        both("eyeBlink", rng.uniform(0.45, 0.85), 0.08)
    elif eyes < 0.42:
        both("eyeBlink", rng.uniform(0, 0.5), 0.1)
    elif eyes < 0.53:
        both("eyeWide", rng.uniform(0, 1))
    elif eyes < 0.57:
        one(f"eyeBlink_{rng.choice(['L', 'R'])}", rng.uniform(0.8, 1))
    aside, down = np.clip(rng.normal(0, (0.22, 0.14)), -0.6, 0.45)
    direction = np.array([np.sin(aside), np.sin(down), -1.0])
    face.gaze = np.tile(direction / np.linalg.norm(direction), (2, 1))
    follow_gaze(face.weights, face.gaze)
    face.weights = {name: weight for name, weight in face.weights.items() if name in names}
    return face
