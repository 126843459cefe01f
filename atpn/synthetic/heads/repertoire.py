"""What a face can do, shape by shape: each alone, mixtures as people make them, and extremes.

`sample_expression` shows faces as photographs do, so many shapes are rare or always come together. A network that shall
tell the shapes apart needs them alone and in all mixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from atpn.synthetic.heads.expression import Expression
from atpn.synthetic.heads.eyes import follow_gaze, sample_gaze

Weights = dict[str, float]
_SIDED = (
    *("browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide"),
    *("mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp"),
    "noseSneer",
)
"""Shapes with `_L` and `_R`."""
_WHOLE = (
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker"),
    *("mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
)
"""Shapes of the whole face. ARKit's `tongueOut` has none."""
_TOGETHER = frozenset({"browInnerUp", "cheekPuff"})
"""Sided shapes that are one ARKit coefficient."""
_MAX_MOUTH = 2.2
"""Maximum sum of the mouth's shapes but `jawOpen` and `mouthClose`, sides averaged: more tears the lips."""
_OPPOSED = (("mouthLeft", "mouthRight"), ("jawLeft", "jawRight"), ("mouthSmile", "mouthFrown"), ("eyeBlink", "eyeWide"))
# Moods and visemes: shapes with the range of their weights at full strength.
_MOODS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "smile": {"mouthSmile": (0.5, 1), "cheekSquint": (0, 0.8), "eyeSquint": (0, 0.6), "mouthDimple": (0, 0.4)},
    "laugh": {"mouthSmile": (0.6, 1), "jawOpen": (0.2, 0.7), "mouthUpperUp": (0.2, 0.8), "cheekSquint": (0.3, 1)},
    "frown": {"browDown": (0.4, 1), "mouthFrown": (0.2, 0.9), "mouthPress": (0, 0.6), "mouthShrugLower": (0, 0.7)},
    "anger": {"browDown": (0.6, 1), "noseSneer": (0.3, 1), "eyeSquint": (0.2, 0.8), "mouthUpperUp": (0, 0.7)},
    "disgust": {"noseSneer": (0.5, 1), "mouthUpperUp": (0.3, 1), "mouthShrugLower": (0, 0.6), "browDown": (0, 0.6)},
    "surprise": {"browInnerUp": (0.5, 1), "browOuterUp": (0.5, 1), "eyeWide": (0.3, 1), "jawOpen": (0.1, 0.7)},
    "sadness": {"browInnerUp": (0.4, 1), "mouthFrown": (0.4, 1), "mouthShrugLower": (0, 0.6), "eyeSquint": (0, 0.4)},
    "fear": {"browInnerUp": (0.4, 1), "eyeWide": (0.3, 1), "mouthStretch": (0.3, 1), "jawOpen": (0, 0.5)},
    "doubt": {"mouthShrugLower": (0.3, 1), "mouthShrugUpper": (0.2, 1), "browOuterUp": (0, 0.8), "mouthPress": (0, 1)},
    "kiss": {"mouthPucker": (0.5, 1), "mouthFunnel": (0, 0.4), "cheekSquint": (0, 0.3)},
    "effort": {"mouthPress": (0.3, 1), "mouthRollLower": (0, 0.8), "mouthRollUpper": (0, 0.8), "eyeSquint": (0.2, 1)},
    "blow": {"cheekPuff": (0.4, 1), "mouthPucker": (0, 0.7), "mouthPress": (0, 0.6)},
}
_VISEMES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "a": {"jawOpen": (0.25, 0.8), "mouthLowerDown": (0, 0.5), "mouthUpperUp": (0, 0.3)},
    "e": {"jawOpen": (0.1, 0.4), "mouthStretch": (0.1, 0.6), "mouthSmile": (0, 0.4), "mouthLowerDown": (0.1, 0.6)},
    "i": {"jawOpen": (0, 0.2), "mouthSmile": (0.1, 0.5), "mouthStretch": (0.1, 0.5), "mouthUpperUp": (0, 0.4)},
    "o": {"jawOpen": (0.15, 0.5), "mouthFunnel": (0.3, 0.9), "mouthPucker": (0, 0.4)},
    "u": {"jawOpen": (0, 0.25), "mouthPucker": (0.3, 1), "mouthFunnel": (0, 0.5)},
    "m": {"mouthPress": (0, 0.6), "mouthRollLower": (0, 0.6), "mouthRollUpper": (0, 0.6)},
    "b": {"jawOpen": (0.15, 0.5), "mouthClose": (0.8, 1)},
    "f": {"mouthRollLower": (0.3, 0.9), "mouthUpperUp": (0.1, 0.5), "jawOpen": (0, 0.2)},
    "s": {"mouthStretch": (0, 0.4), "mouthLowerDown": (0.1, 0.7), "mouthUpperUp": (0.1, 0.5), "jawForward": (0, 0.4)},
    "sh": {"mouthFunnel": (0.4, 1), "mouthShrugUpper": (0, 0.4), "jawForward": (0, 0.3)},
}


