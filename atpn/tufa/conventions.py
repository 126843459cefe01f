"""`python -m atpn tufa conventions`: what alignment embeddings learn of two conventions whose difference is known.

Half of the people of a set of renders are labeled by another convention: every landmark lies beside its place on the
face, by an offset on the mean-face plane. A network learns both halves as two datasets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.command import library_versions
from atpn.model import load_checkpoint
from atpn.train.config import require_positive
from atpn.tufa.anchors import DENSE
from atpn.tufa.evaluate import Faces, rendered_faces
from atpn.tufa.inference import predict_planes
from atpn.tufa.network import TUFA
from atpn.tufa.train import TrainTUFAConfig, train_on
from atpn.tufa.training_set import Frame, TrainingSet, mean_shape_of, place_on_plane
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import WFLW_98
from edge_runtime.output_paths import OutputFolder

NAMES = "ours", "theirs"
NEIGHBORS = 16
"""Dense points around a landmark that say how the plane is mapped to the face there."""


def true_offsets() -> np.ndarray:
    """Return the (98, 2) float32 offsets of the other convention on the plane.

    All landmarks lie to one side and lower, brows less so, the jaw more. An affine map hides most of it.
    """
    offsets = np.tile(np.float32([0.012, 0.018]), (WFLW_98.count, 1))
    for name, change in {"left_brow": -0.012, "right_brow": -0.012, "jaw": 0.008}.items():
        offsets[list(WFLW_98.groups[name]), 1] += np.float32(change)
    return offsets


@dataclass(frozen=True)
class ConventionsConfig:
    """Train with and without alignment embeddings on two conventions, and compare; finished runs are not repeated."""

    data: Path
    """Renders to train on."""
    held_out: Path
    """Renders to evaluate on."""
    out: OutputFolder
    """Folder: two runs, and the report, `conventions.json`."""
    weights: Path | None = SHIPPED_TUFA
    """TUFA checkpoint to start from; `None`: a new network."""
    samples: int = 3_200
    """Training crops per run."""
    lr: float = 1e-3
    """Peak learning rate."""
    seed: int = 0
    """Seed of all random choices."""
    workers: int = 1
    """Loader processes."""

    def __post_init__(self) -> None:
        require_positive(self, "samples", "lr")


def compare_conventions(config: ConventionsConfig) -> dict[str, Any]:
    """Return the report, also written to `out` after each run, and print it.

    By run, `with` and `without` embeddings: NME over the eye distance of each convention's anchors on faces labeled by
    it. `offsets` are mean distances of the other convention's anchors from the true ones, relative to ours, in plane
    units: of the affine mean shapes, and as learned. ValueError if the renders have no dense points.
    """
    store = SampleStore.read(config.data)
    if len(store.with_dense) == 0:
        raise ValueError(f"{config.data} has no dense points; render it again")
    sets = two_conventions(store)
    report: dict[str, Any] = {
        "true_offset": float(np.linalg.norm(true_offsets(), axis=1).mean()),
        "samples": config.samples,
        "seed": config.seed,
        "versions": library_versions(),
    }
    held_out = SampleStore.read(config.held_out)
    for name, align in (("with", True), ("without", False)):
        options = TrainTUFAConfig(
            (config.data, config.data),
            config.out / name,
            names=NAMES,
            align=align,
            weights=config.weights,
            samples=config.samples,
            lr=config.lr,
            seed=config.seed,
            workers=config.workers,
        )
        model = train_on(sets, options).eval()
        report[name] = errors(model, held_out)
        if align:
            report["offsets"] = offset_errors(model, sets)
        write_atomically(config.out / "conventions.json", (json.dumps(report, indent=2) + "\n").encode())
        print(f"{name} embeddings: " + "  ".join(f"{key} {100 * value:.2f} %" for key, value in report[name].items()))
    before, after = report["offsets"]["before"], report["offsets"]["learned"]
    print(
        f"offsets of {100 * report['true_offset']:.2f} % of the crop: off by {100 * before:.2f} % before, "
        f"{100 * after:.2f} % as learned"
    )
    return report


def two_conventions(store: SampleStore) -> list[TrainingSet]:
    """Return two sets of different people: with our labels and dense points, and with the other convention's labels."""
    dense = np.intersect1d(store.faces, store.with_dense)
    ours, theirs = store.split(dense, validation_fraction=0.5)
    mean = mean_shape_of(store.relabeled(ours, store.landmarks))
    labels, matrices = store.landmarks.copy(), {}
    for index in map(int, theirs):
        plane = store.plane(index)
        if id(plane) not in matrices:
            matrices[id(plane)] = displacement(plane, mean)  # one per head model
        labels[index] += matrices[id(plane)] @ store.dense(index)
    others = store.relabeled(theirs, labels)
    shape = place_on_plane(others, mean, lambda image, points: None)
    return [
        TrainingSet(store.relabeled(ours, store.landmarks), (NAMES[0], DENSE), Frame.of(mean, mean)),
        TrainingSet(others, (NAMES[1],), Frame.of(shape, mean)),
    ]


def displacement(plane: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the (98, P) matrix that maps a face's (P, 2) dense points to what `true_offsets` add to its landmarks.

    `plane` (P, 2) are the dense points on the plane, `mean` (98, 2) the landmarks there. Around each landmark, the face
    is the affine image of the plane that fits its nearest dense points best.
    """
    matrix = np.zeros((len(mean), len(plane)))
    for row, place, offset in zip(matrix, mean, true_offsets(), strict=True):
        near = np.argsort(np.linalg.norm(plane - place, axis=1))[:NEIGHBORS]
        row[near] = np.append(offset, 0) @ np.linalg.pinv(np.column_stack([plane[near], np.ones(len(near))]))
    return matrix


def errors(model: TUFA, held_out: SampleStore) -> dict[str, float]:
    """Return the NME of each convention on upright crops by our labels."""
    atpn, _ = load_checkpoint(SHIPPED)
    faces: Faces = rendered_faces(held_out, model.config.input_size, atpn.mean_shape.numpy())
    ours = model.mean_shapes[model.rows(NAMES[0])].numpy()
    labels = {NAMES[0]: faces.landmarks, NAMES[1]: faces.landmarks + displacement(faces.plane, ours) @ faces.dense}
    predicted = predict_planes(model, faces.crops, [model.anchors(name).numpy() for name in NAMES])
    return {
        name: float(metrics.point_errors(points, labels[name], faces.size).mean())
        for name, points in zip(NAMES, predicted, strict=True)
    }


def offset_errors(model: TUFA, sets: list[TrainingSet]) -> dict[str, float]:
    """Return the mean distances of the offsets between the conventions' anchors from the true ones, plane units."""
    shapes = [source.frame.shape for source in sets]
    learned = [model.anchors(name).cpu().numpy() for name in NAMES]
    return {
        name: float(np.linalg.norm(theirs - ours - true_offsets(), axis=1).mean())
        for name, (ours, theirs) in {"before": shapes, "learned": learned}.items()
    }
