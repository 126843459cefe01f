"""`python -m atpn prompts`: one head for every template, trained on dense points of renders."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER
from atpn.data.store import SampleStore
from atpn.distill.heads import train_prompt_head
from atpn.distill.vectors import DenseCrops, FaceVectors, face_vectors
from atpn.model import ATPN, check_output, load_checkpoint, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.model.point_head import PromptHead
from atpn.train.config import RECIPES, Recipe
from atpn.train.losses.landmark import rectangle_size
from atpn.train.machine import keep_freed_memory
from atpn.weights import SHIPPED

log = logging.getLogger(__name__)

RECIPE = replace(RECIPES["atpn", "landmarks"], batch_size=64)
"""Of the crops: what the network itself learned from."""


@dataclass(frozen=True)
class PromptsConfig:
    """Train the prompt head of a network whose other parts rest: any point of the plane becomes a second input."""

    data: Path
    """Folder of renders with dense points."""
    out: Path
    """Checkpoint to write, .safetensors."""
    weights: Path = SHIPPED
    """ATPN checkpoint that gets the head."""
    rank: int = 128
    """Fixed weightings that every point's is a sum of; 96 did as well within a percent."""
    crops: int = 40_000
    """Crops that are looked at once and kept in memory, 11 KB each."""
    steps: int = 5_000
    """Steps over the kept vectors."""
    seed: int = 0
    threads: int = 1
    """Compute threads."""
    workers: int = 1
    """Loader processes."""

    def __post_init__(self) -> None:
        for name in ("rank", "crops", "steps", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be 1 or more, got {getattr(self, name)}")
        check_output(self.out, self.weights)


def run(config: PromptsConfig) -> None:
    """Train, measure on people who were not trained on, and write."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    store = SampleStore.read(config.data)
    if len(store.with_dense) == 0:
        raise ValueError(f"{config.data} has no dense points; render it anew with `python -m atpn render`")
    keep_freed_memory()
    model, metadata = load_checkpoint(config.weights)
    model = model.with_head(None).eval()
    training, held_out = (np.intersect1d(part, store.with_dense) for part in store.split())
    log.info("looking at %d crops of %d faces", config.crops, len(training))
    faces = _look(model, store, training, RECIPE, config.crops, config)
    mean_shape, plane = model.mean_shape, torch.from_numpy(store.plane(int(training[0])))
    head, anchors = train_prompt_head(faces, plane, mean_shape, config.rank, config.steps, config.seed)
    figures = {}
    if len(held_out):
        still = replace(RECIPE, jitter=NO_JITTER, augment=NO_AUGMENT, batch_size=min(64, len(held_out)))
        figures = head_figures(
            model, head, _look(model, store, held_out, still, min(400, len(held_out)), config), plane, anchors
        )
        log.info("held out: %s", "  ".join(f"{key} {100 * value:.3f} %" for key, value in figures.items()))
    about = {
        "head": {
            "kind": "prompts",
            "data": {"path": config.data.name, "faces": len(training)},
            "base": weights_sha256(config.weights),
            "crops": config.crops,
            "steps": config.steps,
            "seed": config.seed,
            "validation": figures,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        },
        "anchors": {model.config.scheme: anchors.double().round(decimals=5).tolist()},
    }
    save_checkpoint(config.out, model.with_head(head), {**metadata, **about})
    print(f"{config.out}: {'  '.join(f'{key} {100 * value:.2f} %' for key, value in figures.items())}")


def _look(
    model: ATPN, store: SampleStore, faces: np.ndarray, recipe: Recipe, count: int, config: PromptsConfig
) -> FaceVectors:
    mean_shape, size = model.mean_shape.numpy(), model.config.input_size
    crops = DenseCrops(store, faces, mean_shape, recipe, size, config.seed)
    return face_vectors(model, crops, count, workers=config.workers)


@torch.no_grad()
def head_figures(
    model: ATPN, head: PromptHead, faces: FaceVectors, plane: torch.Tensor, anchors: torch.Tensor
) -> dict[str, float]:
    """Mean errors over the face rectangle's longer side: dense points, landmarks as prompts, the network's own."""
    size = rectangle_size(faces.landmarks)[:, None]
    asked, _ = head(faces.vectors, anchors)
    own, _ = model.landmark_branch.read_vector(faces.vectors)
    mirrored = torch.stack([1 - plane[:, 0], plane[:, 1]], dim=1)
    dense = torch.where(
        faces.flipped[:, None, None], head(faces.vectors, mirrored)[0], head(faces.vectors, plane)[0]
    )  # fmt: skip
    return {
        "dense": float(((dense - faces.dense).norm(dim=-1) / size).nanmean()),
        "landmarks": float(((asked - faces.landmarks).norm(dim=-1) / size).mean()),
        "network_landmarks": float(((own - faces.landmarks).norm(dim=-1) / size).mean()),
    }
