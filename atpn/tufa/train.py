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
from atpn.model import ATPN, load_checkpoint
from atpn.train.config import Recipe, RunLength, require_positive
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, library_versions, select_device
from atpn.train.state import plain
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.config import SIZES
from atpn.tufa.dino import load_dino
from atpn.tufa.network import TUFA, new_tufa, take_features
from atpn.tufa.samples import nearest_face
from atpn.tufa.task import TUFATask
from atpn.tufa.training_set import FindLandmarks, TrainingSet, several_sets, single_set
from atpn.weights import SHIPPED
from edge_runtime.detector import default_detector
from edge_runtime.output_paths import OutputFolder

log = logging.getLogger(__name__)

RECIPE = Recipe(samples=200_000, batch_size=32, lr=1e-3, warmup_steps=200)
"""Recipe of the small size. The published sizes: AdamW at 1e-4 (ViT-S/8) and 5e-5 (ViT-S/16), batches of 16."""

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
    """Architecture; the published ones need a GPU."""
    names: tuple[str, ...] = ()
    """Names of several sets; by default their folders' names, or the names above `train` and the like."""
    sampling_weights: tuple[float, ...] = ()
    """Relative number of crops from each of several sets; by default as many as it has faces."""
    sources: tuple[str, ...] = ("wflw98", "ibug68", "cofw29", DENSE)
    """Schemes to learn from a single set of 98 landmarks, and `dense` for points all over the face; each crop takes one
    of them at random. Several sets teach their own landmarks, and dense points where they have them."""
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
        if not self.data:
            raise ValueError("--data has no folder; give one or more")
        if len(self.data) == 1 and (self.names or self.sampling_weights):
            raise ValueError("--names and --sampling-weights are for several --data")
        if len(self.data) > 1:
            object.__setattr__(self, "names", set_names(self.data, self.names))
        weights = self.sampling_weights
        if weights and (len(weights) != len(self.data) or min(weights) <= 0):
            raise ValueError(f"--sampling-weights needs a positive number per --data ({len(self.data)}), got {weights}")
        changed = replace(RECIPE, batch_size=self.batch_size, lr=self.lr, input_size=SIZES[self.size].input_size)
        object.__setattr__(self, "recipe", changed)


def train(config: TrainTUFAConfig) -> TUFA:
    """Train to the end of the budget; return the averaged network, also written to `out/tufa.safetensors`."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    sets = read_sets(config)
    keep_freed_memory()
    train_features = config.train_features or config.size != "small" or config.features is None
    sampling = config.points, config.align, train_features, config.validation, config.sampling_weights
    task = TUFATask(sets, config.recipe, config.seed, *sampling)
    shapes, labels = initial_anchors(config, sets)
    dense = any(DENSE in source.sources for source in sets)
    size = replace(SIZES[config.size], dense=dense)
    atpn = None
    if config.dino is None and config.features is not None and config.size == "small":
        atpn, _ = load_checkpoint(config.features)
        size = replace(size, separable_views=atpn.config.separable_views)
    model = new_tufa(size, shapes, config.seed, labels)
    start = "new"
    if config.dino is not None:
        load_dino(model, config.dino)
        start = config.dino.name
    elif atpn is not None:
        take_features(model, atpn)
        start = f"features of {config.features.name}"
    about = {
        "size": config.size,
        "sources": [*shapes, *([DENSE] if dense else [])],
        "points": config.points,
        "align": config.align,
        "train_features": train_features,
        "seed": config.seed,
        "start": start,
        "data": {
            "path": " ".join(folder.name for folder in config.data),
            "faces": sum(len(source.store.faces) for source in sets),
            "with_dense": sum(len(source.store.with_dense) for source in sets),
        },
    }
    if len(sets) > 1:
        about["sets"] = labels
        about["sampling_weights"] = list(config.sampling_weights)
    epoch = sum(map(len, task.faces))
    options = RunOptions(
        out=config.out,
        budget=Budget(minutes=config.minutes) if config.minutes else Budget(config.samples or RECIPE.samples),
        setup={"recipe": plain(asdict(config.recipe)), **about},
        provenance={**about, "versions": library_versions()},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=epoch,
    )
    for folder, source, faces in zip(config.data, sets, task.faces, strict=True):
        log.info("%s: %d faces, %d of them with dense points", folder, len(faces), len(source.store.with_dense))
    return Trainer(task, model, config.recipe, options).run()


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
    if len(stores) > 1:
        atpn, _ = load_checkpoint(SHIPPED)
        return several_sets(stores, config.names, atpn.mean_shape.numpy(), landmark_finder(atpn))
    if DENSE in config.sources and len(stores[0].with_dense) == 0:
        raise ValueError(f"{config.data[0]} has no dense points; render it again, or leave `dense` out of --sources")
    return [single_set(stores[0], config.sources)]


def initial_anchors(
    config: TrainTUFAConfig, sets: Sequence[TrainingSet]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the mean shapes on the plane by the anchors' names, and the schemes of several sets by their names."""
    if len(sets) == 1:
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
