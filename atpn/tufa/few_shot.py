"""`python -m atpn tufa few-shot`: error on an unseen scheme over the number of its labeled faces (thesis, 6.3.6).

The scheme is iBUG's 68 points of renders, or that of another dataset, such as WFLW's. For a fair curve, the checkpoint
must be trained without it: `python -m atpn tufa train --sources wflw98-without-ibug68 cofw29 dense …`, or on the other
datasets (`tufa leave-one-out`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.command import library_versions
from atpn.evaluate.faces import refine_face
from atpn.evaluate.plots import Chart, Line, write_charts
from atpn.model import ATPN, load_checkpoint, load_network
from atpn.train.config import require_positive
from atpn.tufa.anchors import converted
from atpn.tufa.evaluate import MAX_YAW
from atpn.tufa.fit import STEPS, fit, mean_shape_on_plane
from atpn.tufa.inference import context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.published import FEW_SHOT
from atpn.tufa.samples import LabeledFace
from atpn.tufa.training_set import Frame, TrainingSet, mean_shape_of
from atpn.tufa.zero_shot import place_unseen
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.files import write_atomically
from edge_runtime.geometry import matrix_to_angles
from edge_runtime.landmarks import IBUG_68, scheme_by_name
from edge_runtime.output_paths import OutputFile

log = logging.getLogger(__name__)

PLACING_FACES = 15
"""Weight in labeled faces of where the points are placed without any. On renders, one face's own shape is four times
as far from the mean shape as that placement."""


@dataclass(frozen=True)
class FewShotConfig:
    """Measure few-shot fitting of a scheme."""

    data: Path
    """Renders or another dataset to draw labeled faces from; of renders, up to 60 degrees of yaw."""
    held_out: Path
    """Faces to evaluate on, likewise."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint trained without the scheme."""
    scheme: str = IBUG_68.name
    """Landmark scheme to learn: the data's own, or one that 98 landmarks convert to."""
    sizes: tuple[int, ...] = (1, 10, 50)
    """Numbers of labeled faces."""
    fractions: tuple[float, ...] = ()
    """Further numbers, as fractions of the faces in `data`; the thesis has 0.05, 0.2, and 1."""
    repeats: int = 3
    """Random draws of the faces per number; five in the thesis."""
    steps: int = STEPS
    """Steps of each fit."""
    out: OutputFile | None = None
    """JSON report."""
    plot: OutputFile | None = None
    """PNG of the curve."""
    seed: int = 0
    """Seed of all random choices."""
    threads: int = 1
    """Compute threads."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the labeled faces' crops."""

    def __post_init__(self) -> None:
        require_positive(self, "repeats", "steps")
        scheme_by_name(self.scheme)
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"--sizes must be positive, got {self.sizes}")
        if len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"--sizes must differ, got {self.sizes}")
        if not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(f"--fractions must lie between 0 and 1, got {self.fractions}")


def measure_few_shot(config: FewShotConfig) -> dict[str, Any]:
    """Measure NME over the eye distance by number of faces; print the report and write `out` and `plot` if given.

    With no faces, the data's mean shape is placed by affine alignment. The report is written after each number of
    faces. ValueError if there are fewer faces than `sizes` needs, or no scheme for affine alignment.
    """
    torch.set_num_threads(config.threads)
    model, metadata = load_network(config.weights, TUFA)
    atpn, _ = load_checkpoint(config.atpn)
    mean_face = atpn.mean_shape.numpy()
    store = SampleStore.read(config.data)
    crops, target = evaluation_crops(SampleStore.read(config.held_out), config.scheme, model, mean_face)
    sources = list(metadata.get("sources", []))
    if overlap := [name for name in sources if model_knows(model, name, config.scheme)]:
        log.warning(
            "this checkpoint was trained with %s, so these %d points are not new to it",
            ", ".join(sorted(overlap)),
            target.shape[1],
        )
    facing = facing_faces(store)
    sizes = [*config.sizes, *(max(1, round(fraction * len(facing))) for fraction in config.fractions)]
    if max(sizes) > len(facing):
        raise ValueError(f"{config.data} has {len(facing)} faces up to 60 degrees of yaw, --sizes needs {max(sizes)}")
    unseen = unseen_plane(model, store, config.scheme)
    curve = {0: [error(model, unseen, config.scheme, crops, target)]}
    log.info("0 faces: %.2f %%", 100 * curve[0][0])
    report: dict[str, Any] = {
        "scheme": config.scheme,
        "weights": config.weights.name,
        "trained_with": sources,
        "held_out_faces": len(crops),
        "steps": config.steps,
        "seed": config.seed,
        "versions": library_versions(),
    }
    frame = Frame.of(unseen, mean_face)
    for size in sizes:
        curve[size] = []
        for repeat in range(config.repeats):
            rng = np.random.default_rng([config.seed, size, repeat])
            chosen = rng.choice(facing, size, replace=False)
            drawn = [labeled(store, int(i), config.scheme, frame, atpn) for i in chosen]
            plane = initial_plane(model, drawn, unseen)
            seed = int(rng.integers(2**31))
            fitted = fit(model, config.scheme, plane, drawn, mean_face, steps=config.steps, seed=seed)
            anchors = fitted.anchors(config.scheme).numpy()
            curve[size].append(error(fitted, anchors, config.scheme, crops, target))
            log.info("%d faces, draw %d: %.2f %%", size, repeat, 100 * curve[size][-1])
        report["curve"] = [{"faces": n, "nme": float(np.mean(e)), "draws": e} for n, e in curve.items()]
        if config.out is not None:
            write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    if config.plot is not None:
        write_charts(config.plot, [chart(config.scheme, report["curve"])])
    print(table(config, report["curve"], len(facing)))
    return report


