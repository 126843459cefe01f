"""`python -m benchmarks accuracy`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from atpn.data.afw import photos_to_samples, read_afw
from atpn.data.readers.images import UnreadSample
from atpn.data.readers.registry import find_datasets
from atpn.data.sample import Sample
from atpn.evaluate.backend import CheckpointBackend, CropPredictor, FilePredictor
from atpn.model import load_checkpoint
from atpn.model.checkpoint import weights_sha256
from benchmarks.accuracy.faces import FACING_YAW, MAX_YAW, MIN_OCCLUSION, FaceSet, predict
from benchmarks.accuracy.metrics import compute_metrics
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
from edge_runtime.detector import Detector, open_detector
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFile
from edge_runtime.spec import ModelSpec
from export.config import WEIGHTS_FOLDER

RENDERS, AFW = "renders", "AFW"
NOTES = (
    "NME: mean distance over that of the outer eye corners; FR10: faces above 10 %; AUC10: area under the cumulative "
    f"error up to 10 %. Renders count up to {MAX_YAW}° of yaw, and at any yaw where the error is over the rectangle's "
    "longer side.",
    "True box: the labels' ROI, upright for renders, along the image's axes for AFW. Settled: the last ROI that "
    "the tracker derives from it. Detector box: the same from a detector's ROI, for faces that it finds; its growth is "
    "over the same faces.",
    f"Occluded: at least {MIN_OCCLUSION:.0%} of the landmarks hidden within {FACING_YAW}° of yaw; glasses hide fewer. "
    "Closed eyes: by the labels' openings. AFW has no labels of occlusion and pose: its yaw bins are the checkpoint's.",
    "± is the standard error over faces; of a growth, over the differences of the same faces.",
)


@dataclass(frozen=True)
class AccuracyConfig:
    """Options of `accuracy`."""

    models: Path = models_option()
    weights: Path = flag(WEIGHTS_FOLDER / "atpn.safetensors", "checkpoint of the files")
    data: Path | None = flag(None, "folder of held-out renders; default: render some")
    afw: Path | None = flag(None, "folder of AFW's labels.json and images")
    dataset: Path | None = flag(None, "folder of a published dataset, or of your own (docs/datasets.md)")
    limit: int = flag(200, "maximum number of faces of --data and of --dataset")
    render: int = flag(60, "number of images to render without --data, 0 for none")
    assets: Path | None = flag(None, "3D assets to render from; default: procedural head")
    detector: str = flag("ours", "detector: ours, ours:FILE, cascade, yunet:FILE, or mediapipe:FILE")
    out: OutputFile = out_option("accuracy")

    def __post_init__(self) -> None:
        if self.detector == "none":
            raise ValueError("--detector none leaves no detector box to measure; give ours or another")
        check_minimum(self, limit=1, render=0)
        if self.data is None and self.afw is None and self.dataset is None and self.render == 0:
            raise ValueError("nothing to measure on: give --data, --afw or --dataset FOLDER, or --render NUMBER")


def accuracy(config: AccuracyConfig) -> None:
    """Measure every tracking file and the checkpoint, write the results, and print the main tables."""
    cv2.setNumThreads(1)
    notes = []
    model, _ = load_checkpoint(config.weights)
    networks: dict[str, CropPredictor] = {config.weights.name: CheckpointBackend(model)}
    reference, sha256 = networks[config.weights.name].spec, weights_sha256(config.weights)
    for path in tracking_files(config.models):
        network = FilePredictor(open_backend(path))
        if (network.spec.scheme, network.spec.input_size) != (reference.scheme, reference.input_size):
            notes.append(f"Left out: {path.name}; its scheme or input size is not that of {config.weights.name}.")
            continue
        if network.spec.weights_sha256 != sha256:
            notes.append(f"{path.name} was not made from {config.weights.name}: its growth includes that of weights.")
        networks[path.name] = network
    metrics: list[Metric] = []
    curves: list[Curve] = []
    detector = open_detector(config.detector)
    settings = {"detector": f"{config.detector}: {type(detector).__name__}", "limit": config.limit}
    for faces, origin in face_sets(config, detector, reference):
        predictions = {}
        for name, network in networks.items():
            predictions[name] = predict(network, faces)
            print(f"{faces.name}, {name}: done", file=sys.stderr)
        more_metrics, more_curves = compute_metrics(faces, predictions)
        metrics, curves = [*metrics, *more_metrics], [*curves, *more_curves]
        found = sum(roi is not None for roi in faces.detected)
        settings[faces.name] = origin
        notes.append(f"{faces.name}: {len(faces.samples)} faces ({origin}), {found} of them found by the detector.")
    results = Results("accuracy", metrics, curves, notes=[*notes, *NOTES], settings=settings)
    publish(results, config.out, lambda title: ": landmarks" in title or ": against" in title)


def face_sets(config: AccuracyConfig, detector: Detector, spec: ModelSpec) -> Iterator[tuple[FaceSet, str]]:
    """Yield the requested datasets and their origins."""
    # Labels first: missing files are reported before anything is measured.
    photos = [] if config.afw is None else list(read_afw(config.afw))
    datasets = [] if config.dataset is None else find_datasets(config.dataset)
    if config.data is not None or config.render:
        store, origin = rendered_store(config.data, config.render, config.assets)
        yield FaceSet.of_store(RENDERS, store, config.limit, detector, spec), origin
    if photos:
        yield FaceSet.of_samples(AFW, photos_to_samples(photos), detector, spec), "photographs"
    for found in datasets:
        samples, origin = select_faces(list(found.read()), config.limit)
        yield FaceSet.of_samples(found.dataset.name, samples, detector, spec), origin


def select_faces(unread: Sequence[UnreadSample], limit: int) -> tuple[list[Sample], str]:
    """Return at most `limit` faces with all landmarks, evenly from the test split if there is one, and their origin.

    Raise ValueError if no face has all landmarks.
    """
    known = [s for s in unread if s.labels.landmarks is not None and not np.isnan(s.labels.landmarks).any()]
    if not known:
        raise ValueError("none of this dataset's faces has all of its landmarks: errors cannot be measured on it")
    test = [sample for sample in known if sample.split == "test"]
    faces = test or known
    selected = faces[:: -(-len(faces) // limit)]
    return [sample.decode() for sample in selected], f"{len(selected)} of {len(faces)}{' test' * bool(test)} faces"
