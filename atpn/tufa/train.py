"""`python -m atpn tufa train`: train TUFA."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.evaluate.faces import find_faces
from atpn.model import ATPN, load_checkpoint, load_network
from atpn.model.checkpoint import weights_sha256
from atpn.train.config import Recipe, RunLength, require_positive
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, library_versions, select_device
from atpn.train.state import plain
from atpn.train.transformer_recipe import SHEAR_PROB
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.config import SIZES
from atpn.tufa.dino import load_dino
from atpn.tufa.network import TUFA, new_tufa, take_features, take_weights
from atpn.tufa.recipes import SMALL, published_recipe
from atpn.tufa.samples import nearest_face
from atpn.tufa.task import TUFATask
from atpn.tufa.training_set import FindLandmarks, TrainingSet, several_sets, single_set
from atpn.weights import SHIPPED
from edge_runtime.detector import default_detector
from edge_runtime.output_paths import OutputFolder

log = logging.getLogger(__name__)

RECIPE = SMALL
"""Recipe of the small size; that of the published ones is in `recipes`."""
SPLITS = ("train", "test", "val", "all")
"""Names of folders that say which split of a dataset they hold, not which dataset."""


@dataclass(frozen=True)
class TrainTUFAConfig(RunLength):
    """Train TUFA on rendered faces, or on several datasets. The same command again resumes an interrupted run."""

    data: tuple[Path, ...]
    """Folders of .tar shards from `python -m atpn render` or `datasets convert`. Each of several is a training set with
    anchors of its own, whose places are learned: its landmarks may be others, or follow another convention."""
    out: OutputFolder
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    size: Literal["small", "vit-s16", "vit-s8"] = "small"
    """Architecture; the published ones need a GPU, and train by the thesis' recipe."""
    names: tuple[str, ...] = ()
    """Names of several sets; by default their folders' names, or the names above `train` and the like. A single set
    with a name teaches its own landmarks, whatever their scheme."""
    sampling_weights: tuple[float, ...] = ()
    """Relative number of crops from each of several sets; by default as many as it has faces."""
    sources: tuple[str, ...] = ("wflw98", "ibug68", "cofw29", DENSE)
    """Schemes to learn from a single set of 98 landmarks, and `dense` for points all over the face; each crop takes one
    of them at random. Sets with names teach their own landmarks, and dense points where they have them."""
    points: int = 24
    """Query points per crop, N_a; the others are masked."""
    align: bool = True
    """Train semantic alignment embeddings; without, the schemes' mean shapes stay at their affine alignment."""
    features: Path | None = SHIPPED
    """ATPN checkpoint with the features of the `small` size; `None`: new ones, or those of --weights."""
    train_features: bool = False
    """Train the features as well, in twice the time."""
    dino: Path | None = None
    """File of DINO weights for the encoder of a published size."""
    weights: Path | None = None
    """TUFA checkpoint to start from, of the same size; the anchors are new, and the features are those of --features.
    Default: a new network."""
    batch_size: int | None = None
    """Crops per step; default: the recipe's."""
    lr: float | None = None
    """Peak learning rate; default: the recipe's."""
    coarse_fraction: float = 0.0
    """Fraction of the crops trained on at 64 px first, three times as many per second; for the `small` size."""
    checkpoint_minutes: float = field(default=5.0, kw_only=True)
    """Minutes between two checkpoints: the maximum loss if the process is killed."""
    recipe: Recipe = field(default=SMALL, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "points")
        if not self.sources:
            raise ValueError("--sources has no scheme; give one or more")
        if not self.data:
            raise ValueError("--data has no folder; give one or more")
        if len(self.data) == 1 and self.sampling_weights:
            raise ValueError("--sampling-weights is for several --data")
        if len(self.data) > 1 or self.names:
            object.__setattr__(self, "names", set_names(self.data, self.names))
        weights = self.sampling_weights
        if weights and (len(weights) != len(self.data) or min(weights) <= 0):
            raise ValueError(f"--sampling-weights needs a positive number per --data ({len(self.data)}), got {weights}")
        if not 0 <= self.coarse_fraction <= 1 or (self.coarse_fraction and self.size != "small"):
            raise ValueError(
                f"--coarse-fraction must lie between 0 and 1, and is for --size small; got {self.coarse_fraction}"
            )
        if self.weights is not None and self.dino is not None:
            raise ValueError("give --weights or --dino, not both")
        recipe = RECIPE if self.size == "small" else published_recipe(self.size, len(self.data) > 1)
        given = {"batch_size": self.batch_size, "lr": self.lr}
        changes = {name: value for name, value in given.items() if value is not None}
        changes |= {"input_size": SIZES[self.size].input_size, "coarse_fraction": self.coarse_fraction}
        recipe = replace(recipe, **changes)
        if self.samples is not None:  # a short run warms up in its first tenth
            warmup = min(recipe.warmup_steps, self.samples // recipe.batch_size // 10)
            recipe = replace(recipe, warmup_steps=warmup)
        object.__setattr__(self, "recipe", recipe)

    @property
    def trains_features(self) -> bool:
        """Whether the features train: those of a published size, and new ones, always do."""
        return self.train_features or self.size != "small" or (self.features is None and self.weights is None)

    @property
    def shear_prob(self) -> float:
        """Probability that a crop is sheared."""
        return 0.0 if self.size == "small" else SHEAR_PROB


def train(config: TrainTUFAConfig) -> TUFA:
    """Train to the end of the budget; return the averaged network, also written to `out/tufa.safetensors`."""
    return train_on(read_sets(config), config)


def train_on(sets: Sequence[TrainingSet], config: TrainTUFAConfig) -> TUFA:
    """Train on sets that are already there, instead of those in the options' folders; see `train`."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    keep_freed_memory()
    sampling = config.points, config.align, config.trains_features, config.validation, config.sampling_weights
    task = TUFATask(sets, config.recipe, config.seed, *sampling, config.shear_prob)
    model, start = initial_network(sets, config)
    faces = sum(map(len, task.faces))
    about = {
        "size": config.size,
        "sources": [name for name, _ in model.config.schemes] + [DENSE] * any(DENSE in s.sources for s in sets),
        "points": config.points,
        "align": config.align,
        "train_features": config.trains_features,
        "seed": config.seed,
        "start": start,
        "data": {
            "path": " ".join(folder.name for folder in config.data),
            "faces": sum(len(source.store.faces) for source in sets),
            "with_dense": sum(len(source.store.with_dense) for source in sets),
        },
    }
    if config.names:
        about |= {"sets": dict(model.config.sets), "sampling_weights": list(config.sampling_weights)}
    samples = config.samples or config.recipe.samples or (config.recipe.epochs or 1) * faces
    options = RunOptions(
        out=config.out,
        budget=Budget(minutes=config.minutes) if config.minutes else Budget(samples),
        setup={"recipe": plain(asdict(config.recipe)), **about},
        provenance={**about, "versions": library_versions()},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=faces,
    )
    for folder, source, chosen in zip(config.data, sets, task.faces, strict=True):
        log.info("%s: %d faces, %d of them with dense points", folder, len(chosen), len(source.store.with_dense))
    return Trainer(task, model, config.recipe, options).run()


def initial_network(sets: Sequence[TrainingSet], config: TrainTUFAConfig) -> tuple[TUFA, str]:
    """Return the network that training starts with, and a description of its origin."""
    shapes, labels = initial_anchors(config, sets)
    size = replace(SIZES[config.size], dense=any(DENSE in source.sources for source in sets))
    if config.weights is not None:
        known, metadata = load_network(config.weights, TUFA)
        size = replace(size, separable_views=known.config.separable_views, dense=size.dense or known.config.dense)
        model = new_tufa(size, shapes, config.seed, labels)
        take_weights(model, known)
        start = f"{config.weights.name} {weights_sha256(config.weights, TUFA)[:16]}"
        if config.features is None or config.size != "small":
            return model, start
        if metadata.get("train_features"):
            raise ValueError(f"the features of {config.weights} were trained; keep them by --features None")
        take_features(model, load_checkpoint(config.features)[0])
        return model, f"{start}; features of {config.features.name}"
    if config.dino is not None:
        model = new_tufa(size, shapes, config.seed, labels)
        load_dino(model, config.dino)
        return model, config.dino.name
    if config.features is None or config.size != "small":
        return new_tufa(size, shapes, config.seed, labels), "new"
    atpn, _ = load_checkpoint(config.features)
    model = new_tufa(replace(size, separable_views=atpn.config.separable_views), shapes, config.seed, labels)
    take_features(model, atpn)
    return model, f"features of {config.features.name}"


def set_names(folders: Sequence[Path], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of training sets in these folders, by default the folders'; ValueError if two are alike."""
    names = tuple(names) or tuple(
        folder.resolve().parent.name if folder.name.partition("-")[0] in SPLITS else folder.resolve().name
        for folder in folders
    )
    if len(names) != len(folders) or len({*names, DENSE}) <= len(folders):
        raise ValueError(
            f"--names must be {len(folders)} different names, none of them {DENSE}; got {', '.join(names)}"
        )
    return names


def read_sets(config: TrainTUFAConfig) -> list[TrainingSet]:
    """Read the training sets; ValueError if the sources need dense points that are missing."""
    stores = [SampleStore.read(folder) for folder in config.data]
    if config.names:
        atpn, _ = load_checkpoint(SHIPPED)
        return several_sets(stores, config.names, atpn.mean_shape.numpy(), landmark_finder(atpn))
    if DENSE in config.sources and len(stores[0].with_dense) == 0:
        raise ValueError(f"{config.data[0]} has no dense points; render it again, or leave `dense` out of --sources")
    return [single_set(stores[0], config.sources)]


def initial_anchors(
    config: TrainTUFAConfig, sets: Sequence[TrainingSet]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the mean shapes on the plane by the anchors' names, and the schemes of several sets by their names."""
    if not config.names:
        shape = sets[0].frame.shape
        return {name: converted(shape, name) for name in config.sources if name != DENSE}, {}
    named = dict(zip(config.names, sets, strict=True))
    return {n: s.frame.shape for n, s in named.items()}, {n: s.store.scheme.name for n, s in named.items()}


def landmark_finder(atpn: ATPN) -> FindLandmarks:
    """Return a function that finds the 98 landmarks of the face around some points."""
    detector = default_detector()

    def find(image: np.ndarray, points: np.ndarray) -> np.ndarray | None:
        face = nearest_face(points, find_faces(image, atpn, detector))
        return None if face is None else face.landmarks

    return find
