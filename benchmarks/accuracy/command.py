"""`python -m benchmarks accuracy`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
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
from atpn.weights import shipped_networks
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
    weights: Path | None = flag(None, "checkpoint of the files (default: the shipped ones that files were made from)")
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
    """Measure every tracking file and its checkpoint, write the results, and print the main tables."""
    cv2.setNumThreads(1)
    notes = []
    files = {path: FilePredictor(open_backend(path)) for path in tracking_files(config.models)}
    checkpoints = checkpoints_of(config.weights, {file.spec.weights_sha256 for file in files.values()})
    networks: dict[str, CropPredictor] = {
        path.name: CheckpointBackend(load_checkpoint(path)[0]) for path in checkpoints.values()
    }
    first, *_ = networks
    reference, references = networks[first].spec, {}
    for path, file in files.items():
        if (file.spec.scheme, file.spec.input_size) != (reference.scheme, reference.input_size):
            notes.append(f"Left out: {path.name}; its scheme or input size is not that of {first}.")
            continue
        if (origin := checkpoints.get(file.spec.weights_sha256)) is None:
            notes.append(f"{path.name} was not made from {first}: its growth includes that of weights.")
        networks[path.name], references[path.name] = file, first if origin is None else origin.name
    metrics: list[Metric] = []
    curves: list[Curve] = []
    detector = open_detector(config.detector)
    settings = {"detector": f"{config.detector}: {type(detector).__name__}", "limit": config.limit}
    for faces, origin in face_sets(config, detector, reference):
        predictions = {}
        for name, network in networks.items():
            predictions[name] = predict(network, faces)
            print(f"{faces.name}, {name}: done", file=sys.stderr)
        more_metrics, more_curves = compute_metrics(faces, predictions, references)
        metrics, curves = [*metrics, *more_metrics], [*curves, *more_curves]
        found = sum(roi is not None for roi in faces.detected)
        settings[faces.name] = origin
        notes.append(f"{faces.name}: {len(faces.samples)} faces ({origin}), {found} of them found by the detector.")
    results = Results("accuracy", metrics, curves, notes=[*notes, *NOTES], settings=settings)
    publish(results, config.out, lambda title: ": landmarks" in title or ": against" in title)


def checkpoints_of(weights: Path | None, origins: Collection[str]) -> dict[str, Path]:
    """Return the given checkpoint, or the shipped ones that files were made from, or the first one, by their hashes."""
    if weights is not None:
        return {weights_sha256(weights): weights}
    shipped = {weights_sha256(path): path for path in shipped_networks().values()}
    return {sha256: path for sha256, path in shipped.items() if sha256 in origins} or dict([*shipped.items()][:1])


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
