"""`python -m atpn tufa train`."""

from __future__ import annotations

import logging
import platform
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.model import load_checkpoint
from atpn.train.config import Bfloat16, Recipe
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, pick_device
from atpn.train.state import plain
from atpn.tufa.anchors import DENSE, mean_shapes
from atpn.tufa.config import SIZES
from atpn.tufa.dino import load_dino
from atpn.tufa.network import TUFA, new_tufa, take_features
from atpn.tufa.task import TUFATask
from atpn.weights import SHIPPED

log = logging.getLogger(__name__)

RECIPE = Recipe(samples=200_000, batch_size=32, lr=1e-3, warmup_steps=200)
"""Of the small size. The published sizes took AdamW at 1e-4 (ViT-S/8) and 5e-5 (ViT-S/16) with batches of 16."""


@dataclass(frozen=True)
class TrainTUFAConfig:
    """Train TUFA on rendered faces. The same command again continues an interrupted run."""

    data: Path
    """Folder of .tar shards that `python -m atpn render` wrote."""
    out: Path
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    size: Literal["small", "vit-s16", "vit-s8"] = "small"
    """Architecture; the published ones want a GPU."""
    sources: tuple[str, ...] = ("wflw98", "ibug68", "cofw29", DENSE)
    """Schemes to learn from, and `dense` for points all over the face; each crop takes one of them at random."""
    points: int = 24
    """Points asked of each crop, N_a: the others are masked."""
    align: bool = True
    """Learn semantic alignment embeddings; off, the schemes' mean shapes stay where affine alignment puts them."""
    features: Path | None = SHIPPED
    """ATPN checkpoint whose features `small` looks at; `None` begins from nothing."""
    train_features: bool = False
    """Let the features learn, too: twice the time."""
    dino: Path | None = None
    """File of DINO weights that a published size's encoder begins with."""
    minutes: float | None = None
    """Length in minutes of training."""
    samples: int | None = None
    """Length in crops; repeatable, unlike minutes."""
    batch_size: int = RECIPE.batch_size
    lr: float = RECIPE.lr
    """Peak learning rate."""
    seed: int = 0
    threads: int = 1
    """Compute threads."""
    workers: int = 1
    """Loader processes."""
    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    bfloat16: Bfloat16 = "auto"
    """Compute in bfloat16 where it is safe. `auto` measures for a second or two whether that is faster here."""
    checkpoint_minutes: float = 5.0
    """Between two checkpoints: what a kill can cost."""
    validation: int = 400
    """Held-out faces to measure at each checkpoint."""
    recipe: Recipe = field(default=RECIPE, init=False)

    def __post_init__(self) -> None:
        if self.minutes is not None and self.samples is not None:
            raise ValueError(f"give --minutes or --samples, not both (got {self.minutes} and {self.samples})")
        for name in ("minutes", "samples", "batch_size", "lr", "points", "threads", "checkpoint_minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive, got {value}")
        if not self.sources:
            raise ValueError("--sources names no scheme to learn from")
        changed = replace(RECIPE, batch_size=self.batch_size, lr=self.lr, input_size=SIZES[self.size].input_size)
        object.__setattr__(self, "recipe", changed)


def train(config: TrainTUFAConfig) -> TUFA:
    """To the end of the budget; the averaged network, also written to `out/tufa.safetensors`."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    store = SampleStore.read(config.data)
    keep_freed_memory()
    if DENSE in config.sources and len(store.with_dense) == 0:
        raise ValueError(f"{config.data} has no dense points; render it anew, or leave `dense` out of --sources")
    learn_features = config.train_features or config.size != "small" or config.features is None
    task = TUFATask(
        store,
        config.recipe,
        config.seed,
        config.sources,
        config.points,
        config.align,
        learn_features,
        config.validation,
    )
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
    data = {"path": config.data.name, "faces": len(store.faces), "with_dense": len(store.with_dense)}
    about = {
        "size": config.size,
        "sources": list(config.sources),
        "points": config.points,
        "align": config.align,
        "train_features": learn_features,
    }
    about |= {"seed": config.seed, "start": start, "data": data}
    options = RunOptions(
        out=config.out,
        budget=Budget(minutes=config.minutes) if config.minutes else Budget(config.samples or RECIPE.samples),
        setup={"recipe": plain(asdict(config.recipe)), **about},
        provenance={
            **about,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        },
        device=pick_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=len(task.faces),
    )
    log.info("%s: %d faces, %d of them with dense points", config.data, len(task.faces), len(store.with_dense))
    return Trainer(task, model, config.recipe, options).run()
