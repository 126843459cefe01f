"""`python -m benchmarks accuracy`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from atpn.data.afw import photos_to_samples, read_afw
from atpn.data.readers.images import UnreadSample
from atpn.data.readers.registry import find_datasets
from atpn.data.sample import Sample
from atpn.evaluate.backend import CheckpointBackend, CropPredictor, FilePredictor
from atpn.evaluate.detectors import make_detector
from atpn.model import load_checkpoint
from atpn.model.checkpoint import weights_sha256
from benchmarks.accuracy.faces import FaceSet, measure
from benchmarks.accuracy.figures import figures_of
from benchmarks.accuracy.truth import COVERED, FACING_YAW, MOST_YAW
from benchmarks.backends import open_backend
from benchmarks.inputs import tracking_files
from benchmarks.renders import rendered_store
from benchmarks.results import Curve, Figure, Results
from edge_runtime.detector import Detector, default_detector
from edge_runtime.spec import ModelSpec
from export.config import WEIGHTS_FOLDER

WEIGHTS = WEIGHTS_FOLDER / "atpn.safetensors"
RENDERS, AFW = "renders", "AFW"


@dataclass(frozen=True)
class AccuracyConfig:
    """Options of `accuracy`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    weights: Path = field(default=WEIGHTS, metadata={"help": "the checkpoint that the files come from"})
    data: Path | None = field(default=None, metadata={"help": "folder of held-out renders; none: render some"})
    afw: Path | None = field(default=None, metadata={"help": "folder of AFW's labels.json and images: real faces, too"})
    dataset: Path | None = field(
        default=None, metadata={"help": "folder of a published dataset, or of your own (docs/datasets.md), too"}
    )
    limit: int = field(default=200, metadata={"help": "faces of --data and of --dataset to measure, at most"})
    render: int = field(default=60, metadata={"help": "pictures to render without --data, 0 for none"})
    assets: Path | None = field(default=None, metadata={"help": "3D assets to render from; none: a procedural head"})
    detector: str = field(
        default="auto",
        metadata={
            "help": "whose boxes: auto (dist's own, else the cascade), cascade, a detector's .tflite or YuNet's .onnx"
        },
    )
    out: Path = field(default=Path("dist/bench/accuracy.json"), metadata={"help": "where the results are written"})

    def __post_init__(self) -> None:
        if self.detector == "none":
            raise ValueError("--detector none leaves no detector's box to measure; give auto or a detector")
        if self.limit < 1 or self.render < 0:
            raise ValueError(f"--limit must be positive and --render not negative, got {self.limit} and {self.render}")
        if self.data is None and self.afw is None and self.dataset is None and self.render == 0:
            raise ValueError("nothing to measure on: give --data, --afw or --dataset FOLDER, or --render NUMBER")


def accuracy(config: AccuracyConfig) -> None:
    """Measure every file that tracks beside the checkpoint, print the main table, write `Results`."""
    cv2.setNumThreads(1)
    notes = []
    model, _ = load_checkpoint(config.weights)
    networks: dict[str, CropPredictor] = {config.weights.name: CheckpointBackend(model)}
    reference, made_from = networks[config.weights.name].spec, weights_sha256(config.weights)
    for path in tracking_files(config.models):
        network = FilePredictor(open_backend(path))
        if (network.spec.scheme, network.spec.input_size) != (reference.scheme, reference.input_size):
            notes.append(f"Left out: {path.name}, of another kind than {config.weights.name}.")
            continue
        if network.spec.weights_sha256 != made_from:
            notes.append(
                f"{path.name} was not made from {config.weights.name}: its growth is that of other weights, too."
            )
        networks[path.name] = network
    figures: list[Figure] = []
    curves: list[Curve] = []
    detector = default_detector() if config.detector == "auto" else make_detector(config.detector)
    settings = {"detector": f"{config.detector}: {type(detector).__name__}", "limit": config.limit}
    for faces, origin in face_sets(config, detector, reference):
        measured = {}
        for name, network in networks.items():
            measured[name] = measure(network, faces)
            print(f"{faces.name}, {name}: done", file=sys.stderr)
        more_figures, more_curves = figures_of(faces, measured)
        figures, curves = [*figures, *more_figures], [*curves, *more_curves]
        found = sum(roi is not None for roi in faces.found)
        settings[faces.name] = origin
        notes.append(f"{faces.name}: {len(faces.samples)} faces ({origin}), {found} of them found by the detector.")
    results = Results("accuracy", figures, curves, notes=[*notes, *EXPLANATIONS], settings=settings)
    results.write(config.out)
    print(main_table(results))


