"""Landmark schemes: groups, mirror pairs, drawing edges, and conversions.

"Left" and "right" in group names are sides of the unmirrored image: the subject's right eye is `left_eye`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np


def _paths(*runs: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return edges joining the indices of each run in order."""
    return tuple(edge for run in runs for edge in itertools.pairwise(run))


def _loops(*runs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return edges joining the indices of each run in order, and its last index to the first."""
    return _paths(*((*run, run[0]) for run in runs))


@dataclass(frozen=True)
class LandmarkScheme:
    """A named, ordered set of facial landmarks."""

    name: str
    count: int
    groups: Mapping[str, tuple[int, ...]]
    """Disjoint parts of the face that together cover every index."""
    mirror_pairs: tuple[tuple[int, int], ...]
    """Index pairs that swap when the image is flipped horizontally; other indices are on the midline."""
    edges: tuple[tuple[int, int], ...]
    """Index pairs to join with a line in an overlay."""
    outer_eye_corners: tuple[int, int]
    """Indices whose distance normalizes NME; eye centers if the scheme has no corners."""
    mirror: np.ndarray = field(init=False, repr=False, compare=False)
    """(count,) permutation: landmark i of a flipped image is landmark mirror[i] of the original."""

    def __post_init__(self) -> None:
        covered = sorted(index for group in self.groups.values() for index in group)
        if covered != list(range(self.count)):
            raise ValueError(f"scheme {self.name}: groups must cover 0..{self.count - 1} once, got {covered}")
        mirror = np.arange(self.count)
        for left, right in self.mirror_pairs:
            mirror[left], mirror[right] = right, left
        mirror.flags.writeable = False
        object.__setattr__(self, "mirror", mirror)
        object.__setattr__(self, "groups", MappingProxyType(dict(self.groups)))

    def inter_ocular(self, landmarks: np.ndarray) -> np.ndarray:
        """Return the (...) distances between the outer eye corners of (..., count, 2) landmarks, in their unit."""
        left, right = self.outer_eye_corners
        return np.asarray(np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1))


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
        raise ValueError(f"unknown landmark scheme {name!r}; known schemes: {', '.join(SCHEMES)}")
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
    if source.name == target.name:
        return landmarks
    table = _CONVERSIONS.get((source.name, target.name))
    if table is None:
        known = ", ".join(f"{a} to {b}" for a, b in _CONVERSIONS)
        raise ValueError(f"no conversion from {source.name} to {target.name}; known conversions: {known}")
    return np.stack([landmarks[..., list(indices), :].mean(axis=-2) for indices in table], axis=-2)
