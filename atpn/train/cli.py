"""`python -m atpn train`: train one stage, or all three in turn."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import torch

from atpn.data.background_images import BackgroundImages
from atpn.data.store import SampleStore
from atpn.model import ATPN, Network, load_checkpoint, load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.config import ARCHITECTURES
from atpn.model.detector import DetectorConfig, FaceDetector
from atpn.train.config import BLENDING_STAGES, RECIPES, Recipe, Stage, TrainConfig
from atpn.train.detection import DetectionTask
from atpn.train.device_batches import DeviceLoader
from atpn.train.distributed import SINGLE_PROCESS, DistributedContext, distributed_context, world_size
from atpn.train.expressions import ExpressionTask, with_expression_branch
from atpn.train.landmarks import LandmarkTask, new_model, with_loss_heads
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, library_versions, select_device
from atpn.train.mixing import OtherSet, measure_offsets
from atpn.train.new_scheme import in_scheme_of
from atpn.train.pose import PoseTask
from atpn.train.requirements import check_data
from atpn.train.state import plain
from atpn.train.tracking import TrackingTask
from atpn.weights import SHIPPED, SHIPPED_LITE

log = logging.getLogger(__name__)

TASKS = {
    "landmarks": LandmarkTask,
    "tracking": TrackingTask,
    "pose": PoseTask,
    "expressions": ExpressionTask,
    "detector": DetectionTask,
}
PRECEDING: dict[Stage, tuple[Stage, ...]] = {
    "landmarks": (),
    "tracking": ("landmarks",),
    "pose": ("tracking", "landmarks"),
    "expressions": ("pose",),
    "detector": (),
}
"""Stages whose weights a stage may start from, the most complete first."""
SEED_STEP = 1_000_003
"""Difference between the seeds of two processes, far from the seeds that users choose."""


def run(config: TrainConfig) -> None:
    """Train as the options say, together with the other processes of torchrun, if any."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    check(config)
    stages = stages_of(config)
    with distributed_context(select_device(config.device)) as context:
        if not context.is_main_process:
            logging.disable(logging.INFO)
        stores = []
        for folder in config.data:
            boxes_suffice = stages == ("tracking",)
            store = SampleStore.read(folder, (context.rank, context.size), config.on_disk, boxes_suffice)
            faces, backgrounds = context.sum(len(store.faces) + len(store.boxed)), context.sum(len(store.backgrounds))
            log.info("%s: %d faces, %d backgrounds", folder, faces, backgrounds)
            stores.append(store)
        keep_freed_memory()
        for stage in stages:
            first = stage == stages[0]
            # The given length and weights are for the first stage; the others take their recipes'.
            later = {"minutes": None, "samples": None, "weights": None, "teacher": None, "init": "new"}
            later["recipe"] = config.recipe_name
            train_stage(stage, stores, config if first else replace(config, **later), context)


def stages_of(config: TrainConfig) -> tuple[Stage, ...]:
    """Return the stages to train, in turn."""
    return ("landmarks", "tracking", "pose") if config.stage == "all" else (config.stage,)


def check(config: TrainConfig) -> None:
    """Check the options of all stages before the first one trains; raise what the stage would raise."""
    for stage in stages_of(config):
        stage_recipe(stage, config)
        for folder in config.data:
            check_data(stage, folder)


