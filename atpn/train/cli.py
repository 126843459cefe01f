"""`python -m atpn train`: one stage, or all three in turn."""

from __future__ import annotations

import logging
import platform
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.model import ATPN, Network, load_checkpoint, load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import DetectorConfig, FaceDetector
from atpn.train.config import RECIPES, Recipe, Stage, TrainConfig
from atpn.train.detection import DetectionTask
from atpn.train.distributed import ALONE, Team, joined_team, world_size
from atpn.train.landmarks import LandmarkTask, new_model, with_heads_of
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, pick_device
from atpn.train.pose import PoseTask
from atpn.train.state import plain
from atpn.train.tracking import TrackingTask

log = logging.getLogger(__name__)

TASKS = {"landmarks": LandmarkTask, "tracking": TrackingTask, "pose": PoseTask, "detector": DetectionTask}
PRECEDING: dict[Stage, tuple[Stage, ...]] = {
    "landmarks": (),
    "tracking": ("landmarks",),
    "pose": ("tracking", "landmarks"),
    "detector": (),
}
"""Stages whose weights a stage may begin with, the most complete first."""
SEED_STEP = 1_000_003
"""Between the seeds of two processes, so that theirs do not meet those that people choose."""


def run(config: TrainConfig) -> None:
    """Train as the options say, together with the other processes that torchrun has started, if any.

    Errors tell what is missing or in the way.
    """
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    stages: tuple[Stage, ...] = ("landmarks", "tracking", "pose") if config.stage == "all" else (config.stage,)
    for stage in stages:
        stage_recipe(stage, config)  # what a later stage refuses is refused before the first one trains
    with joined_team(pick_device(config.device)) as team:
        if not team.leads:
            logging.disable(logging.INFO)  # told once
        store = SampleStore.read(config.data, (team.rank, team.size), config.on_disk)
        keep_freed_memory()
        faces, backgrounds = team.sum(len(store.faces)), team.sum(len(store.backgrounds))
        log.info("%s: %d faces, %d backgrounds", config.data, faces, backgrounds)
        for stage in stages:
            first = stage == stages[0]
            # The given length and weights belong to the first stage; the others take their recipes'.
            given = config if first else replace(config, minutes=None, samples=None, weights=None)
            train_stage(stage, store, given, team)


def train_stage(stage: Stage, store: SampleStore, config: TrainConfig, team: Team = ALONE) -> Network:
    """One stage to its end; its averaged network, also written to `out/STAGE.safetensors`."""
    recipe = stage_recipe(stage, config)
    if stage == "tracking" and len(store.backgrounds) == 0:
        log.warning("no background-only samples in %s: negatives come from around the faces alone", config.data)
    training_faces, _ = store.split()
    model, start = _initial(stage, store, training_faces, recipe, config)
    # Each process makes its share of a batch: other crops than its neighbours', of other faces.
    share = replace(recipe, batch_size=recipe.batch_size // team.size)
    task = TASKS[stage](store, share, config.seed + SEED_STEP * team.rank, config.validation)
    faces, backgrounds = team.sum(len(store.faces)), team.sum(len(store.backgrounds))
    data = {"path": config.data.name, "faces": faces, "backgrounds": backgrounds}
    epoch_samples = team.sum(len(task.faces)) * (1 + recipe.negatives if stage == "tracking" else 1)
    options = RunOptions(
        out=config.out,
        budget=_budget(recipe, config, epoch_samples),
        setup={
            "recipe": plain(asdict(recipe)),
            "width": config.width if stage == "detector" else model.config.width,
            "seed": config.seed,
            "start": start,
            "data": data,
        },
        provenance={
            "data": data,
            "recipe": config.recipe,
            "seed": config.seed,
            "start": start,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        },
        device=pick_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=epoch_samples,
        team=team,
    )
    return Trainer(task, model, recipe, options).run()


def stage_recipe(stage: Stage, config: TrainConfig) -> Recipe:
    """The stage's recipe with the command's changes; ValueError for a tracking batch that cannot hold one group."""
    names = ["batch_size", "lr", "coarse_share", "fixed_norm_share"]
    if stage == "landmarks":
        names += ["landmark_loss", "semantic_alignment", "shape_components"]
    given = {name: getattr(config, name) for name in names}
    changes = {name: value for name, value in given.items() if value is not None}
    if (config.recipe, stage) not in RECIPES:
        raise ValueError(f"the {config.recipe} recipe has no stage {stage}; use --recipe atpn")
    recipe = replace(RECIPES[config.recipe, stage], **changes)
    processes = world_size()
    if recipe.batch_size % processes:
        raise ValueError(f"a batch of {recipe.batch_size} cannot be shared equally among {processes} processes")
    if stage == "tracking" and recipe.batch_size // processes <= recipe.negatives:
        raise ValueError(
            f"a tracking batch of {recipe.batch_size // processes} cannot hold a face and its {recipe.negatives} "
            f"negatives; use --batch-size {processes * (recipe.negatives + 1)} or more"
        )
    return recipe


def _budget(recipe: Recipe, config: TrainConfig, epoch_samples: int) -> Budget:
    if config.minutes is not None:
        return Budget(minutes=config.minutes)
    if config.samples is not None:
        return Budget(samples=config.samples)
    return Budget(samples=recipe.samples if recipe.samples is not None else (recipe.epochs or 1) * epoch_samples)


def _initial(
    stage: Stage, store: SampleStore, faces: np.ndarray, recipe: Recipe, config: TrainConfig
) -> tuple[Network, str]:
    """The network that a new stage begins with, and where it comes from."""
    path = config.weights
    if stage == "detector":
        if path is not None:
            return load_network(path, FaceDetector)[0].resized(recipe.input_size), _origin(path, FaceDetector)
        torch.manual_seed(config.seed)
        return FaceDetector(DetectorConfig(recipe.input_size)), "new"
    if path is None:
        candidates = [config.out / f"{name}.safetensors" for name in PRECEDING[stage]]
        path = next((c for c in candidates if c.exists()), None)
        if path is None and candidates:
            raise FileNotFoundError(
                f"stage {stage} needs landmark weights, but {candidates[-1]} does not exist; "
                f"run `python -m atpn train landmarks --data {config.data} --out {config.out}` first or give --weights"
            )
    if path is None:
        model = new_model(store, faces, config.width, recipe.input_size, config.seed)
        return with_heads_of(model, recipe), "new"
    model, metadata = load_checkpoint(path)
    if model.config.scheme != store.scheme.name:
        raise ValueError(f"{path} predicts {model.config.scheme}, but the data are labelled {store.scheme.name}")
    if config.weights is None and not metadata.get("finished", True):
        log.warning("%s: %s comes from an unfinished stage", stage, path)
    if model.config.input_size != recipe.input_size:
        model = model.resized(recipe.input_size)
    if stage == "landmarks":
        model = with_heads_of(model, recipe)
    return model, _origin(path, ATPN)


def _origin(path: Path, kind: type[Network]) -> str:
    return f"{path.name} {weights_sha256(path, kind)[:16]}"
