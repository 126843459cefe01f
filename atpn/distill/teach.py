"""`python -m atpn teach`: an ATPN's landmarks and uncertainty, taught by DSLPT."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.distill.images import UnlabeledFaces
from atpn.distill.landmarks import JoinedFaces, TaughtLandmarks
from atpn.model import ATPN, load_checkpoint, load_network
from atpn.model.checkpoint import weights_sha256
from atpn.slpt.network import SLPT
from atpn.train.config import RECIPES, Recipe, RunLength
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, library_versions, select_device
from atpn.train.state import plain
from atpn.weights import SHIPPED
from edge_runtime.detector import default_detector
from edge_runtime.output_paths import OutputFolder

log = logging.getLogger(__name__)

RECIPE = replace(RECIPES["fine-tune", "landmarks"], uncertainty_weight=0.1)
"""Fine-tuning: small steps, fixed batch-norm statistics, the backbone frozen."""


@dataclass(frozen=True)
class TeachConfig(RunLength):
    """Teach an ATPN's landmark branch what a DSLPT says. The same command again resumes an interrupted run."""

    teacher: Path
    """Checkpoint of `python -m atpn slpt train --network dslpt`."""
    out: OutputFolder
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    data: Path | None = None
    """Folder of renders to train on; their labels are used for validation only."""
    images: tuple[Path, ...] = ()
    """Unlabeled images, or folders of them, to train on as well: faces as the device will see them."""
    weights: Path = SHIPPED
    """ATPN checkpoint to teach."""
    batch_size: int = RECIPE.batch_size
    """Crops per step."""
    lr: float = RECIPE.lr
    """Peak learning rate."""
    recipe: Recipe = field(default=RECIPE, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data is None and not self.images:
            raise ValueError("no training data: give --data with renders, --images with images, or both")
        object.__setattr__(self, "recipe", replace(RECIPE, batch_size=self.batch_size, lr=self.lr))


def run(config: TeachConfig) -> dict[str, dict[str, float]]:
    """Train; return and print the metrics of the student `before` and `after`, and of the `teacher`.

    ValueError if the two networks have other schemes, or the teacher has no uncertainty.
    """
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    (model, metadata), (teacher, _) = load_checkpoint(config.weights), load_network(config.teacher, SLPT)
    _check(model, teacher, config)
    sources: list[tuple[SampleStore | UnlabeledFaces, np.ndarray]] = []
    held_out = None
    if config.data is not None:
        store = SampleStore.read(config.data)
        faces, others = store.split()
        sources.append((store, faces))
        held_out = (store, others[: config.validation]) if len(others) and config.validation else None
    if config.images:
        unlabeled = UnlabeledFaces.read(config.images, model, default_detector())
        sources.append((unlabeled, np.arange(len(unlabeled))))
    keep_freed_memory()
    recipe = replace(config.recipe, input_size=model.config.input_size)
    task = TaughtLandmarks(teacher, JoinedFaces(sources), recipe, config.seed, held_out)
    task.begin(model)
    report = {"before": task.validate(model), "teacher": task.validate(teacher)}
    about = {
        "teacher": weights_sha256(config.teacher, SLPT),
        "base": weights_sha256(config.weights),
        "data": None if config.data is None else config.data.name,
        "faces": len(task.faces),
        "seed": config.seed,
    }
    options = RunOptions(
        out=config.out,
        budget=Budget(minutes=config.minutes) if config.minutes else Budget(config.samples or recipe.samples),
        setup={"recipe": plain(asdict(recipe)), "width": model.config.width, **about},
        provenance={**metadata, "taught": about, "versions": library_versions()},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=len(task.faces),
    )
    log.info("%d faces to teach on", len(task.faces))
    taught = Trainer(task, model, recipe, options).run()
    report["after"] = task.validate(taught)
    for name, row in report.items():
        if row:
            print(f"{name:8}" + "  ".join(f"{key} {value:.4f}" for key, value in row.items()))
    return report


def _check(model: ATPN, teacher: SLPT, config: TeachConfig) -> None:
    if not teacher.config.uncertainty:
        raise ValueError(
            f"{config.teacher} predicts no uncertainty ({teacher.config.loss} loss), by which its landmarks are "
            "weighted; give a DSLPT"
        )
    if not model.config.uncertainty:
        raise ValueError(f"{config.weights} has no uncertainty head to teach; give an ATPN that has one")
    if model.config.scheme != teacher.config.scheme:
        raise ValueError(
            f"the teacher finds {teacher.config.scheme.name}, the student {model.config.scheme.name}: give networks of "
            "one scheme"
        )
