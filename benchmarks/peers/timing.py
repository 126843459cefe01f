"""Time per tracked frame of several networks in one run, one thread, interleaved.

Processor time of the calling thread, not the clock's: with engines of one thread they are the same on an idle machine,
and on a busy one, or while a video is read ahead, only the first repeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

from benchmarks.peers.network import LandmarkNetwork, region_of
from benchmarks.peers.ours import AtpnNetwork
from benchmarks.results import Figure, median_and_noise
from edge_runtime.detector import Detector, default_detector
from edge_runtime.geometry import ROI
from edge_runtime.sources import Frame
from edge_runtime.tracker import FaceTracker

STAGES = ("network", "crop, network, decode", "whole frame")
"""What is timed. A whole frame, of ours alone, is `FaceTracker.update`: motion, crop, network, checks, smoothing."""
NETWORK, AROUND, WHOLE = STAGES
RATIOS = (
    ("network", NETWORK, "network", NETWORK),
    (AROUND, AROUND, AROUND, AROUND),
    ("whole tracked frame", WHOLE, "network alone", NETWORK),
)
T = TypeVar("T")


@dataclass(frozen=True)
class ClipTimes:
    """Milliseconds on one clip's frames: stage to network's name to a time per frame."""

    clip: str
    frames: int
    stages: Mapping[str, Mapping[str, Sequence[float]]]


def time_clip(
    clip: str,
    frames: Iterable[Frame],
    ours: Sequence[AtpnNetwork],
    peers: Sequence[LandmarkNetwork],
    most_frames: int,
    detector: Detector | None = None,
) -> ClipTimes:
    """The first so many frames of a clip in which all our files hold a face and no detector runs.

    Every network sees the regions of the first file's track, scaled by its own crop rule. Each runs twice on a frame
    and the second run counts: a program with one network finds its weights in the cache. The order rotates.
    ValueError when no face is tracked.
    """
    cv2.setNumThreads(1)
    detector = detector or default_detector()
    trackers = [FaceTracker(detector=detector, backend=network.backend) for network in ours]
    networks: list[LandmarkNetwork] = [*ours, *peers]
    samples: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    for frame in frames:
        whole, region = _update(trackers, ours, frame.image, frame.timestamp)
        if region is None:
            continue
        turn = len(samples[WHOLE]) % len(networks)
        box = region_of(region, 1 / ours[0].box_scale)
        timed = {
            n.name: _time(n, frame.image, region_of(box, n.box_scale)) for n in (*networks[turn:], *networks[:turn])
        }
        samples[NETWORK].append({name: alone for name, (alone, _) in timed.items()})
        samples[AROUND].append({name: all_of_it for name, (_, all_of_it) in timed.items()})
        samples[WHOLE].append(whole)
        if len(samples[WHOLE]) == most_frames:
            break
    if not samples[WHOLE]:
        raise ValueError(f"{clip}: no frame in which every file holds a face; give a video of a face")
    stages = {stage: {name: [row[name] for row in rows] for name in rows[0]} for stage, rows in samples.items()}
    return ClipTimes(clip, len(samples[WHOLE]), stages)


def _update(
    trackers: Sequence[FaceTracker], ours: Sequence[AtpnNetwork], image: np.ndarray, timestamp: float
) -> tuple[dict[str, float], ROI | None]:
    """Milliseconds of each tracker's frame and the first one's region; None unless all tracked."""
    times, tracked, region = {}, True, None
    middle = ROI(image.shape[1] / 2, image.shape[0] / 2, image.shape[0] / 2)
    for tracker, network in zip(trackers, ours, strict=True):
        network.run(network.prepare(image, middle))
        searches = tracker.stats.detector_runs
        spent, faces = _milliseconds(partial(tracker.update, image, timestamp))
        times[network.name] = spent
        tracked &= bool(faces) and faces[0].age > 0 and tracker.stats.detector_runs == searches
        if region is None and faces:
            region = faces[0].roi
    return times, region if tracked else None


def _time(network: LandmarkNetwork, image: np.ndarray, region: ROI) -> tuple[float, float]:
    """Milliseconds of the network alone, and of crop, network and decode."""
    network.run(network.prepare(image, region))
    before, tensor = _milliseconds(lambda: network.prepare(image, region))
    alone, output = _milliseconds(lambda: network.run(tensor))
    after, _ = _milliseconds(lambda: network.decode(output, region))
    return alone, before + alone + after


def _milliseconds(call: Callable[[], T]) -> tuple[float, T]:
    began = time.thread_time()
    result = call()
    return (time.thread_time() - began) * 1e3, result


def ratio(
    clips: Sequence[ClipTimes], stage: str, name: str, peer: str, peers_stage: str | None = None
) -> tuple[float, float]:
    """Our `name`'s time in a stage over a peer's in the same, or in `peers_stage`: median over all frames, noise.

    Both ran on the same frame within milliseconds, so that a machine's slower moments cancel.
    """
    pairs = [(clip.stages[stage][name], clip.stages[peers_stage or stage][peer]) for clip in clips]
    return median_and_noise(np.concatenate([np.divide(ours, theirs) for ours, theirs in pairs]).tolist())


def time_figures(clips: Sequence[ClipTimes], ours: Sequence[str], peers: Sequence[str]) -> list[Figure]:
    """Ratios of our times to theirs, and everybody's milliseconds on this machine."""
    found = [
        Figure(f"our {title} over their {theirs}", name, peer, value, "", noise)
        for title, stage, theirs, peers_stage in RATIOS
        for name in ours
        for peer in peers
        for value, noise in [ratio(clips, stage, name, peer, peers_stage)]
    ]
    for stage, times in clips[0].stages.items():
        for name in times:
            value, noise = median_and_noise([each for clip in clips for each in clip.stages[stage][name]])
            found.append(Figure("time on this machine", name, stage, value, "ms", noise))
    return found
