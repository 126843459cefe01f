"""`python -m atpn heads`: evaluate teacher, prompt head, and distilled heads on the same crops."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.distill.command import DistillConfig
from atpn.distill.command import run as distill
from atpn.evaluate import metrics
from atpn.evaluate.command import library_versions
from atpn.evaluate.inference import predict_embeddings
from atpn.model import ATPN, load_checkpoint, load_network
from atpn.model.point_head import PromptHead, TemplateHead
from atpn.tufa.evaluate import Faces, real_faces, rendered_faces
from atpn.tufa.inference import context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED_PROMPTS, SHIPPED_TUFA
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert
from edge_runtime.output_paths import OutputFolder
from edge_runtime.template import Template

MAKE_UP = (
    *((0.36, 0.36), (0.64, 0.36), (0.25, 0.52), (0.75, 0.52), (0.30, 0.62), (0.70, 0.62)),
    *((0.50, 0.30), (0.42, 0.55), (0.58, 0.55), (0.50, 0.80), (0.38, 0.76), (0.62, 0.76)),
)
"""Twelve points between landmarks: below the brows, cheeks, forehead, sides of the nose, chin."""
_PARTS = {"lips": range(76, 96), "eyes-brows": (*range(33, 51), *range(60, 76))}


@dataclass(frozen=True)
class HeadsConfig:
    """Distill three templates and compare with the teacher and the prompt head, on renders and AFW."""

    data: Path
    """Renders to train on."""
    held_out: Path
    """Renders to evaluate on."""
    out: OutputFolder
    """Folder for the distilled checkpoints and the report."""
    afw: Path | None = None
    """Folder of AFW's images and labels, for evaluation only."""
    teacher: Path = SHIPPED_TUFA
    """TUFA checkpoint."""
    weights: Path = SHIPPED_PROMPTS
    """ATPN checkpoint with a prompt head and its anchors."""
    crops: int = 6_000
    """See `distill`."""
    steps: int = 1_500
    """See `distill`."""
    seed: int = 0
    """Seed of all random choices."""


@dataclass(frozen=True)
class _LabeledTemplate:
    """A template and its points' labels."""

    template: Template
    rendered: np.ndarray
    """(n, M, 2) labels in [0, 1] of the held-out crops."""
    real: np.ndarray | None
    """(k, R, 2) labels on AFW of the points among its 68; None without AFW or such points."""
    real_points: np.ndarray
    """(R,) indices of those points in the template."""


def run(config: HeadsConfig) -> dict[str, Any]:
    """Distill and evaluate; print the report and write it to `out/heads.json` and `out/heads.md`."""
    teacher, _ = load_network(config.teacher, TUFA)
    model, metadata = load_checkpoint(config.weights)
    if not isinstance(model.point_head, PromptHead) or "anchors" not in metadata:
        raise ValueError(f"{config.weights} has no prompt head; `python -m atpn prompts` trains one")
    base = model.with_head(None).eval()
    held_out = rendered_faces(SampleStore.read(config.held_out), base.config.input_size, base.mean_shape.numpy())
    real = None if config.afw is None else real_faces(config.afw, base.config.input_size, base)[0]
    anchors = np.array(metadata["anchors"][WFLW_98.name], np.float32)
    report: dict[str, Any] = {"versions": library_versions(), "crops": config.crops, "steps": config.steps}
    report |= {"seed": config.seed, "milliseconds": _times(base, model.point_head, teacher, anchors), "templates": {}}
    vectors = {
        "rendered": predict_embeddings(base, held_out.crops),
        "afw": None if real is None else predict_embeddings(base, real.crops),
    }
    for labeled in _templates(anchors, held_out, real):
        template = labeled.template
        path, student_path = (config.out / f"{template.name}.{suffix}" for suffix in ("template.json", "safetensors"))
        write_atomically(path, template.to_json().encode())
        options = DistillConfig(path, student_path, config.data, teacher=config.teacher, weights=config.weights)
        distill(replace(options, crops=config.crops, steps=config.steps, seed=config.seed))
        student = load_checkpoint(student_path)[0].point_head
        plane, context = torch.from_numpy(np.array(template.points)), context_of(teacher, template.name)
        entry: dict[str, Any] = {"points": len(plane)}
        for data, faces, target in (("rendered", held_out, labeled.rendered), ("afw", real, labeled.real)):
            if faces is None or target is None:
                continue
            rows = labeled.real_points if data == "afw" else np.arange(len(plane))
            with torch.no_grad():
                predictions = {
                    "teacher": predict_plane(teacher, faces.crops, template.points, context),
                    "prompt_head": model.point_head(vectors[data], plane)[0].numpy(),
                    "distilled": student(vectors[data])[0].numpy(),
                }
            entry[data] = {
                name: float(metrics.point_errors(points[:, rows], target, faces.size).mean())
                for name, points in predictions.items()
            }
        report["templates"][template.name] = entry
    write_atomically(config.out / "heads.json", (json.dumps(report, indent=2) + "\n").encode())
    write_atomically(config.out / "heads.md", heads_table(report).encode())
    print(heads_table(report))
    return report


