"""Templates: custom points in canonical face space.

Canonical face space is the crop around a frontal neutral face: x right, y down, 0 to 1 across the crop. As JSON:

    {"name": "lips", "points": [[0.4, 0.7], …], "names": ["corner", …], "groups": {"outer": [0]}, "edges": [[0, 1]]}

Only name and points are required; null is an omitted field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from edge_runtime.errors import TemplateError, require
from edge_runtime.landmarks import SCHEMES
from edge_runtime.reading import quote, read_json

MAX_POINTS = 256
"""Maximum number of points."""
MIN_DISTANCE = 0.002
"""Minimum distance of two points, crop widths (a quarter of a pixel); closer ones are duplicates."""


@dataclass(frozen=True, eq=False)
class Template:
    """Named set of points in canonical face space. ValueError names an invalid point or field."""

    name: str
    points: np.ndarray
    """(M, 2) float32 in [0, 1], x then y."""
    names: tuple[str, ...] = ()
    """Name of each point, or empty."""
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Indices by group; a point may be in several groups or in none."""
    edges: tuple[tuple[int, int], ...] = ()
    """Index pairs to join with a line in an overlay."""

    def __post_init__(self) -> None:
        printable = isinstance(self.name, str) and self.name.strip() and self.name.isprintable()
        require(printable, f"a template needs a printable name, got {quote(repr(self.name))}")
        require(self.name not in SCHEMES, f"{quote(self.name)} is the name of a landmark scheme; rename the template")
        try:
            points = np.array(self.points, np.float64)  # float32 would turn a large number into infinity
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"template {quote(self.name)}: points must be pairs of numbers") from None
        is_list = points.ndim == 2 and points.shape[1] == 2 and len(points) > 0
        self._require(is_list, f"points must be (M, 2), x then y, got shape {points.shape}")
        self._require(len(points) <= MAX_POINTS, f"got {len(points)} points, expected at most {MAX_POINTS}")
        self._check_points(points)
        names = self._names(len(points))
        by_name = isinstance(self.groups, Mapping) and all(isinstance(group, str) for group in self.groups)
        self._require(by_name, f"groups are lists of indices by name, got {quote(repr(self.groups))}")
        groups = {group: self._indices(members, len(points)) for group, members in self.groups.items()}
        self._require(_is_list(self.edges), f"edges are a list of pairs of indices, got {quote(repr(self.edges))}")
        edges = tuple(self._edge(edge, len(points)) for edge in self.edges)
        points = points.astype(np.float32)
        points.flags.writeable = False
        for key, value in (("points", points), ("names", names), ("edges", edges)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "groups", MappingProxyType(groups))

    def _require(self, valid: object, message: str) -> None:
        require(valid, f"template {quote(self.name)}: {message}")

    def _check_points(self, points: np.ndarray) -> None:
        """Raise ValueError for points that are not finite, outside [0, 1], or duplicates."""
        for row, point in enumerate(points):
            self._require(np.isfinite(point).all(), f"point {row} is {_written(point)}, expected finite numbers")
            inside = (point >= 0).all() and (point <= 1).all()
            self._require(inside, f"point {row} at {_written(point)} lies outside [0, 1]")
        distance = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.eye(len(points))
        for first, second in np.argwhere(distance < MIN_DISTANCE):
            self._require(False, f"points {first} and {second} are equal, {_written(points[first])}")

    def _names(self, count: int) -> tuple[str, ...]:
        strings = _is_list(self.names) and all(isinstance(name, str) for name in self.names)
        self._require(strings, f"names are a list of strings, got {quote(repr(self.names))}")
        unique = not self.names or len(self.names) == count == len(set(self.names))
        self._require(unique, f"names must be unique, one per point ({count}), got {quote(list(self.names))}")
        return tuple(self.names)

    def _indices(self, values: Any, count: int) -> tuple[int, ...]:
        # bool is an Integral, too.
        integers = _is_list(values) and all(isinstance(i, Integral) and not isinstance(i, bool) for i in values)
        self._require(integers, f"groups and edges are lists of indices, got {quote(repr(values))}")
        within = all(0 <= index < count for index in values)
        self._require(within, f"indices must lie in 0 to {count - 1}, got {quote(list(values))}")
        return tuple(map(int, values))

    def _edge(self, values: Any, count: int) -> tuple[int, int]:
        indices = self._indices(values, count)
        self._require(len(set(indices)) == len(indices) == 2, f"an edge joins two points, got {quote(list(indices))}")
        return indices[0], indices[1]

    def to_json(self) -> str:
        """Return the template as a JSON object."""
        return json.dumps(self.as_dict(), indent=1)

    def as_dict(self) -> dict[str, Any]:
        """Return the template as a dict of plain values."""
        return {
            "name": self.name,
            # Five decimals are a thousandth of a crop pixel.
            "points": [[round(float(x), 5), round(float(y), 5)] for x, y in self.points],
            "names": list(self.names),
            "groups": {group: list(members) for group, members in self.groups.items()},
            "edges": [list(edge) for edge in self.edges],
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Create a template from the result of `as_dict`. ValueError names an invalid field."""
        known = ("name", "points", "names", "groups", "edges")
        if not isinstance(values, dict) or not {"name", "points"} <= values.keys():
            raise ValueError("a template is a JSON object with `name` and `points`; names, groups, edges are optional")
        if unknown := sorted(values.keys() - set(known)):
            given = quote(", ".join(map(str, unknown)))
            raise ValueError(f"unknown template fields: {given}; known: {', '.join(known)}")
        return cls(**{key: value for key, value in values.items() if value is not None or key in known[:2]})

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a template from a JSON file. FileNotFoundError or TemplateError names the file."""
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"no template at {path}; create one with `python -m atpn template new`")
        try:
            return cls.from_dict(read_json(path, TemplateError))
        except TemplateError:
            raise
        except ValueError as error:
            raise TemplateError(f"{path}: {error}") from error


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _written(point: np.ndarray) -> list[float]:
    """Return a point without the digits that float32 adds."""
    return [round(float(value), 5) for value in point]
