"""`python -m atpn tufa train`: train TUFA."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import torch

from atpn.data.store import SampleStore
from atpn.model import load_checkpoint
from atpn.train.config import Recipe, RunLength, require_positive
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, library_versions, select_device
from atpn.train.state import plain
from atpn.tufa.anchors import DENSE, mean_shapes
from atpn.tufa.config import SIZES
from atpn.tufa.dino import load_dino
from atpn.tufa.network import TUFA, new_tufa, take_features
from atpn.tufa.task import TUFATask
from atpn.weights import SHIPPED
from edge_runtime.output_paths import OutputFolder

log = logging.getLogger(__name__)

RECIPE = Recipe(samples=200_000, batch_size=32, lr=1e-3, warmup_steps=200)
"""Recipe of the small size. The published sizes: AdamW at 1e-4 (ViT-S/8) and 5e-5 (ViT-S/16), batches of 16."""


@dataclass(frozen=True)
class TrainTUFAConfig(RunLength):
    """Train TUFA on rendered faces. The same command again resumes an interrupted run."""

    data: Path
    """Folder of .tar shards from `python -m atpn render`."""
    out: OutputFolder
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    size: Literal["small", "vit-s16", "vit-s8"] = "small"
    """Architecture; the published ones need a GPU."""
    sources: tuple[str, ...] = ("wflw98", "ibug68", "cofw29", DENSE)
    """Schemes to learn, and `dense` for points all over the face; each crop takes one of them at random."""
    points: int = 24
    """Query points per crop, N_a; the others are masked."""
    align: bool = True
    """Train semantic alignment embeddings; without, the schemes' mean shapes stay at their affine alignment."""
    features: Path | None = SHIPPED
    """ATPN checkpoint with the features of the `small` size; `None`: new ones."""
    train_features: bool = False
    """Train the features as well, in twice the time."""
    dino: Path | None = None
    """File of DINO weights for the encoder of a published size."""
    batch_size: int = RECIPE.batch_size
    """Crops per step."""
    lr: float = RECIPE.lr
    """Peak learning rate."""
    checkpoint_minutes: float = field(default=5.0, kw_only=True)
    """Minutes between two checkpoints: the maximum loss if the process is killed."""
    recipe: Recipe = field(default=RECIPE, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "points")
        if not self.sources:
            raise ValueError("--sources has no scheme; give one or more")
        changed = replace(RECIPE, batch_size=self.batch_size, lr=self.lr, input_size=SIZES[self.size].input_size)
        object.__setattr__(self, "recipe", changed)


def train(config: TrainTUFAConfig) -> TUFA:
    """Train to the end of the budget; return the averaged network, also written to `out/tufa.safetensors`."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    store = SampleStore.read(config.data)
    keep_freed_memory()
    if DENSE in config.sources and len(store.with_dense) == 0:
        raise ValueError(f"{config.data} has no dense points; render it again, or leave `dense` out of --sources")
    train_features = config.train_features or config.size != "small" or config.features is None
    sampling = config.sources, config.points, config.align, train_features, config.validation
    task = TUFATask(store, config.recipe, config.seed, *sampling)
    schemes = mean_shapes(store, task.faces, [name for name in config.sources if name != DENSE])
    size = replace(SIZES[config.size], dense=DENSE in config.sources)
    atpn = None
    if config.dino is None and config.features is not None and config.size == "small":
        atpn, _ = load_checkpoint(config.features)
        size = replace(size, separable_views=atpn.config.separable_views)
    model = new_tufa(size, schemes, config.seed)
    start = "new"
    if config.dino is not None:
        load_dino(model, config.dino)
        start = config.dino.name
    elif atpn is not None:
        take_features(model, atpn)
        start = f"features of {config.features.name}"
    about = {
        "size": config.size,
        "sources": list(config.sources),
        "points": config.points,
        "align": config.align,
        "train_features": train_features,
        "seed": config.seed,
        "start": start,
        "data": {"path": config.data.name, "faces": len(store.faces), "with_dense": len(store.with_dense)},
    }
    options = RunOptions(
        out=config.out,
        budget=Budget(minutes=config.minutes) if config.minutes else Budget(config.samples or RECIPE.samples),
        setup={"recipe": plain(asdict(config.recipe)), **about},
        provenance={**about, "versions": library_versions()},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=len(task.faces),
    )
    log.info("%s: %d faces, %d of them with dense points", config.data, len(task.faces), len(store.with_dense))
    return Trainer(task, model, config.recipe, options).run()
