"""Templates from landmark schemes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.template import Template


def chosen_indices(scheme: LandmarkScheme, groups: Sequence[str], indices: Sequence[int]) -> tuple[int, ...]:
    """Return indices of these groups and landmarks, in the scheme's order; all if neither is given.

    ValueError if the scheme does not have a group or landmark.
    """
    if unknown := [group for group in groups if group not in scheme.groups]:
        raise ValueError(f"{scheme.name} has no group {', '.join(unknown)}; it has {', '.join(scheme.groups)}")
    if outside := [index for index in indices if not 0 <= index < scheme.count]:
        raise ValueError(f"{scheme.name} has landmarks 0 to {scheme.count - 1}, not {', '.join(map(str, outside))}")
    chosen = {*indices, *(index for group in groups for index in scheme.groups[group])}
    return tuple(sorted(chosen)) or tuple(range(scheme.count))


def scheme_template(name: str, scheme: LandmarkScheme, anchors: np.ndarray, indices: Sequence[int]) -> Template:
    """Make a template of a scheme's landmarks with these indices, given all its anchors on the plane.

    Groups and edges are those of the chosen landmarks; names are group and index ("mouth_76").
    """
    place = {index: i for i, index in enumerate(indices)}
    group_of = {index: group for group, members in scheme.groups.items() for index in members}
    groups = {
        group: tuple(place[index] for index in members if index in place) for group, members in scheme.groups.items()
    }
    return Template(
        name,
        anchors[list(indices)],
        names=tuple(f"{group_of[index]}_{index}" for index in indices),
        groups={group: members for group, members in groups.items() if members},
        edges=tuple((place[a], place[b]) for a, b in scheme.edges if a in place and b in place),
    )