def sample_repertoire(names: Sequence[str], rng: np.random.Generator) -> Expression:
    """Return a neutral face, one shape alone, speech, a mood or a free mixture, with any gaze.

    `names` are the head's blend shapes; shapes that it lacks stay out.
    """
    weights: Weights = {}
    kind = rng.random()
    if kind < 0.08:
        pass
    elif kind < 0.36:
        _single(weights, rng)
    elif kind < 0.54:
        _acted(weights, _VISEMES, rng)
        if rng.random() < 0.4:
            _acted(weights, _MOODS, rng, 0.6)
    elif kind < 0.78:
        _acted(weights, _MOODS, rng)
    else:
        for _ in range(rng.integers(2, 8)):
            _put(weights, str(rng.choice(_SIDED + _WHOLE)), float(rng.beta(1.1, 1.3)), rng)
    if kind >= 0.36:
        _upper_face(weights, rng)
    _keep_possible(weights)
    face = Expression({name: weight for name, weight in weights.items() if name in names and weight > 0.0})
    # Single shapes of the lids, of a neutral gaze and of a turned one are all seen.
    face.gaze = sample_gaze(rng)
    follow_gaze(face.weights, face.gaze)
    face.weights = {name: weight for name, weight in face.weights.items() if name in names}
    return face


def _single(weights: Weights, rng: np.random.Generator) -> None:
    """Move one shape, a third of the time to its extreme."""
    strength = 1.0 if rng.random() < 0.33 else float(rng.uniform(0.1, 1.0))
    _put(weights, str(rng.choice(_SIDED + _WHOLE)), strength, rng)


def _put(weights: Weights, shape: str, strength: float, rng: np.random.Generator) -> None:
    """Set a shape, if it is sided on both sides or on one."""
    if shape in _WHOLE:
        weights[shape] = strength
        if shape == "mouthClose":  # lips close against an open jaw
            weights["jawOpen"] = float(rng.uniform(strength, 1.0))
    elif shape in _TOGETHER or rng.random() < 0.65:
        _both(weights, shape, strength, rng)
    else:
        weights[f"{shape}_{rng.choice(['L', 'R'])}"] = strength


def _both(weights: Weights, shape: str, strength: float, rng: np.random.Generator) -> None:
    for side in "LR":
        weights[f"{shape}_{side}"] = float(np.clip(strength * rng.normal(1.0, 0.08), 0.0, 1.0))


def _acted(
    weights: Weights,
    acts: Mapping[str, Mapping[str, tuple[float, float]]],
    rng: np.random.Generator,
    limit: float = 1.0,
) -> None:
    """Add one of these acts at a random strength; one in six does less on one side."""
    strength = limit * float(rng.uniform(0.3, 1.0))
    weak = {str(rng.choice(["L", "R"])): float(rng.uniform(0.0, 0.7))} if rng.random() < 0.17 else {}
    for shape, (low, high) in acts[str(rng.choice(list(acts)))].items():
        amount = strength * float(rng.uniform(low, high))
        if shape in _WHOLE:
            weights[shape] = max(weights.get(shape, 0.0), amount)
            continue
        for side in "LR":
            share = 1.0 if shape in _TOGETHER else weak.get(side, 1.0)
            value = float(np.clip(amount * share * rng.normal(1.0, 0.08), 0.0, 1.0))
            weights[f"{shape}_{side}"] = max(weights.get(f"{shape}_{side}", 0.0), value)


def _upper_face(weights: Weights, rng: np.random.Generator) -> None:
    """Add brows and lids, which move apart from the mouth."""
    moves: tuple[tuple[float, Callable[[], None]], ...] = (
        (0.12, lambda: _both(weights, "eyeBlink", float(rng.uniform(0.85, 1.0)), rng)),
        (0.22, lambda: _both(weights, "eyeBlink", float(rng.uniform(0.1, 0.85)), rng)),
        (0.06, lambda: weights.update({f"eyeBlink_{rng.choice(['L', 'R'])}": float(rng.uniform(0.5, 1.0))})),
        (0.10, lambda: _both(weights, "eyeWide", float(rng.uniform(0.1, 1.0)), rng)),
        (0.10, lambda: _both(weights, "eyeSquint", float(rng.uniform(0.1, 1.0)), rng)),
    )
    chance = rng.random()
    for probability, move in moves:
        chance -= probability
        if chance < 0.0:
            move()
            break
    brows = rng.random()
    if brows < 0.12:
        _both(weights, "browDown", float(rng.uniform(0.1, 1.0)), rng)
    elif brows < 0.3:
        _both(weights, "browInnerUp", float(rng.uniform(0.1, 1.0)), rng)
    if 0.2 < brows < 0.42:
        _put(weights, "browOuterUp", float(rng.uniform(0.1, 1.0)), rng)


def _keep_possible(weights: Weights) -> None:
    """Undo what no face can do at once."""
    for one, other in _OPPOSED:
        for side in ("", "_L", "_R"):
            if one + side in weights and other + side in weights:
                weaker = min((one + side, other + side), key=lambda name: weights[name])
                del weights[weaker]
    if "mouthClose" in weights:
        weights["mouthClose"] = min(weights["mouthClose"], weights.get("jawOpen", 0.0))
    mouth = [name for name in weights if name.startswith("mouth") and name != "mouthClose"]
    total = sum(weights[name] / (2 if name[-2:] in ("_L", "_R") else 1) for name in mouth)
    for name in mouth:
        weights[name] *= min(1.0, _MAX_MOUTH / max(total, 1e-9))
