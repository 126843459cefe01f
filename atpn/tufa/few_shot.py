"""`python -m atpn tufa few-shot`: error on a new scheme over the number of its labeled faces (thesis, 6.3.6).

The new scheme is iBUG's 68 points. For a fair curve, the checkpoint must be trained without them:
`python -m atpn tufa train --sources wflw98-without-ibug68 cofw29 dense …`.
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
from atpn.tufa.evaluate import MAX_YAW, rendered_faces, zero_shot_plane
from atpn.tufa.fit import STEPS, fit, mean_shape_on_plane
from atpn.tufa.inference import context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.samples import LabeledFace
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, matrix_to_angles
from edge_runtime.landmarks import IBUG_68, SCHEMES
from edge_runtime.output_paths import OutputFile

log = logging.getLogger(__name__)

SCHEME = IBUG_68.name


@dataclass(frozen=True)
class FewShotConfig:
    """Measure few-shot fitting of iBUG's 68 points."""

    data: Path
    """Renders to draw labeled faces from, up to 60 degrees of yaw."""
    held_out: Path
    """Renders with dense points to evaluate on, up to 60 degrees of yaw."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint trained without the 68 points."""
    sizes: tuple[int, ...] = (1, 10, 50)
    """Numbers of labeled faces."""
    repeats: int = 3
    """Random draws of the faces per number."""
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
        require_positive(self, "repeats")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"--sizes must be positive, got {self.sizes}")
        if len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"--sizes must differ, got {self.sizes}")


def measure_few_shot(config: FewShotConfig) -> dict[str, Any]:
    """Measure NME over the eye distance by number of faces; print the report and write `out` and `plot` if given.

    With no faces, the mean shape is placed by affine alignment. The report is written after each number of faces.
    ValueError if there are fewer faces than `sizes` needs, or no scheme for affine alignment.
    """
    torch.set_num_threads(config.threads)
    model, metadata = load_network(config.weights, TUFA)
    atpn, _ = load_checkpoint(config.atpn)
    faces = rendered_faces(SampleStore.read(config.held_out), model.config.input_size, atpn.mean_shape.numpy())
    crops, target = faces.crops, converted(faces.landmarks, SCHEME)
    sources = list(metadata.get("sources", []))
    if overlap := sorted({SCHEME, "wflw98"} & set(sources)):
        log.warning("this checkpoint was trained with %s, so these 68 points are not new to it", ", ".join(overlap))
    reference = next((name for name, _ in model.config.schemes if name in SCHEMES and name != SCHEME), None)
    if reference is None:
        raise ValueError("affine alignment needs another scheme than the 68 points; train with cofw29 in --sources")
    store = SampleStore.read(config.data)
    facing = store.faces[~(np.abs(matrix_to_angles(store.rotation[store.faces])[:, 1]) > MAX_YAW)]
    if max(config.sizes) > len(facing):
        raise ValueError(
            f"{config.data} has {len(facing)} faces up to 60 degrees of yaw, --sizes needs {max(config.sizes)}"
        )
    curve = {0: [error(model, zero_shot_plane(model, reference), crops, target)]}
    log.info("0 faces: %.2f %%", 100 * curve[0][0])
    report: dict[str, Any] = {
        "scheme": SCHEME,
        "weights": config.weights.name,
        "trained_with": sources,
        "held_out_faces": len(crops),
        "steps": config.steps,
        "seed": config.seed,
        "versions": library_versions(),
    }
    for size in config.sizes:
        curve[size] = []
        for repeat in range(config.repeats):
            rng = np.random.default_rng([config.seed, size, repeat])
            drawn = [labeled(store, int(i), atpn) for i in rng.choice(facing, size, replace=False)]
            plane = mean_shape_on_plane(model, drawn)
            seed = int(rng.integers(2**31))
            fitted = fit(model, SCHEME, plane, drawn, atpn.mean_shape.numpy(), steps=config.steps, seed=seed)
            curve[size].append(error(fitted, fitted.anchors(SCHEME).numpy(), crops, target))
            log.info("%d faces, draw %d: %.2f %%", size, repeat, 100 * curve[size][-1])
        report["curve"] = [{"faces": n, "nme": float(np.mean(e)), "draws": e} for n, e in curve.items()]
        if config.out is not None:
            write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    if config.plot is not None:
        write_charts(config.plot, [chart(report["curve"])])
    for point in report["curve"]:
        print(f"{point['faces']:4} faces: NME {100 * point['nme']:.2f} %")
    return report


def labeled(store: SampleStore, index: int, atpn: ATPN) -> LabeledFace:
    """Return a rendered face with its 68 points and, as for a user's image, ATPN's landmarks."""
    image, landmarks = store.image(index), store.landmarks[index]
    face = refine_face(image, ROI.from_landmarks(landmarks), atpn)
    return LabeledFace(image, converted(landmarks, SCHEME), face.landmarks)


def error(model: TUFA, plane: np.ndarray, crops: np.ndarray, target: np.ndarray) -> float:
    """Compute the mean error over the eye distance against (n, 68, 2) targets in (n, S, S, 3) crops."""
    predicted = predict_plane(model, crops, plane, context_of(model, SCHEME))
    return float(metrics.point_errors(predicted, target, IBUG_68.inter_ocular(target)).mean())


def chart(curve: Sequence[dict[str, Any]]) -> Chart:
    """Chart the mean error over the number of labeled faces."""
    faces, means = [point["faces"] for point in curve], [100 * point["nme"] for point in curve]
    labels = [f"{n}: {mean:.2f}" for n, mean in zip(faces, means, strict=True)]
    lines = [Line("mean of the draws", faces, means, dots=True, labels=labels)]
    worst = [100 * max(point["draws"]) for point in curve]
    lines.append(Line("worst draw", faces, worst, guide=True))
    axes = "labeled faces", "NME, % of the eye distance"
    return Chart("Few-shot: the 68 points of iBUG", *axes, lines, x_max=1.2 * max(faces), y_max=1.15 * max(worst))
