"""Check, before training, that a training set has the labels of a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from atpn.data.shards import list_shards, read_shard

Labels = dict[str, Any]


def _landmarks(labels: Labels) -> bool:
    points = labels["landmarks"]
    return points is not None and not any(None in point for point in points)


def _boxes(labels: Labels) -> bool:
    return labels["landmarks"] is None and bool(labels.get("boxes"))


NEEDS: Mapping[str, tuple[Callable[[Labels], bool], str]] = {
    "landmarks": (_landmarks, "landmarks that are all known"),
    "tracking": (lambda labels: _landmarks(labels) or _boxes(labels), "landmarks that are all known, or a box"),
    "pose": (lambda labels: _landmarks(labels) and labels["rotation"] is not None, "landmarks and a rotation"),
    "expressions": (
        lambda labels: _landmarks(labels) and bool(labels.get("expressions")) and bool(labels.get("gaze")),
        "landmarks, expressions, and gaze",
    ),
    "detector": (_landmarks, "landmarks that are all known"),
}
"""By stage: whether a sample has the labels that it needs, and their description. One such sample is enough."""


def check_data(stage: str, folder: Path) -> None:
    """Check that a sample of a folder's shards has the stage's labels.

    FileNotFoundError if the folder has no shards; ValueError if no sample has the labels.
    """
    suffices, what = NEEDS[stage]
    count = 0
    for shard in list_shards(folder):
        for sample in read_shard(shard):
            count += 1
            if suffices(sample.labels):
                return
    raise ValueError(
        f"the {stage} stage cannot use {folder}: none of its {count} samples has {what}; "
        "see docs/datasets.md for the labels of each dataset"
    )
