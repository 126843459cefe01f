"""`python -m atpn slpt train`: train SLPT or DSLPT."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import cv2
import torch
import tyro

from atpn.data.store import SampleStore
from atpn.model import load_checkpoint
from atpn.slpt.config import NETWORKS, SIZES, Loss, NetworkName, Size, SLPTConfig
from atpn.slpt.network import SLPT, new_slpt, take_features
from atpn.slpt.recipes import RECIPES, RecipeName, SLPTRecipe
from atpn.slpt.resnet import load_resnet
from atpn.slpt.task import SLPTTask
from atpn.train.config import RunLength, require_positive
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.machine import keep_freed_memory, library_versions, select_device
from atpn.train.state import plain
from atpn.weights import SHIPPED
from edge_runtime.output_paths import OutputFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSLPTConfig(RunLength):
    """Train SLPT or DSLPT on rendered faces or on your own. The same command again resumes an interrupted run."""

    data: Path
    """Folder of .tar shards from `python -m atpn render` or `datasets convert`."""
    out: OutputFolder
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    network: NetworkName = "dslpt"
    """`slpt` halves every patch and predicts places; `dslpt` predicts uncertainty as well, which sizes the patches."""
    size: Size = "small"
    """Architecture; the published ones, with a ResNet, need a GPU."""
    recipe: RecipeName | None = None
    """`published`: the thesis' schedule and augmentation, the default of the published sizes. `small`: ours."""
    features: Path | None = SHIPPED
    """ATPN checkpoint with the features of the `small` size; `None`: new ones."""
    train_features: bool = False
    """Train the features of the `small` size as well, in twice the time."""
    resnet: Path | None = None
    """torchvision's file of ImageNet weights for a published size."""
    loss: Loss | None = None
    """Default: the network's. `laplace` is the thesis' other likelihood; `l1`, `l2`: distances, without uncertainty."""
    shrink: tuple[float, float] | None = None
    """Limits of a patch's side over that of the stage before, L_down and L_up; default: the network's."""
    stages: int = 3
    """Coarse-to-fine stages."""
    layers: int | None = None
    """Inherent-relation layers; default: the size's."""
    patch: int = 7
    """Cells along a resized patch's side."""
    self_attention: bool = True
    """Attention among the landmarks' queries."""
    cross_attention: bool = True
    """Attention of queries to patches."""
    structure_encoding: bool = True
    """Learned encodings of the face's structure."""
    own_patch: Annotated[bool | None, tyro.conf.arg(constructor=bool)] = None
    """Begin the first layer's tokens as each landmark's own patch, or as zeros, as published; default: the size's."""
    batch_size: int | None = None
    """Crops per step; default: the recipe's."""
    lr: float | None = None
    """Peak learning rate; default: the recipe's."""
    checkpoint_minutes: float = field(default=5.0, kw_only=True)
    """Minutes between two checkpoints: the maximum loss if the process is killed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "layers")
        if self.resnet is not None and self.size == "small":
            raise ValueError("--resnet is for a published size; give --size resnet34 or resnet50")
        self.architecture()

    def architecture(self) -> SLPTConfig:
        """Return the network's config, but for the data's scheme. ValueError for options that contradict."""
        fields = dict(NETWORKS[self.network])
        if self.loss is not None:
            fields["loss"] = self.loss
        if self.shrink is not None:
            fields["min_shrink"], fields["max_shrink"] = self.shrink
        fields |= {name: value for name in ("layers", "own_patch") if (value := getattr(self, name)) is not None}
        names = "stages", "patch", "self_attention", "cross_attention", "structure_encoding"
        return replace(SIZES[self.size], **fields, **{name: getattr(self, name) for name in names})

    def full_recipe(self) -> SLPTRecipe:
        """Return the recipe with the command's changes."""
        name: RecipeName = self.recipe or ("small" if self.size == "small" else "published")
        own = RECIPES[name, self.network]
        given = {"batch_size": self.batch_size, "lr": self.lr}
        changes = {key: value for key, value in given.items() if value is not None}
        return replace(own, recipe=replace(own.recipe, input_size=SIZES[self.size].input_size, **changes))


def train(config: TrainSLPTConfig) -> SLPT:
    """Train to the end of the budget; return the averaged network, also written to `out/slpt.safetensors`."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    store, own = SampleStore.read(config.data), config.full_recipe()
    recipe = own.recipe
    keep_freed_memory()
    train_features = config.train_features or config.size != "small" or config.features is None
    task = SLPTTask(store, own, config.seed, train_features, config.validation)
    architecture = replace(config.architecture(), scheme=store.scheme)
    model = new_slpt(architecture, torch.from_numpy(task.mean_shape), config.seed)
    start = _take_backbone(model, config)
    about = {
        "network": config.network,
        "size": config.size,
        "train_features": train_features,
        "seed": config.seed,
        "start": start,
        "data": {"path": config.data.name, "faces": len(store.faces)},
    }
    options = RunOptions(
        out=config.out,
        budget=_budget(config, own, len(task.faces)),
        setup={"recipe": plain(asdict(recipe)), "architecture": plain(model.stored_config), **about},
        provenance={**about, "shear_prob": own.shear_prob, "versions": library_versions()},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        checkpoint_seconds=60 * config.checkpoint_minutes,
        epoch_samples=len(task.faces),
    )
    log.info("%s: %d faces", config.data, len(store.faces))
    return Trainer(task, model, recipe, options).run()


def _budget(config: TrainSLPTConfig, own: SLPTRecipe, faces: int) -> Budget:
    if config.minutes:
        return Budget(minutes=config.minutes)
    recipe = own.recipe
    return Budget(config.samples or recipe.samples or (recipe.epochs or 1) * faces)


def _take_backbone(model: SLPT, config: TrainSLPTConfig) -> str:
    """Load the backbone's weights that the command names; return what they are."""
    if config.resnet is not None:
        load_resnet(model.backbone, config.resnet)
        return config.resnet.name
    if config.size == "small" and config.features is not None:
        take_features(model, load_checkpoint(config.features)[0])
        return f"features of {config.features.name}"
    return "new"
