"""`python -m atpn prompts`: one head for every template, trained on dense points of renders."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.distill.heads import train_prompt_head
from atpn.distill.vectors import FaceEmbeddings, embed_store
from atpn.model import ATPN, check_suffix, load_checkpoint, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.model.point_head import PromptHead
from atpn.train.config import LoaderOptions, require_positive
from atpn.train.losses.landmark import rectangle_size
from atpn.train.machine import keep_freed_memory, library_versions
from atpn.weights import SHIPPED
from edge_runtime.output_paths import OutputCheckpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PromptsConfig(LoaderOptions):
    """Train the prompt head of a frozen network: query points of the plane become a second input."""

    data: Path
    """Folder of renders with dense points."""
    out: OutputCheckpoint
    """Checkpoint to write, .safetensors."""
    weights: Path = SHIPPED
    """ATPN checkpoint that gets the head."""
    rank: int = 128
    """Number of basis functions that the weights of every point are a sum of; 96 was as accurate within a percent."""
    crops: int = 40_000
    """Crops whose face embeddings are kept in memory, 11 KB each."""
    steps: int = 5_000
    """Training steps."""
    seed: int = 0
    """Seed of all random choices."""

    def __post_init__(self) -> None:
        require_positive(self, "rank", "crops", "steps", "threads")
        check_suffix(self.out)


def run(config: PromptsConfig) -> None:
    """Train, evaluate on held-out people, and write the checkpoint."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    store = SampleStore.read(config.data)
    if len(store.with_dense) == 0:
        raise ValueError(f"{config.data} has no dense points; render it again with `python -m atpn render`")
    keep_freed_memory()
    model, metadata = load_checkpoint(config.weights)
    model = model.with_head(None).eval()
    training, held_out = (np.intersect1d(part, store.with_dense) for part in store.split())
    log.info("embedding %d crops of %d faces", config.crops, len(training))
    faces = embed_store(model, store, training, config.crops, config.seed, config.workers)
    mean_shape, plane = model.mean_shape, torch.from_numpy(store.plane(int(training[0])))
    head, anchors = train_prompt_head(faces, plane, mean_shape, config.rank, config.steps, config.seed)
    metrics = {}
    if len(held_out):
        count = min(400, len(held_out))
        faces = embed_store(model, store, held_out, count, config.seed, config.workers, augmented=False)
        metrics = head_metrics(model, head, faces, plane, anchors)
        log.info("held out: %s", "  ".join(f"{key} {100 * value:.3f} %" for key, value in metrics.items()))
    about = {
        "head": {
            "kind": "prompts",
            "data": {"path": config.data.name, "faces": len(training)},
            "base": weights_sha256(config.weights),
            "crops": config.crops,
            "steps": config.steps,
            "seed": config.seed,
            "validation": metrics,
            "versions": library_versions(),
        },
        "anchors": {model.config.scheme.name: anchors.double().round(decimals=5).tolist()},
    }
    save_checkpoint(config.out, model.with_head(head), {**metadata, **about})
    print(f"{config.out}: {'  '.join(f'{key} {100 * value:.2f} %' for key, value in metrics.items())}")


@torch.no_grad()
def head_metrics(
    model: ATPN, head: PromptHead, faces: FaceEmbeddings, plane: torch.Tensor, anchors: torch.Tensor
) -> dict[str, float]:
    """Return mean errors over the face rectangle's longer side: dense points, landmarks as prompts, the network's."""
    size = rectangle_size(faces.landmarks)[:, None]
    prompted, _ = head(faces.vectors, anchors)
    own, _ = model.landmark_branch.read_vector(faces.vectors)
    mirrored = torch.stack([1 - plane[:, 0], plane[:, 1]], dim=1)
    flipped = faces.flipped[:, None, None]
    dense = torch.where(flipped, head(faces.vectors, mirrored)[0], head(faces.vectors, plane)[0])
    return {
        "dense": float(((dense - faces.dense).norm(dim=-1) / size).nanmean()),
        "landmarks": float(((prompted - faces.landmarks).norm(dim=-1) / size).mean()),
        "network_landmarks": float(((own - faces.landmarks).norm(dim=-1) / size).mean()),
    }
