"""`python -m benchmarks peers`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from benchmarks.clip import swaying_frames
from benchmarks.inputs import VIDEO_SUFFIXES, files, tracking_files
from benchmarks.peers.catalogue import open_peers
from benchmarks.peers.network import LandmarkNetwork, region_of
from benchmarks.peers.ours import AtpnNetwork
from benchmarks.peers.picture import draw_networks
from benchmarks.peers.timing import AROUND, time_clip, time_figures
from benchmarks.results import Curve, Results
from edge_runtime.files import write_atomically
from edge_runtime.sources import Frame, open_source
from edge_runtime.tracker import FaceTracker

if TYPE_CHECKING:
    from benchmarks.peers.accuracy import Accuracy

PICTURED = 4
"""Clips of which the picture shows a frame."""
PICTURED_FRAME = 20
NOTES = (
    "One thread, interleaved on the same frames and regions, each network's second run on a frame; processor time.",
    "A whole tracked frame is FaceTracker.update: motion, crop, network, checks, smoothing, pose.",
    "AFW: every other photograph; the peers' boxes, in landmark rectangles, were chosen on the others. Errors over the "
    "distance of the outer eye corners, of the points that a network has.",
)
Clip = Callable[[], AbstractContextManager[Iterable[Frame]]]
"""Opens a clip, as often as asked."""


@dataclass(frozen=True)
class PeersConfig:
    """Options of `peers`."""

    peers: Path = field(default=Path("peers"), metadata={"help": "folder of the peers' files"})
    videos: Path | None = field(
        default=None, metadata={"help": "folder of videos, or one video; none: a rendered face that sways"}
    )
    afw: Path | None = field(default=None, metadata={"help": "folder of AFW's labels.json and images: errors, too"})
    mediapipe: Path | None = field(
        default=None, metadata={"help": "wheel of mediapipe 0.10.21, or the face_landmark.tflite out of one"}
    )
    models: Path = field(default=Path("dist"), metadata={"help": "folder of our .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/bench/peers.json"), metadata={"help": "results; a .png is put beside them"})
    frames: int = field(default=120, metadata={"help": "tracked frames of each video, at most"})

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"--frames must be 1 or more, got {self.frames}")


def compare(config: PeersConfig) -> None:
    """Time and, with AFW, score the networks; write results and a picture of every network's points."""
    models = tracking_files(config.models)
    clips = clips_of(config.videos)
    ours = [AtpnNetwork(path) for path in models]
    peers, skipped = open_peers(config.peers, config.mediapipe)
    networks: list[LandmarkNetwork] = [*ours, *peers]
    times = []
    for name, opened in clips.items():
        with opened() as frames:
            times.append(time_clip(name, frames, ours, peers, config.frames))
        print(f"{name}: {times[-1].frames} frames timed", file=sys.stderr)
    accuracy = []
    if config.afw is not None:
        # Photographs are read by the part of the project that trains, which a device does not have.
        from atpn.data.afw import read_afw
        from benchmarks.peers.accuracy import measure, split

        choosing, reported = split(list(read_afw(config.afw)))
        for network in networks:
            accuracy.append(measure(network, choosing, reported))
            print(f"{network.name}: scored", file=sys.stderr)
    figures = time_figures(times, [n.name for n in ours], [n.name for n in peers])
    milliseconds = {f.row: f.value for f in figures if f.column == AROUND}
    results = Results(
        "peers",
        [*figures, *(figure for each in accuracy for figure in each.figures())],
        [*(each.curve() for each in accuracy), *(_dot(each, milliseconds[each.name]) for each in accuracy)],
        notes=[*NOTES, *(f"Left out: {name}, {reason}." for name, reason in skipped.items())],
        settings={
            "threads": 1,
            "clips": {clip.clip: clip.frames for clip in times},
            "photographs": str(config.afw),
        },
    )
    results.write(config.out)
    write_picture(config.out.with_suffix(".png"), models[0], networks, list(clips.values())[:PICTURED])
    print(f"{config.out}: {len(ours)} of ours beside {', '.join(n.name for n in peers) or 'nothing'}")


def clips_of(videos: Path | None) -> dict[str, Clip]:
    """What opens each clip, by its name; FileNotFoundError for a folder without a video."""
    if videos is None:
        return {"a rendered face that sways": lambda: nullcontext(swaying_frames())}
    return {
        video.name: partial(open_source, str(video))
        for video in files(videos, VIDEO_SUFFIXES, "name a folder with --videos")
    }


def _dot(accuracy: Accuracy, milliseconds: float) -> Curve:
    """One network in the chart of error against time."""
    axes = f"{AROUND}: ms on this machine", "AFW: NME, % of the eye distance"
    return Curve(
        "error against time", accuracy.name, *axes, [milliseconds], [float(accuracy.per_face.mean())], [accuracy.name]
    )


def write_picture(path: Path, model: Path, networks: Sequence[LandmarkNetwork], clips: Sequence[Clip]) -> None:
    """A frame of each clip that our tracker holds, with every network's points."""
    faces = []
    for opened in clips:
        tracker = FaceTracker(model)
        with opened() as frames:
            for frame in frames:
                found = tracker.update(frame.image, frame.timestamp)
                if found and found[0].age >= PICTURED_FRAME:
                    faces.append((frame.image, region_of(found[0].roi, 1 / networks[0].box_scale)))
                    break
    if faces:
        write_atomically(path, cv2.imencode(".png", draw_networks(networks, faces))[1].tobytes())
