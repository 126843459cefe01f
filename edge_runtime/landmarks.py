"""Landmark schemes: groups, mirror pairs, drawing edges, and conversions.

"Left" and "right" in group names are sides of the unmirrored image: the subject's right eye is `left_eye`. A scheme of
your own is a JSON file:

    {"name": "mine7", "count": 7, "mirror_pairs": [[0, 3], [1, 2], [5, 6]], "outer_eye_corners": [0, 3],
     "names": ["left_outer_corner", …], "groups": {"eyes": [0, 1, 2, 3], "nose": [4], "mouth": [5, 6]},
     "edges": [[0, 1], [2, 3], [5, 6]]}

`names`, `groups`, and `edges` may be left out.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from edge_runtime.errors import SchemeError, require
from edge_runtime.reading import quote, read_json

MIN_LANDMARKS, MAX_LANDMARKS = 3, 1024
"""Number of landmarks of a scheme: the eye corners and a third point for a face's extent; a dense face mesh has 478."""
_REQUIRED = ("name", "count", "mirror_pairs", "outer_eye_corners")
_OPTIONAL = ("groups", "edges", "names")
_WHOLE_FACE = "face"
"""Group of all landmarks where a scheme names no groups."""


def _paths(*runs: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return edges joining the indices of each run in order."""
    return tuple(edge for run in runs for edge in itertools.pairwise(run))


def _loops(*runs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return edges joining the indices of each run in order, and its last index to the first."""
    return _paths(*((*run, run[0]) for run in runs))


@dataclass(frozen=True)
class LandmarkScheme:
    """A named, ordered set of facial landmarks. ValueError names an invalid field."""

    name: str
    count: int
    groups: Mapping[str, tuple[int, ...]]
    """Disjoint parts of the face that together cover every index."""
    mirror_pairs: tuple[tuple[int, int], ...]
    """Index pairs that swap when the image is flipped horizontally; other indices are on the midline."""
    edges: tuple[tuple[int, int], ...]
    """Index pairs to join with a line in an overlay."""
    outer_eye_corners: tuple[int, int]
    """Indices whose distance normalizes NME, a mirror pair; eye centers if the scheme has no corners."""
    names: tuple[str, ...] = ()
    """Name of each landmark, or empty."""
    mirror: np.ndarray = field(init=False, repr=False, compare=False)
    """(count,) permutation: landmark i of a flipped image is landmark mirror[i] of the original."""

    def __post_init__(self) -> None:
        printable = isinstance(self.name, str) and self.name.strip() and self.name.isprintable()
        require(printable, f"a scheme needs a printable name, got {quote(repr(self.name))}")
        counted = _is_index(self.count) and MIN_LANDMARKS <= self.count <= MAX_LANDMARKS
        self._require(counted, f"count must be {MIN_LANDMARKS} to {MAX_LANDMARKS}, got {quote(repr(self.count))}")
        self._require(
            isinstance(self.groups, Mapping), f"groups are lists of indices by name, got {quote(repr(self.groups))}"
        )
        groups = {str(name): self._indices(group, f"group {quote(name)}") for name, group in self.groups.items()}
        covered = sorted(index for group in groups.values() for index in group)
        self._require(
            covered == list(range(self.count)),
            f"groups must cover 0..{self.count - 1} once; {_count_problem(covered, self.count)}",
        )
        pairs, edges = self._pairs(self.mirror_pairs, "mirror_pairs"), self._pairs(self.edges, "edges")
        paired = [index for pair in pairs for index in pair]
        twice = _repeated(paired)
        self._require(not twice, f"mirror_pairs hold {_written(twice)} more than once; a landmark has one mirror image")
        corners = self._pairs([self.outer_eye_corners], "outer_eye_corners")[0]
        self._require(
            corners in pairs or corners[::-1] in pairs,
            f"outer_eye_corners {list(corners)} must be one of mirror_pairs: they swap when the image is flipped",
        )
        self._check_names()
        mirror = np.arange(self.count)
        for left, right in pairs:
            mirror[left], mirror[right] = right, left
        mirror.flags.writeable = False
        for key, value in (
            *(("groups", MappingProxyType(groups)), ("mirror_pairs", pairs), ("edges", edges)),
            *(("outer_eye_corners", corners), ("names", tuple(self.names)), ("mirror", mirror)),
        ):
            object.__setattr__(self, key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy can neither be copied nor pickled.
        fields = self.name, self.count, dict(self.groups), self.mirror_pairs, self.edges, self.outer_eye_corners
        return type(self), (*fields, self.names)

    def _require(self, valid: object, message: str) -> None:
        require(valid, f"scheme {quote(self.name)}: {message}")

    def _indices(self, values: Any, what: str) -> tuple[int, ...]:
        valid = _is_list(values) and all(_is_index(value) for value in values)
        self._require(valid, f"{what} must be a list of indices, got {quote(repr(values))}")
        outside = [value for value in values if not 0 <= value < self.count]
        self._require(not outside, f"{what}: indices must lie in 0 to {self.count - 1}, got {_written(outside)}")
        return tuple(int(value) for value in values)

    def _pairs(self, values: Any, what: str) -> tuple[tuple[int, int], ...]:
        self._require(_is_list(values), f"{what} must be a list of index pairs, got {quote(repr(values))}")
        pairs = [self._indices(value, what) for value in values]
        wrong = [list(pair) for pair in pairs if len(pair) != 2 or pair[0] == pair[1]]
        self._require(not wrong, f"{what}: expected pairs of two different indices, got {quote(wrong[:1])}")
        return tuple((first, second) for first, second in pairs)

    def _check_names(self) -> None:
        strings = _is_list(self.names) and all(isinstance(name, str) and name.strip() for name in self.names)
        self._require(strings, f"names must be a list of non-empty strings, got {quote(repr(self.names))}")
        given = len(self.names)
        self._require(given in (0, self.count), f"got {given} names, expected one per landmark ({self.count})")
        repeated = _repeated(self.names)
        self._require(not repeated, f"names must be unique, got {quote(', '.join(repeated))} more than once")

    def to_dict(self) -> dict[str, Any]:
        """Return the scheme as a dict of plain values."""
        return {
            "name": self.name,
            "count": self.count,
            "names": list(self.names),
            "groups": {name: list(group) for name, group in self.groups.items()},
            "mirror_pairs": [list(pair) for pair in self.mirror_pairs],
            "edges": [list(edge) for edge in self.edges],
            "outer_eye_corners": list(self.outer_eye_corners),
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Create a scheme from the result of `to_dict`. ValueError names an invalid field."""
        if not isinstance(values, dict):
            raise ValueError(f"a scheme is a JSON object with {', '.join(_REQUIRED)}, got {type(values).__name__}")
        if missing := [key for key in _REQUIRED if values.get(key) is None]:
            raise ValueError(f"a scheme needs {', '.join(_REQUIRED)}; missing: {', '.join(missing)}")
        if unknown := sorted(values.keys() - {*_REQUIRED, *_OPTIONAL}):
            known = ", ".join((*_REQUIRED, *_OPTIONAL))
            raise ValueError(f"unknown scheme fields: {quote(', '.join(map(str, unknown)))}; known: {known}")
        given = {key: value for key, value in values.items() if value is not None}
        if "groups" not in given and _is_index(given["count"]) and 0 < given["count"] <= MAX_LANDMARKS:
            given["groups"] = {_WHOLE_FACE: tuple(range(given["count"]))}
        scheme = cls(**{"groups": {}, "edges": (), **given})
        if SCHEMES.get(scheme.name, scheme) != scheme:
            raise ValueError(f"{quote(scheme.name)} is the name of a known scheme with other landmarks; rename yours")
        return scheme

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a scheme from a JSON file. FileNotFoundError or SchemeError names the file."""
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(
                f"no landmark scheme at {path}; give a JSON file, or one of {', '.join(SCHEMES)} by its name"
            )
        try:
            return cls.from_dict(read_json(path, SchemeError))
        except SchemeError:
            raise
        except ValueError as error:
            raise SchemeError(f"{path}: {error}") from error

    @property
    def reference(self) -> str | dict[str, Any]:
        """What files store: the name of a known scheme, or the definition (`to_dict`) of another."""
        return self.name if SCHEMES.get(self.name) == self else self.to_dict()

    @staticmethod
    def from_reference(reference: Any) -> LandmarkScheme:
        """Return the scheme of a `reference`. ValueError for an unknown name or an invalid definition."""
        return scheme_by_name(reference) if isinstance(reference, str) else LandmarkScheme.from_dict(reference)

    def inter_ocular(self, landmarks: np.ndarray) -> np.ndarray:
        """Return the (...) distances between the outer eye corners of (..., count, 2) landmarks, in their unit."""
        left, right = self.outer_eye_corners
        return np.asarray(np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1))


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _is_index(value: Any) -> bool:
    # bool is an Integral, too.
    return isinstance(value, Integral) and not isinstance(value, bool)


def _written(indices: Sequence[int], most: int = 8) -> str:
    """Return some of the indices as text."""
    return ", ".join(map(str, indices[:most])) + (f" and {len(indices) - most} more" if len(indices) > most else "")


def _repeated(values: Sequence[Any]) -> list[Any]:
    """Return what is in a sequence more than once, sorted."""
    return sorted(value for value, count in Counter(values).items() if count > 1)


def _count_problem(covered: Sequence[int], count: int) -> str:
    """Return what is wrong with sorted indices that should be 0 to count - 1."""
    missing = sorted(set(range(count)) - set(covered))
    twice = _repeated(covered)
    return f"without a group: {_written(missing) or 'none'}; in several: {_written(twice) or 'none'}"


def _wflw_mirror_pairs() -> tuple[tuple[int, int], ...]:
    contour = [(i, 32 - i) for i in range(16)]
    brows = [(33, 46), (34, 45), (35, 44), (36, 43), (37, 42), (38, 50), (39, 49), (40, 48), (41, 47)]
    nose = [(55, 59), (56, 58)]
    eyes = [(60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73), (96, 97)]
    lips = [(76, 82), (77, 81), (78, 80), (87, 83), (86, 84), (88, 92), (89, 91), (95, 93)]
    return tuple(contour + brows + nose + eyes + lips)


def _ibug_mirror_pairs() -> tuple[tuple[int, int], ...]:
    contour = [(i, 16 - i) for i in range(8)]
    brows = [(17 + i, 26 - i) for i in range(5)]
    nose = [(31, 35), (32, 34)]
    eyes = [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    lips = [(48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)]
    return tuple(contour + brows + nose + eyes + lips)


WFLW_98 = LandmarkScheme(
    name="wflw98",
    count=98,
    groups={
        "jaw": tuple(range(33)),
        "left_brow": tuple(range(33, 42)),
        "right_brow": tuple(range(42, 51)),
        "nose": tuple(range(51, 60)),
        "left_eye": (*range(60, 68), 96),
        "right_eye": (*range(68, 76), 97),
        "mouth": tuple(range(76, 96)),
    },
    mirror_pairs=_wflw_mirror_pairs(),
    edges=(
        *_paths(range(33)),
        *_loops(range(33, 42), range(42, 51)),
        *_paths(range(51, 55), range(55, 60)),
        *_loops(range(60, 68), range(68, 76), range(76, 88), range(88, 96)),
    ),
    outer_eye_corners=(60, 72),
)
"""WFLW (Wu et al., 2018): what ATPN predicts."""

IBUG_68 = LandmarkScheme(
    name="ibug68",
    count=68,
    groups={
        "jaw": tuple(range(17)),
        "left_brow": tuple(range(17, 22)),
        "right_brow": tuple(range(22, 27)),
        "nose": tuple(range(27, 36)),
        "left_eye": tuple(range(36, 42)),
        "right_eye": tuple(range(42, 48)),
        "mouth": tuple(range(48, 68)),
    },
    mirror_pairs=_ibug_mirror_pairs(),
    edges=(
        *_paths(range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36)),
        *_loops(range(36, 42), range(42, 48), range(48, 60), range(60, 68)),
    ),
    outer_eye_corners=(36, 45),
)
"""iBUG / Multi-PIE 68 points (Sagonas et al., 2013): 300W, AFW, 300W-LP."""

COFW_29 = LandmarkScheme(
    name="cofw29",
    count=29,
    groups={
        "left_brow": (0, 2, 4, 5),
        "right_brow": (1, 3, 6, 7),
        "left_eye": (8, 10, 12, 13, 16),
        "right_eye": (9, 11, 14, 15, 17),
        "nose": (18, 19, 20, 21),
        "mouth": (22, 23, 24, 25, 26, 27),
        "jaw": (28,),
    },
    mirror_pairs=(
        *((0, 1), (2, 3), (4, 6), (5, 7), (8, 9), (10, 11), (12, 14), (13, 15), (16, 17), (18, 19), (22, 23)),
    ),
    edges=(
        *_loops((0, 4, 2, 5), (1, 6, 3, 7), (8, 12, 10, 13), (9, 14, 11, 15)),
        *_paths((18, 21, 19), (20, 21)),
        *_loops((22, 24, 23, 27)),
        *_paths((22, 25, 23, 26, 22)),
    ),
    outer_eye_corners=(8, 9),
)
"""COFW (Burgos-Artizzu et al., 2013)."""

CELEBA_5 = LandmarkScheme(
    name="celeba5",
    count=5,
    groups={"left_eye": (0,), "right_eye": (1,), "nose": (2,), "mouth": (3, 4)},
    mirror_pairs=((0, 1), (3, 4)),
    edges=((0, 2), (1, 2), (2, 3), (2, 4), (3, 4)),
    outer_eye_corners=(0, 1),
)
"""CelebA (Liu et al., 2015) and MAFL: eye centers, nose tip, mouth corners."""

SCHEMES: Mapping[str, LandmarkScheme] = MappingProxyType({s.name: s for s in (WFLW_98, IBUG_68, COFW_29, CELEBA_5)})


def scheme_by_name(name: str) -> LandmarkScheme:
    """Return the scheme of this name. ValueError lists the known ones."""
    if name not in SCHEMES:
        raise ValueError(
            f"unknown landmark scheme {quote(repr(name))}; known schemes: {', '.join(SCHEMES)}; read another with "
            "LandmarkScheme.read(path)"
        )
    return SCHEMES[name]


_WFLW_TO_IBUG: tuple[tuple[int, ...], ...] = tuple(
    (i,)
    for i in (
        *range(0, 33, 2),
        *range(33, 38),
        *range(42, 47),
        *range(51, 60),
        *(60, 61, 63, 64, 65, 67),
        *(68, 69, 71, 72, 73, 75),
        *range(76, 96),
    )
)
# COFW has one point at the middle of the lower brow edge and at the inner brow end, WFLW two: take their mean.
_WFLW_TO_COFW: tuple[tuple[int, ...], ...] = (
    *((33,), (46,), (37, 38), (42, 50), (35,), (39, 40), (44,), (48, 49)),
    *((60,), (72,), (64,), (68,), (62,), (66,), (70,), (74,), (96,), (97,)),
    *((55,), (59,), (54,), (57,)),
    *((76,), (82,), (79,), (90,), (94,), (85,)),
    (16,),
)
_WFLW_TO_CELEBA: tuple[tuple[int, ...], ...] = ((96,), (97,), (54,), (76,), (82,))
_CONVERSIONS: Mapping[tuple[str, str], tuple[tuple[int, ...], ...]] = MappingProxyType(
    {
        ("wflw98", "ibug68"): _WFLW_TO_IBUG,
        ("wflw98", "cofw29"): _WFLW_TO_COFW,
        ("wflw98", "celeba5"): _WFLW_TO_CELEBA,
    }
)


def convert(landmarks: np.ndarray, source: LandmarkScheme, target: LandmarkScheme) -> np.ndarray:
    """Convert (..., source.count, D) values per landmark to (..., target.count, D).

    Each target landmark is the mean of one or two source landmarks. ValueError if there is no such conversion; WFLW
    converts to the others.
    """
    if source == target:
        return landmarks
    table = _CONVERSIONS.get((source.name, target.name))
    if table is None:
        known = ", ".join(f"{a} to {b}" for a, b in _CONVERSIONS)
        raise ValueError(f"no conversion from {source.name} to {target.name}; known conversions: {known}")
    return np.stack([landmarks[..., list(indices), :].mean(axis=-2) for indices in table], axis=-2)
