"""`python -m atpn distill`: a template's head on ATPN, taught by TUFA."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER
from atpn.data.store import SampleStore
from atpn.distill.heads import train_template_head
from atpn.distill.pictures import FoundFaces
from atpn.distill.prompts import RECIPE
from atpn.distill.vectors import DenseCrops, FaceVectors, Teacher, face_vectors
from atpn.model import ATPN, check_output, load_checkpoint, load_network, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.model.landmark_branch import VECTOR
from atpn.model.point_head import PromptHead, TemplateHead
from atpn.train.losses.landmark import rectangle_size
from atpn.train.machine import keep_freed_memory
from atpn.tufa.inference import asked_points, context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED_PROMPTS, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.template import Template

log = logging.getLogger(__name__)

KEPT_ASIDE = 10
"""Of the faces in pictures one in so many is compared on, not trained on."""
HELD_OUT = 400
"""Crops that student and teacher are compared on, not trained on."""


@dataclass(frozen=True)
class DistillConfig:
    """Train a head for a template on a network whose other parts rest; export takes the result like any other."""

    template: Path
    """JSON of the template; `python -m atpn template new` makes one."""
    out: Path
    """Checkpoint to write, .safetensors."""
    data: Path | None = None
    """Folder of renders to learn on."""
    images: tuple[Path, ...] = ()
    """Pictures without labels, or folders of them, to learn on, too: faces as the device will see them."""
    teacher: Path = SHIPPED_TUFA
    """TUFA checkpoint."""
    weights: Path = SHIPPED_PROMPTS
    """ATPN checkpoint that gets the head; with a prompt head, the template's begins as what that says."""
    crops: int = 6_000
    """Crops that teacher and student look at."""
    steps: int = 1_500
    """Training steps; 0 keeps the head as the prompt head gives it."""
    seed: int = 0
    threads: int = 1
    """Compute threads."""
    workers: int = 1
    """Loader processes."""

    def __post_init__(self) -> None:
        for name, least in (("crops", 1), ("steps", 0), ("threads", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} must be {least} or more, got {getattr(self, name)}")
        check_output(self.out, self.template, self.weights, self.teacher)
        if self.data is None and not self.images:
            raise ValueError("nothing to learn on: give --data with renders, --images with pictures, or both")


def run(config: DistillConfig) -> dict[str, float]:
    """Train, compare with the teacher on crops kept aside, write; errors over the face rectangle's longer side."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    template = Template.read(config.template)
    model, metadata = load_checkpoint(config.weights)
    teacher_network, _ = load_network(config.teacher, TUFA)
    keep_freed_memory()
    plane = torch.from_numpy(np.array(template.points))
    head = _first_head(model, plane)
    base = model.with_head(None).eval()
    teacher = _teacher(teacher_network, config.template, base.config.input_size)
    sources: list[tuple[Any, np.ndarray, np.ndarray]] = []
    if config.data is not None:
        store = SampleStore.read(config.data)
        sources.append((store, *store.split()))
    if config.images:
        found = FoundFaces.read(config.images, base, default_detector())
        aside = np.arange(len(found)) % KEPT_ASIDE == KEPT_ASIDE - 1
        sources.append((found, np.flatnonzero(~aside), np.flatnonzero(aside)))
    everyone = sum(len(train) for _, train, _ in sources)
    shares = [max(1, round(config.crops * len(train) / everyone)) for _, train, _ in sources]
    faces = _joined(
        [_look(base, s, train, share, teacher, config) for (s, train, _), share in zip(sources, shares, strict=True)]
    )
    assert faces.taught is not None
    log.info("%d crops for %d points", len(faces), len(plane))
    if config.steps:
        train_template_head(head, faces, faces.taught, config.steps, config.seed)
    figures = {}
    held_out = [
        _look(base, s, kept, min(HELD_OUT, len(kept)), teacher, config, still=True)
        for s, _, kept in sources
        if len(kept)
    ]
    if held_out:
        figures = student_figures(head, _joined(held_out))
    about = {
        "kind": "template",
        "teacher": weights_sha256(config.teacher, TUFA),
        "base": weights_sha256(config.weights),
        "data": None if config.data is None else config.data.name,
        "faces": everyone,
        "crops": len(faces),
        "steps": config.steps,
        "seed": config.seed,
        "validation": figures,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    save_checkpoint(config.out, base.with_head(head), {**metadata, "head": about, "template": template.as_dict()})
    told = "  ".join(f"{key} {100 * value:.2f} %" for key, value in figures.items())
    print(f"{config.out}: {told or 'too few faces to keep some aside and compare on'}")
    return figures


def _first_head(model: ATPN, plane: Tensor) -> TemplateHead:
    if isinstance(model.point_head, PromptHead):
        return model.point_head.template(plane)
    return TemplateHead(model.config.channels(VECTOR), plane)


def _teacher(network: TUFA, template: Path, size: int) -> Teacher:
    """Answers for a template's file; places that the network was fitted to take precedence over the file's."""
    if network.config.input_size != size:
        raise ValueError(
            f"the teacher sees crops of {network.config.input_size} px, the network that learns {size} px; "
            "a teacher of the `small` size sees the same"
        )
    asked = asked_points(network, str(template))
    context = context_of(network, asked.name)

    def teach(crops: Tensor) -> Tensor:
        return torch.from_numpy(predict_plane(network, crops.numpy(), asked.plane, context))

    return teach


def _look(
    model: ATPN,
    store: Any,
    faces: np.ndarray,
    count: int,
    teacher: Teacher,
    config: DistillConfig,
    still: bool = False,
) -> FaceVectors:
    """`count` crops of these faces; `still` ones are what the crop rule gives, as they are."""
    recipe = replace(RECIPE, batch_size=min(RECIPE.batch_size, count))
    if still:
        recipe = replace(recipe, jitter=NO_JITTER, augment=NO_AUGMENT)
    crops = DenseCrops(store, faces, model.mean_shape.numpy(), recipe, model.config.input_size, config.seed)
    return face_vectors(model, crops, count, teacher, config.workers)


def _joined(parts: list[FaceVectors]) -> FaceVectors:
    """Several sets as one, without dense points: not every set has them."""
    return FaceVectors(
        vectors=torch.cat([part.vectors for part in parts]),
        landmarks=torch.cat([part.landmarks for part in parts]),
        dense=torch.empty(sum(map(len, parts)), 0, 2),
        flipped=torch.cat([part.flipped for part in parts]),
        taught=torch.cat([part.taught for part in parts if part.taught is not None]),
    )


@torch.no_grad()
def student_figures(head: TemplateHead, faces: FaceVectors) -> dict[str, float]:
    """How far the student is from the teacher."""
    assert faces.taught is not None
    distance = (head(faces.vectors)[0] - faces.taught).norm(dim=-1) / rectangle_size(faces.landmarks)[:, None]
    return {"from_teacher": float(distance.mean())}