EXPLANATIONS = (
    "NME: mean distance over that of the outer eye corners; FR10: faces above 10 %; AUC10: area under the cumulative "
    f"error up to 10 %. Renders count up to {MOST_YAW}° of yaw, and at any yaw where the error is over the rectangle's "
    "longer side.",
    "True box: the labels' region, upright for renders, along the image's axes for AFW. Settled: the last region that "
    "the tracker makes from it. Detector box: the same from a detector's region, faces that "
    "it finds; its growth is that of the same faces.",
    f"Covered: at least {COVERED:.0%} of the landmarks hidden within {FACING_YAW}° of yaw, which glasses do not do. "
    "Closed eyes: by the labels' openings. AFW labels neither what is hidden nor pose: its bins of yaw are "
    "the checkpoint's.",
    "Noise is the standard error over faces; of a growth, over the differences of the same faces.",
)


def face_sets(config: AccuracyConfig, detector: Detector, spec: ModelSpec) -> Iterator[tuple[FaceSet, str]]:
    """The datasets asked for and where each comes from. A new reader's samples go in by `FaceSet.of_samples`."""
    # Read first: what is missing is told before anything is measured.
    photos = [] if config.afw is None else list(read_afw(config.afw))
    datasets = [] if config.dataset is None else find_datasets(config.dataset)
    if config.data is not None or config.render:
        store, origin = rendered_store(config.data, config.render, config.assets)
        yield FaceSet.of_store(RENDERS, store, config.limit, detector, spec), origin
    if photos:
        yield FaceSet.of_samples(AFW, photos_to_samples(photos), detector, spec), "photographs"
    for found in datasets:
        samples, origin = chosen_faces(list(found.dataset.read(found.root)), config.limit)
        yield FaceSet.of_samples(found.dataset.name, samples, detector, spec), origin


def chosen_faces(unread: Sequence[UnreadSample], limit: int) -> tuple[list[Sample], str]:
    """At most so many faces all of whose landmarks are known, from all over a dataset's test split, and a word on it.

    All of the dataset where nothing is its test split. ValueError where no face has landmarks.
    """
    known = [s for s in unread if s.labels.landmarks is not None and not np.isnan(s.labels.landmarks).any()]
    if not known:
        raise ValueError("none of this dataset's faces has all of its landmarks: errors cannot be measured on it")
    tested = [sample for sample in known if sample.split == "test"]
    faces = tested or known
    chosen = faces[:: -(-len(faces) // limit)]
    return [sample.decode() for sample in chosen], f"{len(chosen)} of {len(faces)}{' test' * bool(tested)} faces"


def main_table(results: Results) -> str:
    """One line per set and network: errors by box, and the growth with its noise."""
    found = {(f.table, f.row, f.column): f for f in results.figures}
    columns = ("NME, true box", "NME, detector box", "NME growth")
    lines = [f"{'faces':10} {'network':24} " + " ".join(f"{column:>18}" for column in columns)]
    for name, row in dict.fromkeys((f.table.partition(":")[0], f.row) for f in results.figures):
        cells = []
        for column in columns:
            figure = next(
                (f for (t, r, c), f in found.items() if (t.partition(":")[0], r, c) == (name, row, column)), None
            )
            known = figure is not None and figure.value is not None
            cells.append(f"{figure.value:.2f} ± {figure.noise:.2f} %" if known else "")
        lines.append(f"{name:10} {row:24} " + " ".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)
