"""Whole tracks of exported files on videos: what their small differences become in the loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.detector import Detector
from edge_runtime.sources import open_source
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker
from export.measure import Measured
from export.parity import Parity


def add_tracks(rows: Sequence[Measured[Parity]], videos: Sequence[Path]) -> list[Measured[Parity]]:
    """Rows with the distance of their tracks from those of the first fp32 file (or the first at all), for each video.

    Tracks are unsmoothed, so that differences are the files' own. SourceError names a video that cannot be read.
    """
    able = [row for row in rows if row.format.native and "pose" in row.spec.outputs]
    able.sort(key=lambda row: row.spec.precision != "fp32")
    if not able or not videos:
        return list(rows)
    found: dict[Path, dict[str, dict[str, float]]] = {row.path: {} for row in able}
    for video in videos:
        first: list[tuple[int, np.ndarray] | None] = []
        for row in able:
            made = _track(row.path, video)
            first = first or made
            found[row.path][video.stem] = _distance(made, first)
    return [dataclasses.replace(row, tracks=found.get(row.path, {})) for row in rows]


def _track(model: Path, video: Path, detector: Detector | None = None) -> list[tuple[int, np.ndarray] | None]:
    """Per frame the face's id and (N, 2) landmarks in pixels, None while there is none."""
    # A file with prompts must be asked for something; tracks are of the landmarks.
    template = Template("middle", np.array([[0.5, 0.5]])) if ModelSpec.read(model).prompts else None
    tracker = FaceTracker(model, detector, smoothing=0.0, template=template)
    with open_source(str(video)) as source:
        faces = (tracker.update(frame.image, frame.timestamp) for frame in source)
        return [(found[0].id, found[0].landmarks) if found else None for found in faces]


def _distance(
    made: Sequence[tuple[int, np.ndarray] | None], first: Sequence[tuple[int, np.ndarray] | None]
) -> dict[str, float]:
    """Of two files' tracks of one video."""
    both = [(a, b) for a, b in zip(made, first, strict=True) if a is not None and b is not None]
    same = [np.linalg.norm(a[1] - b[1], axis=1).mean() for a, b in both if a[0] == b[0]]
    return {
        "frames": len(made),
        "held_by_both": len(both),
        "same_id": len(same),
        "held_by_one": sum((a is None) != (b is None) for a, b in zip(made, first, strict=True)),
        "mean_pixels": float(np.mean(same)) if same else float("nan"),
        "p95_pixels": float(np.percentile(same, 95)) if same else float("nan"),
    }
