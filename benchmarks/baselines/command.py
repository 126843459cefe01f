"""`python -m benchmarks baselines`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2

from benchmarks.baselines.adapters import AtpnNetwork, open_baselines
from benchmarks.baselines.network import LandmarkNetwork, scaled
from benchmarks.baselines.overlay import draw_networks
from benchmarks.baselines.timing import PIPELINE, time_clip, time_metrics
from benchmarks.clip import swaying_frames
from benchmarks.inputs import check_minimum, models_option, tracking_files, video_files
from benchmarks.results import Curve, Metric, Results
from benchmarks.tables import publish
from edge_runtime.files import write_atomically
from edge_runtime.flags import flag
from edge_runtime.options import TrackerOptions
from edge_runtime.output_paths import Output
from edge_runtime.sources import Frame, open_source
from edge_runtime.tracker import FaceTracker

if TYPE_CHECKING:
    from benchmarks.baselines.accuracy import Accuracy

SHOWN_CLIPS = 4
"""Number of clips in the overlay image."""
SHOWN_AGE = 20
"""Age of the track in the overlay image, frames."""
NOTES = (
    "One thread, interleaved on the same frames and ROIs, each network's second run on a frame; processor time.",
    "A whole tracked frame is FaceTracker.update: motion, crop, network, checks, smoothing, pose.",
    "AFW: every other photograph; the baselines' boxes, in landmark rectangles, were chosen on the others. Errors are "
    "over the distance of the outer eye corners, for the points that a network has. Adapted: after a linear map to "
    "the labels' convention, fitted to the other nine tenths of the reported photographs.",
    "London set: distance to curves and to points drawn by hand, % of the outer eye corners' distance.",
)
Clip = Callable[[], AbstractContextManager[Iterable[Frame]]]
"""Opens a clip; may be called repeatedly."""


@dataclass(frozen=True)
class BaselinesConfig:
    """Options of `baselines`."""

    baselines: Path = flag(Path("baselines"), "folder of the baselines' files")
    videos: Path | None = flag(None, "folder of videos, or one video; default: a rendered, swaying face")
    afw: Path | None = flag(None, "folder of AFW's labels.json and images, to measure errors, too")
    london: Path | None = flag(None, "folder of the London set, to measure errors against drawn outlines, too")
    mediapipe: Path | None = flag(None, "wheel of mediapipe 0.10.21, or the face_landmark.tflite from it")
    models: Path = models_option()
    out: Annotated[Path, Output(beside=(".png",))] = flag(
        Path("dist/bench/baselines.json"), "results file; an overlay image .png is written beside it"
    )
    frames: int = flag(120, "maximum number of tracked frames of each video")

    def __post_init__(self) -> None:
        check_minimum(self, frames=1)
        if self.london is not None and self.afw is None:
            raise ValueError("--london needs --afw, on whose photographs the baselines' boxes are chosen")


def compare(config: BaselinesConfig) -> None:
    """Measure time and, with AFW, errors; write the results and an image of every network's points."""
    models = tracking_files(config.models)
    clips = open_clips(config.videos)
    ours = [AtpnNetwork(path) for path in models]
    baselines, skipped = open_baselines(config.baselines, config.mediapipe)
    networks: list[LandmarkNetwork] = [*ours, *baselines]
    times = []
    for name, opened in clips.items():
        with opened() as frames:
            times.append(time_clip(name, frames, ours, baselines, config.frames))
        print(f"{name}: {times[-1].frames} frames timed", file=sys.stderr)
    accuracy, outlines = _errors(config, networks)
    metrics = time_metrics(times, [n.name for n in ours], [n.name for n in baselines])
    milliseconds = {m.row: m.value for m in metrics if m.column == PIPELINE}
    results = Results(
        "baselines",
        [*metrics, *(metric for each in accuracy for metric in each.metrics()), *outlines],
        [*(each.curve() for each in accuracy), *(_dot(each, milliseconds[each.name]) for each in accuracy)],
        notes=[*NOTES, *(f"Left out: {name}, {reason}." for name, reason in skipped.items())],
        settings={"threads": 1, "clips": {clip.clip: clip.frames for clip in times}, "photographs": str(config.afw)},
    )
    publish(results, config.out)
    write_overlay(config.out.with_suffix(".png"), models[0], networks, list(clips.values())[:SHOWN_CLIPS])


def _errors(config: BaselinesConfig, networks: Sequence[LandmarkNetwork]) -> tuple[list[Accuracy], list[Metric]]:
    """Return errors on AFW, and against the London set's outlines, as far as their folders are given."""
    if config.afw is None:
        return [], []
    # Reading photographs needs the training dependencies, which a device does not have.
    from atpn.data.afw import read_afw
    from benchmarks.baselines.accuracy import evaluate, split
    from benchmarks.baselines.outlines import evaluate_outlines, read_faces

    selection, reported = split(list(read_afw(config.afw)))
    faces = read_faces(config.london) if config.london is not None else []
    accuracy: list[Accuracy] = []
    outlines: list[Metric] = []
    for network in networks:
        accuracy.append(evaluate(network, selection, reported))
        if faces:
            outlines += evaluate_outlines(network, faces, accuracy[-1].box_scale)
        print(f"{network.name}: done", file=sys.stderr)
    return accuracy, outlines


def open_clips(videos: Path | None) -> dict[str, Clip]:
    """Return functions that open the clips, by name. Raise FileNotFoundError for a folder without a video."""
    if videos is None:
        return {"a rendered face that sways": lambda: nullcontext(swaying_frames())}
    return {video.name: partial(open_source, str(video)) for video in video_files(videos)}


def _dot(accuracy: Accuracy, milliseconds: float) -> Curve:
    """Return one network's dot in the chart of error against time."""
    axes = f"{PIPELINE}: ms on this machine", "AFW: NME, % of the eye distance"
    error = float(accuracy.per_face.mean())
    return Curve("error against time", accuracy.name, *axes, [milliseconds], [error], [accuracy.name])


def write_overlay(path: Path, model: Path, networks: Sequence[LandmarkNetwork], clips: Sequence[Clip]) -> None:
    """Write a frame of each clip in which our tracker tracks a face, with every network's points."""
    faces = []
    for opened in clips:
        tracker = FaceTracker(TrackerOptions(model=model))
        with opened() as frames:
            for frame in frames:
                found = tracker.update(frame.image, frame.timestamp)
                if found and found[0].age >= SHOWN_AGE:
                    faces.append((frame.image, scaled(found[0].roi, 1 / networks[0].box_scale)))
                    break
    if faces:
        write_atomically(path, cv2.imencode(".png", draw_networks(networks, faces))[1].tobytes())
