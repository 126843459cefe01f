"""Time per tracked frame of several networks in one run, one thread, interleaved.

Times are processor time of the calling thread: with engines of one thread it equals wall time on an idle machine, and
is still repeatable on a busy one, or while a video is read ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from benchmarks.baselines.adapters import AtpnNetwork
from benchmarks.baselines.network import LandmarkNetwork, scaled
from benchmarks.results import Metric, median_and_error, median_metric
from benchmarks.timing import timed
from edge_runtime.detector import Detector, default_detector
from edge_runtime.geometry import ROI
from edge_runtime.options import TrackerOptions
from edge_runtime.sources import Frame
from edge_runtime.tracker import FaceTracker

STAGES = ("network", "crop, network, decode", "whole frame")
"""A whole frame, for our files only, is `FaceTracker.update`: motion, crop, network, checks, smoothing."""
NETWORK, PIPELINE, WHOLE = STAGES
RATIOS = (
    ("network", NETWORK, "network", NETWORK),
    (PIPELINE, PIPELINE, PIPELINE, PIPELINE),
    ("whole tracked frame", WHOLE, "network alone", NETWORK),
)


@dataclass(frozen=True)
class ClipTimes:
    """Times on one clip's frames."""

    clip: str
    frames: int
    stages: Mapping[str, Mapping[str, Sequence[float]]]
    """Milliseconds per frame, by stage and name of the network."""


def time_clip(
    clip: str,
    frames: Iterable[Frame],
    ours: Sequence[AtpnNetwork],
    baselines: Sequence[LandmarkNetwork],
    max_frames: int,
    detector: Detector | None = None,
) -> ClipTimes:
    """Time the first `max_frames` frames of a clip in which all our files track a face and no detector runs.

    Every network gets the ROIs of the first file's track, scaled by its own crop rule. Each runs twice on a frame and
    the second run counts, because a program with one network finds its weights in the cache. The order rotates.

    Raises:
        ValueError: No face is tracked.
    """
    cv2.setNumThreads(1)
    detector = detector or default_detector()
    trackers = [FaceTracker(TrackerOptions(detector=detector, model=network.backend)) for network in ours]
    networks: list[LandmarkNetwork] = [*ours, *baselines]
    samples: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    for frame in frames:
        whole, roi = _update(trackers, ours, frame.image, frame.timestamp)
        if roi is None:
            continue
        turn = len(samples[WHOLE]) % len(networks)
        box = scaled(roi, 1 / ours[0].box_scale)
        order = (*networks[turn:], *networks[:turn])
        times = {n.name: _time(n, frame.image, scaled(box, n.box_scale)) for n in order}
        samples[NETWORK].append({name: network for name, (network, _) in times.items()})
        samples[PIPELINE].append({name: pipeline for name, (_, pipeline) in times.items()})
        samples[WHOLE].append(whole)
        if len(samples[WHOLE]) == max_frames:
            break
    if not samples[WHOLE]:
        raise ValueError(f"{clip}: no frame in which every file tracks a face; give a video of a face")
    stages = {stage: {name: [row[name] for row in rows] for name in rows[0]} for stage, rows in samples.items()}
    return ClipTimes(clip, len(samples[WHOLE]), stages)


def _update(
    trackers: Sequence[FaceTracker], ours: Sequence[AtpnNetwork], image: np.ndarray, timestamp: float
) -> tuple[dict[str, float], ROI | None]:
    """Return milliseconds of each tracker's frame, and the first one's ROI; None unless all tracked."""
    times, tracked, roi = {}, True, None
    middle = ROI(image.shape[1] / 2, image.shape[0] / 2, image.shape[0] / 2)
    for tracker, network in zip(trackers, ours, strict=True):
        network.run(network.prepare(image, middle))
        searches = tracker.stats.detector_runs
        times[network.name], faces = timed(partial(tracker.update, image, timestamp))
        tracked &= bool(faces) and faces[0].age > 0 and tracker.stats.detector_runs == searches
        if roi is None and faces:
            roi = faces[0].roi
    return times, roi if tracked else None


def _time(network: LandmarkNetwork, image: np.ndarray, roi: ROI) -> tuple[float, float]:
    """Return milliseconds of the network alone, and of crop, network, and decode."""
    network.run(network.prepare(image, roi))
    before, tensor = timed(lambda: network.prepare(image, roi))
    alone, output = timed(lambda: network.run(tensor))
    after, _ = timed(lambda: network.decode(output, roi))
    return alone, before + alone + after


def ratio(
    clips: Sequence[ClipTimes], stage: str, name: str, baseline: str, baseline_stage: str | None = None
) -> tuple[float, float]:
    """Return the median ratio over all frames of our file's time in a stage to a baseline's, and its standard error.

    Both ran on the same frame within milliseconds, so that a machine's slower moments cancel.
    """
    pairs = [(clip.stages[stage][name], clip.stages[baseline_stage or stage][baseline]) for clip in clips]
    return median_and_error(np.concatenate([np.divide(ours, theirs) for ours, theirs in pairs]).tolist())


def time_metrics(clips: Sequence[ClipTimes], ours: Sequence[str], baselines: Sequence[str]) -> list[Metric]:
    """Return ratios of our times to the baselines', and all milliseconds on this machine."""
    found = []
    for title, stage, their_title, baseline_stage in RATIOS:
        for name in ours:
            for baseline in baselines:
                value, error = ratio(clips, stage, name, baseline, baseline_stage)
                found.append(Metric(f"our {title} over their {their_title}", name, baseline, value, "", error))
    for stage, times in clips[0].stages.items():
        for name in times:
            values = [each for clip in clips for each in clip.stages[stage][name]]
            found.append(median_metric("time on this machine", name, stage, values))
    return found
