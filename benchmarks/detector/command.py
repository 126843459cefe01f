"""`python -m benchmarks detector`."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.afw import read_afw
from atpn.data.store import SampleStore
from benchmarks.detector import empty, metrics, turned, videos
from benchmarks.detector.detectors import Searcher, SearchResult, open_detectors
from benchmarks.detector.images import ImageSet, LabeledImage, photographs, portraits, spread
from benchmarks.detector.scenes import FRAME, GROUP_EXTENT, compose, scenes
from benchmarks.detector.times import compute_times
from benchmarks.inputs import (
    SEED,
    check_minimum,
    models_option,
    open_backend,
    out_option,
    rendered_store,
    tracking_files,
)
from benchmarks.results import Curve, Metric, Results
from benchmarks.stability.motion import open_renderer
from benchmarks.tables import publish
from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.backends import Backend
from edge_runtime.files import write_atomically
from edge_runtime.flags import flag
from edge_runtime.geometry import extract_crop
from edge_runtime.output_paths import OutputFile, OutputFolder
from edge_runtime.spec import ModelSpec

MAX_CROPS = 40
"""Maximum number of unlabeled faces saved for each detector."""
FULL_HD = (1920, 1080)
NOTES = (
    "Detector alone: its detections at its default threshold, with tiles where it has them. In the loop: "
    "`FaceTracker.detect` with that detector, at the default thresholds: the tracking network refines and confirms "
    "each detection.",
    "Recall, precision, and overlap are for IoU 0.5 with the ROI of the landmarks at roll 0; "
    f"IoU {metrics.LOOSE_IOU} is enough for the tracking network. Boxes of YuNet and the cascades, and points of "
    "MediaPipe, are converted to that ROI by average proportions. A detection with a roll overlaps it less.",
    "Not labeled: detections that overlap no label, where labels are incomplete (AFW). They may be faces.",
    "Size: longer side of the landmarks' rectangle in the picture. A detector that scales the picture down sees a "
    "smaller face.",
    "Roll: turn of the whole picture about its center, clockwise, in a gray square that holds every turn, so that "
    "detectors see smaller faces than in the upright picture. It adds to the head's own tilt.",
    f"Turned stills: right: mean landmark error below {turned.MAX_ERROR} of the outer eye corners' distance; wrong: a "
    "face is reported at the place, but its landmarks are off by more; nothing: no face is reported there. Crop "
    "given: the tracking network alone, once, on the labeled ROI at roll 0; else the whole search by that detector in "
    "the loop. Faces in profile are left out.",
    "AP and recall at false alarms rank the scores of one search of the whole frame, without tiles and network: they "
    "compare detectors whatever their thresholds.",
    f"False tracks: those that live {empty.MIN_TRACK_FRAMES} frames or more in streams without a face, one tracked at "
    "a time. ± is the standard error over streams.",
    "Videos have no labels: a false track counts like a face. Frames count from 0; a track's first face is late where "
    "somebody enters late. Uncertainty is the predicted standard deviation of a landmark over the crop's side.",
    "Time: processor time of one thread, all detectors in turn.",
)


@dataclass(frozen=True)
class DetectorConfig:
    """Options of `detector`."""

    models: Path = models_option()
    network: Path | None = flag(None, "tracking network of the loop; none: the first of --models")
    baselines: Path = flag(Path("baselines"), "folder of other detectors")
    mediapipe: Path | None = flag(None, "MediaPipe's face_detection_short_range.tflite; none: in --baselines")
    afw: Path | None = flag(None, "folder of AFW's labels.json and images")
    videos: Path | None = flag(None, "folder of videos with faces, or one video")
    empty: Path | None = flag(None, "folder of videos and pictures without faces")
    data: Path | None = flag(None, "folder of held-out renders; default: render some")
    render: int = flag(60, "number of images to render without --data")
    assets: Path | None = flag(None, "3D assets to render from, and panoramas; default: procedural head, none")
    cache: Path = flag(Path("renders/cache"), "folder of the renderer's prepared files")
    scenes: int = flag(45, "number of scenes to compose from renders")
    photographs: int = flag(60, "maximum number of photographs of --afw")
    turned: int = flag(12, "number of pictures of each set to turn, 0 for none")
    frames: int = flag(1200, "frames of streams without faces, and as many of --empty at most; 0 for none")
    runs: int = flag(15, "number of timed searches, 0 for none")
    unlabeled: OutputFolder | None = flag(None, "folder for crops of the faces found in --afw that no label names")
    out: OutputFile = out_option("detector")

    def __post_init__(self) -> None:
        check_minimum(self, scenes=1, render=1, photographs=1, turned=0, frames=0, runs=0)
        if self.unlabeled is not None and self.afw is None:
            raise ValueError("--unlabeled saves faces of AFW: give --afw FOLDER, too")


def detector(config: DetectorConfig) -> None:
    """Run every detector on the same pictures and streams, write the results, and print the main tables."""
    cv2.setNumThreads(1)
    detectors, notes = open_detectors(config.models, config.baselines, config.mediapipe)
    network_file = config.network or _first_network(config.models)
    network = open_backend(network_file)
    turned.scheme_of(network)
    clips = videos.clip_files(config.videos) if config.videos else []
    given = empty.given_files(config.empty) if config.empty else []
    store, origin = rendered_store(config.data, config.render, config.assets)
    searched, stills = [scenes(store, config.scenes, origin)], [portraits(store, max(config.turned, 1), origin)]
    if config.afw is not None:
        photos = photographs(list(read_afw(config.afw)), config.photographs)
        searched.append(photos)
        stills.append(photos)
    found: list[Metric] = []
    curves: list[Curve] = []
    settings: dict[str, object] = {
        "network": network_file.name,
        "threads": 1,
        "frames": config.frames,
        "turned": config.turned,
    }
    searchers = [Searcher(each, network) for each in detectors]
    for subject in searched:
        images, faces = subject.images, sum(len(image.landmarks) for image in subject.images)
        settings[subject.name] = f"{len(images)} images, {subject.origin}"
        notes.append(f"{subject.name}: {len(images)} images ({subject.origin}), {faces} faces.")
        results = search_all(searchers, images, subject.name)
        first = searchers[0].name
        for name, each in results.items():
            found += metrics.compute_metrics(subject, name, each, results[first], first)
            curves += metrics.size_curves(subject, name, each)
        for each in detectors:
            found += metrics.compute_ranking(subject, each.name, [each.scored(image.frame) for image in images])
        if config.unlabeled is not None and not subject.complete:
            save_unlabeled(config.unlabeled, images, results)
    if config.turned:
        notes.append(f"Turned: up to {config.turned} pictures of each set, by {turned.TURNS[1]}° each.")
        for subject in (searched[0], *stills):
            measured, drawn = turn(subject, searchers, network if subject in stills else None, config.turned)
            found, curves = found + measured, curves + drawn

    def trackers(max_faces: int = 1) -> dict[str, FaceTracker]:
        return {
            each.name: FaceTracker(TrackerOptions(model=network, detector=each.detector, max_faces=max_faces))
            for each in detectors
        }

    if config.frames:
        renderer = open_renderer(config.assets, config.cache, SEED) if config.assets else None
        streams = empty.streams(store, renderer, config.frames)
        if given:
            streams = itertools.chain(streams, empty.given_streams(given, config.frames))
        found += empty.track(trackers(), streams, config.frames * (2 if given else 1))
    for clip in clips:
        found += videos.evaluate_clip(clip, trackers(videos.MAX_FACES))
    if config.runs:
        found += compute_times(detectors, timed_frames(store), config.runs)
    written = Results("detector", found, curves, notes=[*notes, *NOTES], settings=settings)
    publish(written, config.out, lambda title: not title.endswith(metrics.ALONE) or "found" in title)


def _first_network(models: Path) -> Path:
    """Return the first tracking network that needs no query points; FileNotFoundError for none."""
    for path in tracking_files(models):
        if not ModelSpec.read(path).prompts:
            return path
    raise FileNotFoundError(f"no tracking network without query points in {models}: give one by --network")


def search_all(
    searchers: Sequence[Searcher], images: Sequence[LabeledImage], text: str
) -> dict[str, list[SearchResult]]:
    """Run every detector on every picture, interleaved in rotating order; return the results by name."""
    results: dict[str, list[SearchResult]] = {each.name: [] for each in searchers}
    for number, image in enumerate(tqdm(images, unit="image", desc=text)):
        start = number % len(searchers)
        for each in (*searchers[start:], *searchers[:start]):
            results[each.name].append(each.search(image.frame))
    return results


def turn(
    subject: ImageSet, searchers: Sequence[Searcher], network: Backend | None, count: int
) -> tuple[list[Metric], list[Curve]]:
    """Return recall by roll of up to `count` pictures with faces; with the tracking network, outcomes as stills too."""
    upright = spread([image for image in subject.images if image.landmarks], count)
    hits: dict[tuple[str, str], dict[int, np.ndarray]] = defaultdict(dict)
    outcomes: dict[str, dict[int, list[str]]] = defaultdict(dict)
    for degrees in turned.TURNS:
        images = [image.turned(degrees) for image in upright]
        if network is not None:
            outcomes["crop given"][degrees] = turned.crop_outcomes(images, subject.scheme, network)
        for name, results in search_all(searchers, images, f"{subject.name}, {degrees}°").items():
            for mode in metrics.MODES:
                hits[mode, name][degrees] = metrics.find_hits(images, results, mode)
            if network is not None:
                own = turned.scheme_of(network)
                outcomes[name][degrees] = turned.chain_outcomes(images, subject.scheme, results, own)
    found: list[Metric] = []
    curves = []
    for (mode, name), by_turn in hits.items():
        measured, curve = metrics.compute_roll_metrics(f"{subject.name}: recall by roll, {mode}", name, by_turn)
        found += measured
        curves += [curve] * (mode == metrics.IN_LOOP)
    for name, by_outcome in outcomes.items():
        found += turned.compute_metrics(f"{subject.name}: turned stills", name, by_outcome)
    return found, curves


def save_unlabeled(folder: Path, images: Sequence[LabeledImage], results: Mapping[str, Sequence[SearchResult]]) -> None:
    """Write crops of the faces that the loop finds and no label names, evenly spaced, for people to look at."""
    for name, searches in results.items():
        crops = [
            extract_crop(image.frame, roi, 224)
            for image, search in zip(images, searches, strict=True)
            for roi in metrics.unlabeled(image, metrics.rois_of(search, metrics.IN_LOOP))
        ]
        for number, crop in enumerate(spread(crops, MAX_CROPS)):
            encoded = cv2.imencode(".png", crop)[1].tobytes()
            write_atomically(folder / f"{name.replace(' ', '_')}_{number:02d}.png", encoded)


def timed_frames(store: SampleStore) -> dict[str, np.ndarray]:
    """Return a frame with three faces of each size that is timed."""
    rng = np.random.default_rng((3, 0))
    return {f"{w}x{h}": compose(store, (w, h), 3, GROUP_EXTENT, rng).frame for w, h in (FRAME, FULL_HD)}
