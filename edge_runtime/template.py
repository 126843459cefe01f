"""Landmark templates: points that a user draws on the mean-face plane, to be found on faces.

The plane's coordinates are those of the crop around a neutral face seen from the front: x right, y down, 0 to 1 across
the crop. As JSON:

    {"name": "lips", "points": [[0.4, 0.7], …], "names": ["corner", …], "groups": {"outer": [0]}, "edges": [[0, 1]]}

where only name and points are needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from edge_runtime.errors import TemplateError
from edge_runtime.landmarks import SCHEMES

MOST_POINTS = 256
"""More are a mesh, not a template."""
LEAST_DISTANCE = 0.002
"""Of the crop; a quarter of a pixel. Two points closer than this are one that was entered twice."""


@dataclass(frozen=True, eq=False)
class Template:
    """A named set of points on the mean-face plane. A ValueError says which of them breaks what rule."""

    name: str
    points: np.ndarray
    """(M, 2) float32, [0, 1] of the plane."""
    names: tuple[str, ...] = ()
    """What each point is called; empty: by its number."""
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Parts by name; a point may be in several or in none."""
    edges: tuple[tuple[int, int], ...] = ()
    """Points to join with a line in an overlay."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise ValueError(f"a template needs a printable name, got {self.name!r}")
        if self.name in SCHEMES:
            raise ValueError(f"{self.name} is the name of a landmark scheme; call the template something else")
        try:
            points = np.array(self.points, np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"template {self.name}: points must be pairs of numbers") from None
        if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
            raise ValueError(f"template {self.name}: points must be (M, 2), x then y, got shape {points.shape}")
        if len(points) > MOST_POINTS:
            raise ValueError(f"template {self.name} has {len(points)} points, {MOST_POINTS} at most can be found")
        _check_points(self.name, points)
        names = tuple(map(str, self.names))
        if names and (len(names) != len(points) or len(set(names)) < len(names)):
            raise ValueError(f"template {self.name}: names must differ and be one per point ({len(points)})")
        groups = {str(group): self._indices(members, len(points)) for group, members in dict(self.groups).items()}
        edges = tuple(self._indices(edge, len(points)) for edge in self.edges)
        if any(len(edge) != 2 for edge in edges):
            raise ValueError(f"template {self.name}: an edge joins two points, got {edges}")
        points.flags.writeable = False
        for key, value in (("points", points), ("names", names), ("edges", edges)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "groups", MappingProxyType(groups))

    def _indices(self, values: Any, count: int) -> tuple[int, ...]:
        try:
            indices = tuple(int(value) for value in values)
        except (TypeError, ValueError):
            raise ValueError(f"template {self.name}: groups and edges are lists of indices, got {values!r}") from None
        if not all(0 <= index < count for index in indices):
            raise ValueError(f"template {self.name}: {list(indices)} names points outside 0 to {count - 1}")
        return indices

    def to_json(self) -> str:
        """The template as one JSON object."""
        return json.dumps(self.as_dict(), indent=1)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
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
        """The inverse of `as_dict`; ValueError says what is missing, unknown or wrong."""
        known = ("name", "points", "names", "groups", "edges")
        if not isinstance(values, dict) or not {"name", "points"} <= values.keys():
            raise ValueError("a template is a JSON object with `name` and `points`, and perhaps names, groups, edges")
        if unknown := sorted(values.keys() - set(known)):
            raise ValueError(f"a template has no {', '.join(unknown)}; it has {', '.join(known)}")
        return cls(**values)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a template's JSON; FileNotFoundError or TemplateError names the file."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no template at {path}; `python -m atpn template new` makes one")
        try:
            return cls.from_dict(json.loads(path.read_bytes()))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TemplateError(f"{path} is not JSON: {error}") from error
        except ValueError as error:
            raise TemplateError(f"{path}: {error}") from error


def _check_points(name: str, points: np.ndarray) -> None:
    """ValueError for points that are no numbers, outside the plane, or the same as another."""
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise ValueError(f"template {name}: point {row} is {_written(points[row])}, expected finite numbers")
    outside = np.flatnonzero(((points < 0) | (points > 1)).any(axis=1))
    if len(outside):
        row = int(outside[0])
        raise ValueError(
            f"template {name}: point {row} at {_written(points[row])} lies outside the plane, 0 to 1 both ways"
        )
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.eye(len(points))
    if (distance < LEAST_DISTANCE).any():
        first, second = (int(i) for i in np.argwhere(distance < LEAST_DISTANCE)[0])
        raise ValueError(f"template {name}: points {first} and {second} are the same place, {_written(points[first])}")


def _written(point: np.ndarray) -> list[float]:
    """A point as its user wrote it, without what float32 adds."""
    return [round(float(value), 5) for value in point]
