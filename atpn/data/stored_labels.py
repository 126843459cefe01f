"""Labels of a stored sample, from JSON that nobody has checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.reading import quote

LABELS = frozenset({"key", "scheme", "landmarks", "visibility", "rotation", "intrinsics", "attributes"})
"""Required keys; values may be null, except the key and the attributes."""
_SHAPES = {
    "landmarks": (None, 2),
    "visibility": (None,),
    "rotation": (3, 3),
    "neighbours": (None, None, 2),
}
"""Shapes of lists of numbers; None stands for any length."""
_MAX_NUMBER = 1e9
"""Maximum magnitude of a number: a focal length of parallel rays has 1e6, and beyond 1e38 float32 is infinite."""
_TEXTS = ("head", "kind", "subsets")
"""Attributes that are read by name."""


def parse_labels(content: bytes, name: str) -> dict[str, Any]:
    """Return a sample's labels by key. ValueError names what is wrong in the member `name`."""
    try:
        labels = json.loads(content)
    except RecursionError as error:
        raise ValueError(f"{quote(name)} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{quote(name)} is not JSON ({quote(error)})") from error
    if not isinstance(labels, dict) or not labels.keys() >= LABELS:
        raise ValueError(f"{quote(name)} lacks some of the labels {', '.join(sorted(LABELS))}")
    try:
        _check(labels)
    except ValueError as error:
        raise ValueError(f"{quote(name)}: {error}") from error
    return labels


def _check(labels: dict[str, Any]) -> None:
    if not isinstance(labels["key"], str) or not isinstance(labels["scheme"], str | None):
        raise ValueError(f"key and scheme must be texts, got {quote(labels['key'])} and {quote(labels['scheme'])}")
    for key, shape in _SHAPES.items():
        _check_numbers(labels.get(key), shape, key)
    attributes, boxes, camera = labels["attributes"], labels.get("boxes", {}), labels["intrinsics"]
    if not isinstance(attributes, dict) or not all(isinstance(attributes.get(key, ""), str) for key in _TEXTS):
        raise ValueError(f"attributes must be an object, {', '.join(_TEXTS)} texts, got {quote(attributes)}")
    if not isinstance(boxes, dict):
        raise ValueError(f"boxes must be an object, got {quote(boxes)}")
    for kind, sides in boxes.items():
        _check_numbers(sides, (4,), f"box {quote(kind)}")
    if camera is not None:
        sides = [camera.get(key) for key in ("fx", "fy", "cx", "cy")] if isinstance(camera, dict) else None
        _check_numbers(sides, (4,), "intrinsics")
        if sides is None or None in sides or min(sides[:2]) <= 0:
            raise ValueError(f"intrinsics must be fx, fy above 0, cx, and cy, got {quote(camera)}")


def _check_numbers(values: Any, shape: Sequence[int | None], what: str) -> None:
    """Check nested lists of numbers; null stands for an unknown number, or for all of them."""
    if values is None:
        return
    wanted = " x ".join("N" if side is None else str(side) for side in shape)
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(())
    fits = numbers.ndim == len(shape) and all(b in (None, a) for a, b in zip(numbers.shape, shape, strict=True))
    if not fits or (np.abs(numbers) > _MAX_NUMBER).any():
        raise ValueError(f"{what} must be {wanted} numbers within {_MAX_NUMBER:g}, got {quote(values)}")
