"""`python -m benchmarks detector`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.afw import read_afw
from benchmarks.detector.detectors import Scored, ScoredDetector, open_detectors, remove_duplicates, verify
from benchmarks.detector.images import MIN_FACE_SIZE, SCENE_SIZE, LabeledImage, photographs, scenes
from benchmarks.detector.metrics import FALSE_ALARMS, LOOSE_IOU, Detections, compute_curve, compute_metrics
from benchmarks.inputs import (
    check_minimum,
    models_option,
    open_backend,
    out_option,
    rendered_store,
    tracking_files,
)
from benchmarks.results import Curve, Metric, Results
from benchmarks.tables import publish
from benchmarks.timing import timed
from edge_runtime.backends import Backend
from edge_runtime.flags import flag

SCENES, AFW = "scenes", "AFW"
NOTES = (
    "Recall, precision, overlap, and false alarms are at the detector's default threshold, for IoU "
    f"0.5 with the ROI of the landmarks (IoU {LOOSE_IOU} is enough for the tracking network). Boxes of YuNet and the "
    "cascades are converted to that ROI by average proportions. Recall at "
    f"{' and '.join(map(str, FALSE_ALARMS))} false alarms is per image, at the threshold that gives that many.",
    "Verified: detections at the detector's threshold, refined and scored by the tracking network, at its threshold.",
    "Sizes: the face's ROI over the frame's longer side. Our detector gets whole frames here; in the loop it also "
    f"searches parts of large ones. AFW's faces below {MIN_FACE_SIZE:.0f} px need not be found, and some of its faces "
    "have no labels and count as false alarms for every detector alike.",
    "Time: processor time of one thread per image, all detectors in turn on each.",
)


@dataclass(frozen=True)
class DetectorConfig:
    """Options of `detector`."""

    models: Path = models_option()
    verifier: Path | None = flag(None, "tracking network that verifies detections; none: the first of --models")
    baselines: Path = flag(Path("baselines"), "folder of other detectors")
    afw: Path | None = flag(None, "folder of AFW's labels.json and images")
    data: Path | None = flag(None, "folder of held-out renders; default: render some")
    scenes: int = flag(60, "number of scenes to compose from renders, 0 for none")
    render: int = flag(60, "number of images to render for them without --data")
    assets: Path | None = flag(None, "3D assets to render from; default: procedural head")
    photographs: int = flag(200, "maximum number of photographs of --afw")
    out: Path = out_option("detector")

    def __post_init__(self) -> None:
        check_minimum(self, scenes=0, render=0, photographs=1)
        if self.afw is None and self.scenes == 0:
            raise ValueError("no images: give --afw FOLDER or --scenes NUMBER")
        if self.data is None and self.scenes and not self.render:
            raise ValueError("scenes need renders: give --data FOLDER or --render NUMBER")


def detector(config: DetectorConfig) -> None:
    """Run every detector on the same images, write the results, and print the main tables."""
    cv2.setNumThreads(1)
    detectors, notes = open_detectors(config.models, config.baselines)
    verifier_file = config.verifier or tracking_files(config.models)[0]
    verifier = open_backend(verifier_file)
    metrics: list[Metric] = []
    curves: list[Curve] = []
    settings: dict[str, object] = {"verifier": verifier_file.name, "threads": 1}
    for name, origin, images in image_sets(config):
        faces = sum(sum(image.required) for image in images)
        empty = sum(not image.faces for image in images)
        settings[name] = origin
        notes.append(f"{name}: {len(images)} images ({origin}), {empty} without a face, {faces} faces to be found.")
        detections = detect(detectors, verifier, images)
        for each in detections:
            metrics += compute_metrics(name, images, each, detections[0])
            curves.append(compute_curve(name, images, each))
    results = Results("detector", metrics, curves, notes=[*notes, *NOTES], settings=settings)
    publish(results, config.out, lambda title: not title.endswith("by size"))


def image_sets(config: DetectorConfig) -> list[tuple[str, str, list[LabeledImage]]]:
    """Return name, origin, and images of the requested sets."""
    sets = []
    if config.scenes:
        store, origin = rendered_store(config.data, config.render, config.assets)
        sets.append((SCENES, f"{SCENE_SIZE} px, from {origin}", scenes(store, config.scenes)))
    if config.afw is not None:
        photos = list(read_afw(config.afw))
        indices = np.linspace(0, len(photos) - 1, min(config.photographs, len(photos))).round().astype(int)
        sets.append((AFW, f"of {len(photos)} photographs", photographs([photos[i] for i in indices])))
    return sets


def detect(detectors: Sequence[ScoredDetector], verifier: Backend, images: Sequence[LabeledImage]) -> list[Detections]:
    """Run every detector alone and verified, interleaved image by image in rotating order."""
    alone: dict[str, tuple[list[Scored], list[float]]] = {each.name: ([], []) for each in detectors}
    verified: dict[str, tuple[list[Scored], list[float]]] = {each.name: ([], []) for each in detectors}
    for turn, image in enumerate(tqdm(images, unit="image")):
        rgb = cv2.cvtColor(image.frame, cv2.COLOR_BGR2RGB)
        start = turn % len(detectors)
        for each in (*detectors[start:], *detectors[:start]):
            spent, found = timed(partial(each.scored, image.frame))
            alone[each.name][0].append(found)
            alone[each.name][1].append(spent)
            refined = []
            for roi in (roi for score, roi in found if score >= each.threshold):
                took, scored = timed(partial(verify, verifier, rgb, roi))
                refined.append(scored)
                spent += took
            verified[each.name][0].append(remove_duplicates(refined))
            verified[each.name][1].append(spent)
    threshold = verifier.spec.track_threshold
    return [
        *(Detections(each.name, *alone[each.name], each.threshold) for each in detectors),
        *(Detections(each.name, *verified[each.name], threshold, verified=True) for each in detectors),
    ]