def model_knows(model: TUFA, name: str, scheme: str) -> bool:
    """Return whether anchors have all points of a scheme: those of the scheme itself, and the 98 landmarks."""
    return model.scheme_of(name) in (scheme, "wflw98")


def evaluation_crops(
    store: SampleStore, scheme: str, model: TUFA, mean_face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, S, S, 3) upright crops by the labels and (n, N, 2) labels of a scheme in [0, 1] of them."""
    frame = Frame.of(converted(mean_face, store.scheme.name), mean_face)
    crops, target = TrainingSet(store, (), frame).labeled_crops(facing_faces(store), model.config.input_size)
    return crops, in_scheme(target, store, scheme)


def facing_faces(store: SampleStore) -> np.ndarray:
    """Return indices of the faces up to `MAX_YAW`, or of unknown yaw; ValueError if there are none."""
    facing = store.faces[~(np.abs(matrix_to_angles(store.rotation[store.faces])[:, 1]) > MAX_YAW)]
    if len(facing) == 0:
        degrees = np.degrees(MAX_YAW)
        raise ValueError(f"none of these {len(store.faces)} faces has a yaw below {degrees:.0f} degrees; give more")
    return facing


def in_scheme(landmarks: np.ndarray, store: SampleStore, scheme: str) -> np.ndarray:
    """Return (..., M, 2) landmarks of a store in a scheme; ValueError if its own does not convert to it."""
    return landmarks if store.scheme.name == scheme else converted(landmarks, scheme)


def unseen_plane(model: TUFA, store: SampleStore, scheme: str) -> np.ndarray:
    """Place the mean shape of a store's faces in a scheme on the plane, by none of the network's anchors of it."""
    own = [name for name, _ in model.config.schemes if name == scheme]
    return place_unseen(model, scheme, in_scheme(mean_shape_of(store), store, scheme), own)


def initial_plane(model: TUFA, faces: Sequence[LabeledFace], unseen: np.ndarray) -> np.ndarray:
    """Return the (N, 2) mean shape of a few faces on the plane, drawn to where it is placed without any.

    That placement weighs as much as `PLACING_FACES` faces: the mean shape of one is that face's own shape.
    """
    weight = len(faces) / (len(faces) + PLACING_FACES)
    return (weight * mean_shape_on_plane(model, faces) + (1 - weight) * unseen).astype(np.float32)


def labeled(store: SampleStore, index: int, scheme: str, frame: Frame, atpn: ATPN) -> LabeledFace:
    """Return a face with a scheme's points and, as for a user's image, ATPN's landmarks."""
    image, points = store.image(index), in_scheme(store.landmarks[index], store, scheme)
    face = refine_face(image, frame.region(points), atpn)
    return LabeledFace(image, points, face.landmarks)


def error(model: TUFA, plane: np.ndarray, scheme: str, crops: np.ndarray, target: np.ndarray) -> float:
    """Compute the mean error over the eye distance against (n, N, 2) targets in (n, S, S, 3) crops."""
    predicted = predict_plane(model, crops, plane, context_of(model, scheme))
    return float(metrics.point_errors(predicted, target, scheme_by_name(scheme).inter_ocular(target)).mean())


def table(config: FewShotConfig, curve: Sequence[dict[str, Any]], available: int) -> str:
    """Format the curve, for WFLW's 98 landmarks beside the thesis'."""
    named = {size: str(size) for size in config.sizes}
    named |= {max(1, round(f * available)): f"{100 * f:g}%" for f in config.fractions}
    lines = []
    for point in curve:
        published = FEW_SHOT.get(named.get(point["faces"], "")) if config.scheme == "wflw98" else None
        beside = "" if published is None else f"  (thesis, table 6.9, on WFLW: {published:.2f} %)"
        lines.append(f"{point['faces']:4} faces: NME {100 * point['nme']:.2f} %{beside}")
    return "\n".join(lines)


def chart(scheme: str, curve: Sequence[dict[str, Any]]) -> Chart:
    """Chart the mean error over the number of labeled faces."""
    faces, means = [point["faces"] for point in curve], [100 * point["nme"] for point in curve]
    labels = [f"{n}: {mean:.2f}" for n, mean in zip(faces, means, strict=True)]
    lines = [Line("mean of the draws", faces, means, dots=True, labels=labels)]
    worst = [100 * max(point["draws"]) for point in curve]
    lines.append(Line("worst draw", faces, worst, guide=True))
    axes = "labeled faces", "NME, % of the eye distance"
    return Chart(f"Few-shot: {scheme}", *axes, lines, x_max=1.2 * max(faces), y_max=1.15 * max(worst))
