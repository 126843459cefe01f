"""ARKit's expression coefficients of a rendered face.

The head models' blend shapes carry ARKit's names with `_L` and `_R` for the subject's left and right. Three differ:

* `browInnerUp` and `cheekPuff` are one coefficient each in ARKit: the mean of both sides.
* `cheekRaiser` is not in ARKit. It lifts the cheek almost as `cheekSquint` does (their displacements correlate at
  0.91), so it counts as that.
* `tongueOut` has no shape: it is not given, and always 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_runtime.expressions import EXPRESSIONS

NOT_GIVEN = frozenset({"tongueOut"})
"""Coefficients without a blend shape."""
_JOINED = frozenset({"browInnerUp", "cheekPuff"})
_SIDES = {"Left": "_L", "Right": "_R"}


def shape_names(coefficient: str) -> tuple[str, ...]:
    """Return the blend shapes of an ARKit coefficient; none for one that is not given."""
    if coefficient in NOT_GIVEN:
        return ()
    if coefficient in _JOINED:
        return f"{coefficient}_L", f"{coefficient}_R"
    for side, suffix in _SIDES.items():
        # Jaw and mouth move to a side as a whole: `jawLeft` is a direction, not a side's shape.
        if coefficient.endswith(side) and coefficient not in {"jawLeft", "jawRight", "mouthLeft", "mouthRight"}:
            return (coefficient.removesuffix(side) + suffix,)
    return (coefficient,)


def coefficients(weights: Mapping[str, float]) -> np.ndarray:
    """Return the (52,) float32 ARKit coefficients of blend-shape weights, in the order of `EXPRESSIONS`."""
    values = np.zeros(len(EXPRESSIONS), np.float32)
    for i, name in enumerate(EXPRESSIONS):
        shapes = shape_names(name)
        if not shapes:
            continue
        values[i] = np.mean([weights.get(shape, 0.0) for shape in shapes])
        if name.startswith("cheekSquint"):
            values[i] += weights.get(shapes[0].replace("cheekSquint", "cheekRaiser"), 0.0)
    return values.clip(0.0, 1.0)
