"""Compare whole tracks of exported files on videos: what their small differences become in the loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.detector import Detector
from edge_runtime.options import TrackerOptions
from edge_runtime.sources import open_source
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker
from export.evaluation import ArtifactReport, ParityT


def add_tracks(reports: Sequence[ArtifactReport[ParityT]], videos: Sequence[Path]) -> list[ArtifactReport[ParityT]]:
    """Add the difference of tracks from those of the first fp32 file, or of the first file, on each video.

    Tracks are unsmoothed, so that differences are the files' own. SourceError names a video that cannot be read.
    """
    tracked = [report for report in reports if report.format.native and "pose" in report.spec.outputs]
    tracked.sort(key=lambda report: report.spec.precision != "fp32")
    differences: dict[Path, dict[str, dict[str, float]]] = {report.path: {} for report in tracked}
    for video in videos:
        reference: list[tuple[int, np.ndarray] | None] = []
        for report in tracked:
            track = _track(report.path, video)
            reference = reference or track
            differences[report.path][video.stem] = _difference(track, reference)
    return [dataclasses.replace(report, tracks=differences.get(report.path, {})) for report in reports]


def _track(model: Path, video: Path, detector: Detector | None = None) -> list[tuple[int, np.ndarray] | None]:
    """Return the face's id and (N, 2) landmarks in frame pixels for each frame, None without a face."""
    # A file with query points needs some; tracks are of the landmarks.
    template = Template("middle", np.array([[0.5, 0.5]])) if ModelSpec.read(model).prompts else None
    tracker = FaceTracker(TrackerOptions(model=model, detector=detector, smoothing=0.0, template=template))
    with open_source(str(video)) as source:
        results = (tracker.update(frame.image, frame.timestamp) for frame in source)
        return [(faces[0].id, faces[0].landmarks) if faces else None for faces in results]


def _difference(
    track: Sequence[tuple[int, np.ndarray] | None], reference: Sequence[tuple[int, np.ndarray] | None]
) -> dict[str, float]:
    """Compare two tracks of one video."""
    pairs = list(zip(track, reference, strict=True))
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    same = [np.linalg.norm(a[1] - b[1], axis=1).mean() for a, b in both if a[0] == b[0]]
    return {
        "frames": len(track),
        "tracked_by_both": len(both),
        "same_id": len(same),
        "tracked_by_one": sum((a is None) != (b is None) for a, b in pairs),
        "mean_pixels": float(np.mean(same)) if same else float("nan"),
        "p95_pixels": float(np.percentile(same, 95)) if same else float("nan"),
    }