def _templates(anchors: np.ndarray, held_out: Faces, real: Faces | None) -> list[_LabeledTemplate]:
    """Return lips, eyes with brows, and a dozen make-up points, with their labels."""
    templates = []
    ibug_of = {int(index): place for place, index in enumerate(convert(np.arange(98)[:, None], WFLW_98, IBUG_68)[:, 0])}
    for name, part in _PARTS.items():
        rows = list(part)
        known = [place for place, row in enumerate(rows) if row in ibug_of]
        labels = None if real is None else real.landmarks[:, [ibug_of[rows[place]] for place in known]]
        templates.append(
            _LabeledTemplate(Template(name, anchors[rows]), held_out.landmarks[:, rows], labels, np.array(known))
        )
    assert held_out.plane is not None
    assert held_out.dense is not None
    nearest = [int(np.linalg.norm(held_out.plane - place, axis=1).argmin()) for place in np.array(MAKE_UP)]
    points = held_out.plane[nearest]
    return [
        *templates,
        _LabeledTemplate(Template("make-up", points), held_out.dense[:, nearest], None, np.zeros(0, int)),
    ]


@torch.no_grad()
def _times(base: ATPN, prompts: PromptHead, teacher: TUFA, anchors: np.ndarray) -> dict[str, float]:
    """Measure median milliseconds per crop in PyTorch, one thread: network, each head for 20 points, TUFA."""
    torch.set_num_threads(1)
    image, plane = torch.zeros(1, 3, base.config.input_size, base.config.input_size), torch.from_numpy(anchors[:20])
    vector = base.face_embedding(image)
    head = TemplateHead(vector.shape[1], plane)

    def median(call: Callable[[], Any]) -> float:
        times = []
        for _ in range(30):
            start = time.thread_time()
            call()
            times.append(time.thread_time() - start)
        return 1e3 * float(np.median(times))

    return {
        "atpn": median(lambda: base(image)),
        "template_head": median(lambda: head(vector)),
        "prompt_head": median(lambda: prompts(vector, plane)),
        "tufa": median(lambda: teacher(image, plane[None])),
    }


def heads_table(report: dict[str, Any]) -> str:
    """Format NME in percent of the eye distance, and each head's increase over its teacher, as markdown."""
    lines = ["| template | on | teacher | prompt head | distilled |", "| --- | --- | ---: | ---: | ---: |"]
    for name, entry in report["templates"].items():
        for data in ("rendered", "afw"):
            if data in entry:
                row = entry[data]
                cells = [f"{100 * row['teacher']:.2f}"]
                cells += [
                    f"{100 * row[head]:.2f} ({100 * (row[head] / row['teacher'] - 1):+.1f} %)"
                    for head in ("prompt_head", "distilled")
                ]
                lines.append(f"| {name} ({entry['points']}) | {data} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
