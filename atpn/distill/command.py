"""`python -m atpn distill`: a template's head on ATPN, taught by TUFA."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from atpn.data.store import SampleStore
from atpn.distill.heads import train_template_head
from atpn.distill.images import UnlabeledFaces
from atpn.distill.vectors import FaceEmbeddings, Teacher, embed_store
from atpn.model import ATPN, check_suffix, load_checkpoint, load_network, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.model.landmark_branch import VECTOR
from atpn.model.point_head import PromptHead, TemplateHead
from atpn.train.config import LoaderOptions, require_positive
from atpn.train.losses.landmark import rectangle_size
from atpn.train.machine import keep_freed_memory, library_versions
from atpn.tufa.inference import context_of, load_query_points, predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED_PROMPTS, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.output_paths import OutputCheckpoint
from edge_runtime.template import Template

log = logging.getLogger(__name__)

HELD_OUT_INTERVAL = 10
"""Every tenth face of unlabeled images is held out."""
MAX_HELD_OUT = 400
"""Maximum held-out crops per source to compare student and teacher on."""


@dataclass(frozen=True)
class DistillConfig(LoaderOptions):
    """Train a template's head on a frozen network; export takes the result like any other checkpoint."""

    template: Path
    """JSON of the template; `python -m atpn template new` makes one."""
    out: OutputCheckpoint
    """Checkpoint to write, .safetensors."""
    data: Path | None = None
    """Folder of renders to train on."""
    images: tuple[Path, ...] = ()
    """Unlabeled images, or folders of them, to train on as well: faces as the device will see them."""
    teacher: Path = SHIPPED_TUFA
    """TUFA checkpoint."""
    weights: Path = SHIPPED_PROMPTS
    """ATPN checkpoint that gets the head. If it has a prompt head, the template's head starts from it."""
    crops: int = 6_000
    """Training crops."""
    steps: int = 1_500
    """Training steps; 0 keeps the head that the prompt head gives."""
    seed: int = 0
    """Seed of all random choices."""

    def __post_init__(self) -> None:
        require_positive(self, "crops", "threads")
        if self.steps < 0:
            raise ValueError(f"--steps must not be negative, got {self.steps}")
        check_suffix(self.out)
        if self.data is None and not self.images:
            raise ValueError("no training data: give --data with renders, --images with images, or both")


def run(config: DistillConfig) -> dict[str, float]:
    """Train, write the checkpoint, and return errors from the teacher over the face rectangle's longer side."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    template = Template.read(config.template)
    model, metadata = load_checkpoint(config.weights)
    teacher_network, _ = load_network(config.teacher, TUFA)
    keep_freed_memory()
    plane = torch.from_numpy(np.array(template.points))
    head = _initial_head(model, plane)
    base = model.with_head(None).eval()
    teacher = _teacher(teacher_network, config.template, base.config.input_size)
    sources: list[tuple[SampleStore | UnlabeledFaces, np.ndarray, np.ndarray]] = []
    if config.data is not None:
        store = SampleStore.read(config.data)
        sources.append((store, *store.split()))
    if config.images:
        unlabeled = UnlabeledFaces.read(config.images, base, default_detector())
        is_held_out = np.arange(len(unlabeled)) % HELD_OUT_INTERVAL == HELD_OUT_INTERVAL - 1
        sources.append((unlabeled, np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)))
    total = sum(len(train) for _, train, _ in sources)
    counts = [max(1, round(config.crops * len(train) / total)) for _, train, _ in sources]
    faces = _joined(
        [
            embed_store(base, source, train, count, config.seed, config.workers, teacher)
            for (source, train, _), count in zip(sources, counts, strict=True)
        ]
    )
    assert faces.teacher_points is not None
    log.info("%d crops for %d points", len(faces), len(plane))
    if config.steps:
        train_template_head(head, faces, faces.teacher_points, config.steps, config.seed)
    metrics = {}
    held_out = [
        embed_store(
            *(base, source, rows, min(MAX_HELD_OUT, len(rows)), config.seed, config.workers, teacher), augmented=False
        )
        for source, _, rows in sources
        if len(rows)
    ]
    if held_out:
        metrics = student_metrics(head, _joined(held_out))
    about = {
        "kind": "template",
        "teacher": weights_sha256(config.teacher, TUFA),
        "base": weights_sha256(config.weights),
        "data": None if config.data is None else config.data.name,
        "faces": total,
        "crops": len(faces),
        "steps": config.steps,
        "seed": config.seed,
        "validation": metrics,
        "versions": library_versions(),
    }
    save_checkpoint(config.out, base.with_head(head), {**metadata, "head": about, "template": template.as_dict()})
    summary = "  ".join(f"{key} {100 * value:.2f} %" for key, value in metrics.items())
    print(f"{config.out}: {summary or 'too few faces to hold some out and compare on'}")
    return metrics


def _initial_head(model: ATPN, plane: Tensor) -> TemplateHead:
    if isinstance(model.point_head, PromptHead):
        return model.point_head.template(plane)
    return TemplateHead(model.config.channels(VECTOR), plane)


def _teacher(network: TUFA, template: Path, size: int) -> Teacher:
    """Return the teacher of a template's file; points that the network was fitted to precede the file's."""
    if network.config.input_size != size:
        raise ValueError(
            f"the teacher takes crops of {network.config.input_size} px, the student {size} px; "
            "give a teacher of the `small` size"
        )
    query = load_query_points(network, str(template))
    context = context_of(network, query.name)
    return lambda crops: torch.from_numpy(predict_plane(network, crops.numpy(), query.plane, context))


def _joined(parts: list[FaceEmbeddings]) -> FaceEmbeddings:
    """Concatenate several sets without their dense points, which unlabeled faces lack."""
    return FaceEmbeddings(
        vectors=torch.cat([part.vectors for part in parts]),
        landmarks=torch.cat([part.landmarks for part in parts]),
        dense=torch.empty(sum(map(len, parts)), 0, 2),
        flipped=torch.cat([part.flipped for part in parts]),
        teacher_points=torch.cat([part.teacher_points for part in parts if part.teacher_points is not None]),
    )


@torch.no_grad()
def student_metrics(head: TemplateHead, faces: FaceEmbeddings) -> dict[str, float]:
    """Return the mean distance of the student's points from the teacher's, over the face rectangle's longer side."""
    assert faces.teacher_points is not None
    distance = (head(faces.vectors)[0] - faces.teacher_points).norm(dim=-1) / rectangle_size(faces.landmarks)[:, None]
    return {"from_teacher": float(distance.mean())}