def train_stage(
    stage: Stage, stores: Sequence[SampleStore], config: TrainConfig, context: DistributedContext = SINGLE_PROCESS
) -> Network:
    """Train one stage; return its averaged network, also written to `out/STAGE.safetensors`."""
    recipe, store = stage_recipe(stage, config), stores[0]
    if stage == "tracking" and len(store.backgrounds) == 0:
        log.warning("no backgrounds in %s: negatives come only from around the faces", config.data[0])
    model, start = _initial(stage, stores, recipe, config)
    # Each process makes its part of a batch, from other faces with other seeds.
    own_recipe = replace(recipe, batch_size=recipe.batch_size // context.size)
    weights = config.sampling_weights or [1.0] * len(stores)
    others = [OtherSet(other, weight / weights[0]) for other, weight in zip(stores[1:], weights[1:], strict=True)]
    mixed: dict[str, Any] = {"others": others} if others else {}
    blended = config.backgrounds if stage in BLENDING_STAGES else None
    if blended is not None:
        images = SampleStore.read(blended, (context.rank, context.size), boxes_suffice=True)
        mixed["blended"] = BackgroundImages.all_of(images)
    teacher = config.teacher if stage == "landmarks" else None
    if teacher is not None:
        mixed["teacher"] = load_checkpoint(teacher)[0]
    task = TASKS[stage](store, own_recipe, config.seed + SEED_STEP * context.rank, config.validation, **mixed)
    faces, backgrounds = (context.sum(sum(len(getattr(s, kind)) for s in stores)) for kind in ("faces", "backgrounds"))
    data = {"path": " ".join(folder.name for folder in config.data), "faces": faces, "backgrounds": backgrounds}
    if others:
        data["sampling_weights"] = list(weights)
    if blended is not None:
        data["blended"] = blended.name
    if teacher is not None:
        data["teacher"] = _origin(teacher, ATPN)
    epoch_samples = context.sum(len(task.faces)) * (1 + recipe.negatives if stage == "tracking" else 1)
    about = {"seed": config.seed, "start": start, "data": data}
    width = 1.0 if stage == "detector" else model.config.width
    options = RunOptions(
        out=config.out,
        budget=_budget(recipe, config, epoch_samples),
        setup={"recipe": plain(asdict(recipe)), "width": width, **about},
        provenance={"recipe": config.recipe_name, **about, "versions": library_versions()},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        device_loader=_device_loader(stage, config),
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=epoch_samples,
        distributed=context,
    )
    return Trainer(task, model, recipe, options).run()


def _device_loader(stage: Stage, config: TrainConfig) -> DeviceLoader | None:
    """Return the maker of the stage's batches on the device; None: loader processes make them."""
    device = select_device(config.device)
    use = config.loader == "device" or (
        config.loader == "auto"
        and not config.on_disk
        and config.backgrounds is None
        and torch.device(device).type == "cuda"
    )
    return DeviceLoader(device) if use and stage in ("landmarks", "pose") else None


def stage_recipe(stage: Stage, config: TrainConfig) -> Recipe:
    """Return the stage's recipe with the command's changes.

    ValueError if the recipe has no such stage, or the batch size does not suit it.
    """
    names = ["batch_size", "lr", "optimizer", "coarse_fraction", "settle_fraction", "cooldown_fraction"]
    if stage == "landmarks":
        names += ["landmark_loss", "semantic_alignment", "shape_components"]
    given = {name: getattr(config, name) for name in names}
    changes = {name: value for name, value in given.items() if value is not None}
    if (config.recipe_name, stage) not in RECIPES:
        raise ValueError(f"the {config.recipe_name} recipe has no stage {stage}; use --recipe atpn")
    recipe = replace(RECIPES[config.recipe_name, stage], **changes)
    processes = world_size()
    if recipe.batch_size % processes:
        raise ValueError(f"a batch of {recipe.batch_size} cannot be split equally among {processes} processes")
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


def _initial(stage: Stage, stores: Sequence[SampleStore], recipe: Recipe, config: TrainConfig) -> tuple[Network, str]:
    """Return the initial network of a new stage, and a description of its origin."""
    path, store = {"new": config.weights, "shipped": SHIPPED, "shipped-lite": SHIPPED_LITE}[config.init], stores[0]
    if stage == "detector":
        if path is not None:
            return load_network(path, FaceDetector)[0].resized(recipe.input_size), _origin(path, FaceDetector)
        torch.manual_seed(config.seed)
        return FaceDetector(DetectorConfig(recipe.input_size)), "new"
    if path is None:
        candidates = [config.out / f"{name}.safetensors" for name in PRECEDING[stage]]
        path = next((c for c in candidates if c.exists()), None)
        if path is None and candidates:
            needed = candidates[-1].stem
            raise FileNotFoundError(
                f"stage {stage} needs {needed} weights, but there is no {candidates[-1]}; run `python -m atpn train "
                f"{needed} --data {config.data[0]} --out {config.out}` first, or give --weights or --init shipped"
            )
    if path is None:
        like = recipe.network, recipe.without
        model = new_model(store, store.split()[0], config.width, recipe.input_size, config.seed, *like)
        return with_loss_heads(model, recipe).with_config(conventions=len(stores) - 1), "new"
    model, metadata = load_checkpoint(path)
    architecture = {name: value for name, value in ARCHITECTURES[recipe.network].items() if name != "width"}
    if any(getattr(model.config, name) != value for name, value in architecture.items()):
        raise ValueError(
            f"the {config.recipe_name} recipe trains another architecture than that of {path}; start from weights "
            "that it trained (--init shipped-lite for the lite recipe), or leave out --recipe"
        )
    if stage == "landmarks" and model.config.scheme != store.scheme:
        names = model.config.scheme.name, store.scheme.name
        log.info("%s: head converted from %s to the data's %s", path, *names)
        model = in_scheme_of(model, store)
    if config.weights is None and not metadata.get("finished", True):
        log.warning("%s: %s comes from an unfinished stage", stage, path)
    if model.config.input_size != recipe.input_size:
        model = model.resized(recipe.input_size)
    if stage == "landmarks":
        model = with_loss_heads(model, recipe)
        if model.config.conventions != len(stores) - 1:
            model = measure_offsets(model, stores[1:])
    if stage == "expressions":
        torch.manual_seed(config.seed)
        model = with_expression_branch(model, store)
    return model, _origin(path, ATPN)


def _origin(path: Path, kind: type[Network]) -> str:
    return f"{path.name} {weights_sha256(path, kind)[:16]}"
