"""`python -m benchmarks peers`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2

from benchmarks.inputs import VIDEO_SUFFIXES, files, tracking_files
from benchmarks.latency import machine
from benchmarks.peers.catalogue import open_peers
from benchmarks.peers.network import LandmarkNetwork, region_of
from benchmarks.peers.ours import AtpnNetwork
from benchmarks.peers.picture import draw_networks
from benchmarks.peers.report import report
from benchmarks.peers.timing import time_clip
from edge_runtime.files import write_atomically
from edge_runtime.sources import open_source
from edge_runtime.tracker import FaceTracker

PICTURED = 4
"""Clips of which the picture shows a frame."""
PICTURED_FRAME = 20


@dataclass(frozen=True)
class PeersConfig:
    """Options of `peers`."""

    peers: Path = field(default=Path("peers"), metadata={"help": "folder of the peers' files"})
    videos: Path = field(default=Path("videos"), metadata={"help": "folder of videos, or one video"})
    afw: Path | None = field(default=None, metadata={"help": "folder of AFW's labels.json and images: errors, too"})
    mediapipe: Path | None = field(
        default=None, metadata={"help": "wheel of mediapipe 0.10.21, or the face_landmark.tflite out of one"}
    )
    models: Path = field(default=Path("dist"), metadata={"help": "folder of our .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/peers.json"), metadata={"help": "report; .md and .png are put beside it"})
    frames: int = field(default=120, metadata={"help": "tracked frames of each video, at most"})

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"--frames must be 1 or more, got {self.frames}")


def compare(config: PeersConfig) -> None:
    """Time and, with AFW, score the networks; print tables, write JSON, markdown and a picture."""
    models = tracking_files(config.models)
    videos = files(config.videos, VIDEO_SUFFIXES, "name a folder with --videos")
    ours = [AtpnNetwork(path) for path in models]
    peers, skipped = open_peers(config.peers, config.mediapipe)
    networks: list[LandmarkNetwork] = [*ours, *peers]
    clips = []
    for video in videos:
        clips.append(time_clip(video, ours, peers, config.frames))
        print(f"{video.name}: {clips[-1].frames} frames timed", file=sys.stderr)
    accuracy = []
    if config.afw is not None:
        # Photographs are read by the part of the project that trains, which a device does not have.
        from atpn.data.afw import read_afw
        from benchmarks.peers.accuracy import measure, split

        choosing, reported = split(list(read_afw(config.afw)))
        for network in networks:
            accuracy.append(measure(network, choosing, reported))
            print(f"{network.name}: scored", file=sys.stderr)
    text = report(clips, [n.name for n in ours], [n.name for n in peers], accuracy, skipped)
    result = {
        **machine(),
        "command": ["python", "-m", "benchmarks", *sys.argv[1:]],
        "threads": 1,
        "clips": [asdict(clip) for clip in clips],
        "accuracy": [asdict(each) for each in accuracy],
        "skipped": skipped,
    }
    write_atomically(config.out, (json.dumps(result, indent=2) + "\n").encode())
    write_atomically(config.out.with_suffix(".md"), (text + "\n").encode())
    write_picture(config.out.with_suffix(".png"), models[0], networks, videos[:PICTURED])
    print(text)


def write_picture(path: Path, model: Path, networks: Sequence[LandmarkNetwork], videos: Sequence[Path]) -> None:
    """A frame of each video that our tracker holds, with every network's points."""
    faces = []
    for video in videos:
        tracker = FaceTracker(model)
        with open_source(str(video)) as source:
            for frame in source:
                found = tracker.update(frame.image, frame.timestamp)
                if found and found[0].age >= PICTURED_FRAME:
                    faces.append((frame.image, region_of(found[0].roi, 1 / networks[0].box_scale)))
                    break
    if faces:
        write_atomically(path, cv2.imencode(".png", draw_networks(networks, faces))[1].tobytes())
