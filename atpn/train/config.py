"""Training recipes and the `train` command's options. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import tyro

from atpn.data.augment import AugmentConfig
from atpn.data.composites import CompositeConfig
from atpn.data.crops import JitterConfig
from atpn.data.label_noise import NoiseConfig
from atpn.data.scenes import SceneConfig

Stage = Literal["landmarks", "tracking", "pose", "detector"]
RecipeName = Literal["atpn", "thesis", "fine-tune"]
Optimizer = Literal["adamw", "adam", "muon"]
Bfloat16 = Literal["auto", "on", "off"]
LandmarkLoss = Literal["wing", "thesis", "soft-wing", "rectified-wing", "adaptive-wing", "star"]


@dataclass(frozen=True)
class Recipe:
    """How one stage is trained."""

    samples: int | None
    """Length when the command gives none; None: `epochs` decides."""
    epochs: int | None = None
    batch_size: int = 128
    """The thesis' (section 3.3.2)."""
    optimizer: Optimizer = "adamw"
    """`muon`: AdamW, but weights that are matrices take orthogonalized steps (`muon.py`)."""
    lr: float = 2e-3
    weight_decay: float = 0.03
    """Decoupled with AdamW, where norms and biases are spared; with Adam the L2 term of equations 3.4, 3.6, 3.8."""
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_steps: int = 100
    decay_epochs: int = 4
    """Step schedule: epochs between two decays."""
    decay_factor: float = 0.03
    gradient_clip: float | None = 2.0
    """Norm: occluded crops now and then give gradients many times the usual."""
    ema_decay: float = 0.998
    """Of the averaged weights that are kept; 0 keeps the last weights. Half-life 350 steps. A run of N steps averages
    over its last ninth at most."""
    settle_fraction: float = 0.0
    """Last fraction of the run, with batch norm's statistics fixed, as on the device. Till then a batch bounds its own
    rare faces, and what they do to the fixed statistics' network nobody sees."""
    settled_jitter: JitterConfig | None = None
    """What `jitter` becomes over the first half of the settling, step by step; of a run given in minutes, at once.
    Landmark and pose stages; None: it stays."""
    settled_augment: AugmentConfig | None = None
    """What `augment` becomes likewise."""
    coarse_share: float = 0.0
    """Of the samples are seen at `coarse_size` before the rest at full size: three times as many per second."""
    coarse_size: int = 64
    input_size: int = 112
    network: Literal["atpn", "thesis"] = "atpn"
    """Of a new one. `thesis`: dense multiview blocks, and landmarks that nothing corrects after the first estimate."""
    jitter: JitterConfig = field(default_factory=JitterConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    background_mix: float = 0.0
    """Probability that a face crop is blended with a background; the thesis mixes, ours covers instead."""
    landmark_loss: LandmarkLoss = "wing"
    """The others: `losses/wing_variants.py` and `losses/star.py`. Measured with wrong labels, none is the default."""
    gap_weight: float = 2.0
    """A network can score well on points alone and not see an open mouth."""
    range_weight: float = 5.0
    """Of activations beyond `losses.activation.ACTIVATION_LIMIT`; 0 leaves them free, and int8 files may then lose half
    their accuracy."""
    uncertainty_weight: float = 0.1
    """Of the likelihood, whose gradient reaches nothing but what reads the uncertainty. 0: not trained."""
    semantic_alignment: bool = False
    """Train landmarks on what Semantic Alignment finds behind the labels instead of on the labels."""
    shape_components: int = 0
    """Labels are first replaced by their likeliest shape in a model of this many components; 0: as they are."""
    label_noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Makes labels wrong, to measure what a recipe does with such."""
    scenes: SceneConfig = field(default_factory=SceneConfig)
    negatives: int = 10
    """Background crops per face crop in the tracking stage (thesis, section 3.3.2)."""
    rest_backbone: bool = False
    """Landmark stage: let the backbone rest, so that the heads for tracking and pose still fit it."""
    balance_classes: bool = True
    """Faces weigh as much as their many negatives in the tracking loss; the thesis' equation 3.5 counts crops alike."""
    pose_loss: Literal["angles", "thesis"] = "angles"
    composites: CompositeConfig = field(default_factory=CompositeConfig)
    """Pictures that the detector learns from."""


# A lost face is noticed one frame late, so the tracking branch must accept what fast motion leaves in the ROI.
_TRACKING_JITTER = JitterConfig(center_sigma=0.07, scale_sigma=0.12)
# Near what a tracked face looks like, which precision is for; what is rare has been learned by then.
_SETTLED_JITTER = JitterConfig(
    center_sigma=0.025, scale_sigma=0.05, roll_sigma=4.0, wide_roll_prob=0.1, unrolled_prob=0.15
)
_SETTLED_AUGMENT = AugmentConfig(
    cover=0.06, low_resolution=0.05, blur=0.08, motion_blur=0.03, noise=0.08, jpeg=0.1, gray=0.08
)
# The thesis crops along the image's axes and rotates samples at random, without a limit given: 30° is our reading.
_THESIS_JITTER = JitterConfig(unrolled_prob=1.0, rotation=30.0)
_THESIS = {
    "network": "thesis",
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "schedule": "step",
    "warmup_steps": 0,
}
_THESIS |= {"gradient_clip": None, "ema_decay": 0.0, "background_mix": 0.2, "jitter": _THESIS_JITTER}
_THESIS |= {"uncertainty_weight": 0.0, "range_weight": 0.0, "balance_classes": False}
# Trained weights and a few hundred faces: small steps, batch norm's statistics as they are, an end after minutes. Faces
# seen a hundred times are known by heart, and what is still wrong on them says nothing of others' uncertainty.
_FINE_TUNE = {"samples": 12_800, "batch_size": 32, "lr": 2e-4, "warmup_steps": 50, "ema_decay": 0.99}
_FINE_TUNE |= {"settle_fraction": 1.0, "uncertainty_weight": 0.0}

RECIPES: Mapping[tuple[RecipeName, Stage], Recipe] = MappingProxyType(
    {
        ("atpn", "landmarks"): Recipe(
            samples=2_000_000,
            coarse_share=0.55,
            ema_decay=0.9995,
            settle_fraction=0.2,
            settled_jitter=_SETTLED_JITTER,
            settled_augment=_SETTLED_AUGMENT,
        ),
        ("atpn", "tracking"): Recipe(samples=80_000, jitter=_TRACKING_JITTER),
        ("atpn", "pose"): Recipe(samples=80_000),
        ("atpn", "detector"): Recipe(samples=400_000, batch_size=32, input_size=192, settle_fraction=0.15),
        # The thesis as written. It gives neither lengths nor the weight of the L2 term: three decays, and a usual one.
        ("thesis", "landmarks"): Recipe(samples=None, epochs=12, landmark_loss="thesis", gap_weight=0.0, **_THESIS),
        ("thesis", "tracking"): Recipe(samples=None, epochs=6, decay_epochs=2, decay_factor=0.04, **_THESIS),
        ("thesis", "pose"): Recipe(
            samples=None, epochs=6, decay_epochs=2, decay_factor=0.04, pose_loss="thesis", **_THESIS
        ),
        ("fine-tune", "landmarks"): Recipe(rest_backbone=True, **_FINE_TUNE),
        ("fine-tune", "tracking"): Recipe(jitter=_TRACKING_JITTER, **_FINE_TUNE),
        ("fine-tune", "pose"): Recipe(**_FINE_TUNE),
    }
)
"""Recipes by name and stage.

The thesis knows neither uncertainty nor a detector, so its recipe leaves that head untrained.
"""


@dataclass(frozen=True)
class TrainConfig:
    """Train ATPN on rendered faces or on your own. The same command again continues an interrupted run.

    Under torchrun, each process holds its share of the shards and makes its share of every batch.
    """

    stage: Annotated[Literal["landmarks", "tracking", "pose", "all", "detector"], tyro.conf.Positional]
    """Stage to train; `tracking` and `pose` start from the run's landmark stage, `all` are these three; `detector` is a
    network of its own."""
    data: tuple[Path, ...]
    """Folder of .tar shards that `python -m atpn render` or `datasets convert` wrote. The landmark stage takes several:
    the first one's scheme and convention are the network's; what the others' labels differ by is learned."""
    out: Path
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    shares: tuple[float, ...] = ()
    """With several --data, how much of every batch each gives; without, all give as much."""
    init: Literal["new", "shipped"] = "new"
    """`shipped` goes on from the shipped weights, with the `fine-tune` recipe unless another is given. Data of another
    scheme make it the network's."""
    recipe: RecipeName | None = None
    """`thesis` trains as published, `atpn` (a new network's default) as we found better, `fine-tune` from trained
    weights on little data."""
    minutes: float | None = None
    """Length of the stage in minutes of training (with `all`: of the landmark stage)."""
    samples: int | None = None
    """Length of the stage in crops (with `all`: of the landmark stage); repeatable, unlike minutes."""
    weights: Path | None = None
    """Checkpoint to start from, instead of a new network or the run's previous stage."""
    batch_size: int | None = None
    """Instead of the recipe's."""
    lr: float | None = None
    """Peak learning rate, instead of the recipe's."""
    optimizer: Optimizer | None = None
    """Instead of the recipe's."""
    landmark_loss: LandmarkLoss | None = None
    """Of the landmark stage, instead of the recipe's."""
    semantic_alignment: bool | None = None
    """In the landmark stage, search consistent labels behind those given; for people's labels."""
    shape_components: int | None = None
    """In the landmark stage, correct labels by a shape model of this many components; for people's labels."""
    coarse_share: float | None = None
    """Share of the crops seen small at first, instead of the recipe's; 0 when going on from trained weights."""
    settle_fraction: float | None = None
    """Last fraction of the run, with batch norm's statistics fixed and milder crops, instead of the recipe's; 1 for a
    fine-tuning at a low rate."""
    width: float = 1.0
    """Channel multiplier of a new network."""
    seed: int = 0
    threads: int = 1
    """Compute threads; on a busy machine one does better than two."""
    workers: int = 1
    """Loader processes; one feeds several hundred crops a second."""
    loader: Literal["auto", "processes", "device"] = "auto"
    """What makes crops: `processes` on the CPU, or for the landmark and pose stages the `device`, which then holds all
    images decoded. `auto` takes the device if it is a GPU and the images are not `on_disk`."""
    on_disk: bool = False
    """Leave the images in their shards and read each when it is wanted: for sets that do not fit into memory."""
    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    bfloat16: Bfloat16 = "auto"
    """Compute in bfloat16 where it is safe. `auto` measures for a second or two whether that is faster here."""
    checkpoint_minutes: float = 3.0
    """Between two checkpoints: what a kill can cost."""
    validation: int = 400
    """Held-out faces to measure at each checkpoint; renders of people that training never sees."""

    def __post_init__(self) -> None:
        if not self.data or (len(self.data) > 1 and self.stage != "landmarks"):
            raise ValueError(f"the {self.stage} stage needs one --data; several are for the landmark stage alone")
        if self.shares and (len(self.shares) != len(self.data) or min(self.shares) <= 0):
            raise ValueError(f"--shares needs a positive number for each of {len(self.data)} --data, got {self.shares}")
        if self.init != "new" and self.weights is not None:
            raise ValueError("give --init shipped or --weights, not both")
        if self.minutes is not None and self.samples is not None:
            raise ValueError(f"give --minutes or --samples, not both (got {self.minutes} and {self.samples})")
        for name in ("minutes", "samples", "batch_size", "lr", "threads", "checkpoint_minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive, got {value}")
        if self.shape_components is not None and self.shape_components < 0:
            raise ValueError(f"--shape-components must not be negative, got {self.shape_components}")
        for name in ("coarse_share", "settle_fraction"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"--{name.replace('_', '-')} must lie between 0 and 1, got {value}")
        if self.loader == "device" and (self.on_disk or self.stage in ("tracking", "detector")):
            what = "images left on disk" if self.on_disk else f"the {self.stage} stage"
            raise ValueError(f"--loader device is not for {what}; use --loader processes")
        if self.workers < 0:
            raise ValueError(f"--workers must not be negative, got {self.workers}")

    @property
    def recipe_name(self) -> RecipeName:
        """The recipe given, or the one that fits what training begins with."""
        return self.recipe or ("fine-tune" if self.init == "shipped" else "atpn")
