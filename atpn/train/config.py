"""Training recipes and the `train` command's options. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import tyro

from atpn.data.augment import THESIS_AUGMENT, AugmentConfig
from atpn.data.composites import CompositeConfig
from atpn.data.crops import JitterConfig
from atpn.data.label_noise import NoiseConfig
from atpn.data.scenes import THESIS_NEGATIVES, NegativeConfig, SceneConfig
from edge_runtime.output_paths import OutputFolder

Stage = Literal["landmarks", "tracking", "pose", "expressions", "detector"]
RecipeName = Literal["atpn", "lite", "thesis", "fine-tune"]
Optimizer = Literal["adamw", "adam", "muon"]
Bfloat16 = Literal["auto", "on", "off"]
NetworkName = Literal["atpn", "lite", "thesis"]
ArchitecturePart = Literal["low_features", "multiview", "coord_conv", "shared_backbone", "heatmap_attention"]
HeatmapLoss = Literal["heatmap-distance", "heatmap-star", "heatmap-gaussian", "heatmap-semantic-alignment"]
LandmarkLoss = Literal["wing", "thesis", "soft-wing", "rectified-wing", "adaptive-wing", "star", HeatmapLoss]

BLENDING_STAGES: tuple[Stage, ...] = ("landmarks", "pose")
"""Stages whose crops may be blended with backgrounds."""


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one stage."""

    samples: int | None
    """Default length in crops; None: `epochs` decides."""
    epochs: int | None = None
    batch_size: int = 128
    """The thesis' (section 3.3.2)."""
    optimizer: Optimizer = "adamw"
    """`muon`: AdamW, but weights that are matrices take orthogonalized steps (`muon.py`)."""
    lr: float = 2e-3
    weight_decay: float = 0.03
    """AdamW: decoupled, norms and biases excluded. Adam: the L2 term of equations 3.4, 3.6, 3.8."""
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_steps: int = 100
    cooldown_fraction: float = 1.0
    """Cosine schedule: last fraction of the run, in which the rate falls to zero. 0 keeps the peak rate to the end, for
    a run that another one continues from its averaged weights."""
    decay_epochs: int = 4
    """Step schedule: epochs between two decays."""
    decay_at: tuple[int, ...] = ()
    """Step schedule: epochs at which the rate decays, instead of `decay_epochs`."""
    decay_factor: float = 0.03
    gradient_clip: float | None = 2.0
    """Maximum gradient norm: some occluded crops give gradients many times the usual."""
    ema_decay: float = 0.998
    """Decay of the averaged weights that are kept, half-life 350 steps; 0 keeps the last weights. A run of N steps
    averages over its last ninth at most."""
    settle_fraction: float = 0.0
    """Last fraction of the run, with batch-norm statistics fixed, as on the device. With a batch's own statistics,
    activations of rare faces are bounded in training, but not in the exported network."""
    settled_jitter: JitterConfig | None = None
    """Replaces `jitter` gradually over the first half of the settling; at once in a run given in minutes. Landmark,
    pose, and expression stages; None: no change."""
    settled_augment: AugmentConfig | None = None
    """Replaces `augment` likewise."""
    coarse_fraction: float = 0.0
    """Fraction of the samples trained on at `coarse_size` before the rest at full size: three times as many per
    second."""
    coarse_size: int = 64
    input_size: int = 112
    network: NetworkName = "atpn"
    """Architecture of a new network, see `ARCHITECTURES`."""
    without: tuple[ArchitecturePart, ...] = ()
    """Parts that a new network lacks, see `ATPNConfig`: for the thesis' ablations."""
    jitter: JitterConfig = field(default_factory=JitterConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    background_mix: float = 0.0
    """Probability that a face crop is blended with a background, as in the thesis; ours covers parts instead."""
    landmark_loss: LandmarkLoss = "wing"
    """The others are in `losses/wing_variants.py` and `losses/star.py`; none was better with wrong labels. Those that
    begin with `heatmap` give a new network heatmaps (`train/heatmaps.py`), to compare with."""
    gap_weight: float = 2.0
    """Weight of the gap loss: points alone can be accurate while an open mouth is missed."""
    activation_penalty_weight: float = 5.0
    """Weight of activations beyond `losses.activation.ACTIVATION_LIMIT`; with 0, int8 files may lose half their
    accuracy."""
    teacher_weight: float = 1.0
    """Weight of the distance from a teacher's landmarks, where there is a teacher, beside that from the labels."""
    uncertainty_weight: float = 0.1
    """Weight of the likelihood, whose gradient reaches the uncertainty layer only; 0: not trained."""
    semantic_alignment: bool = False
    """Train landmarks on labels corrected by Semantic Alignment."""
    shape_components: int = 0
    """Components of a shape model that corrects labels before training; 0: labels as they are."""
    label_noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Errors added to labels, to measure how a recipe copes with them."""
    scenes: SceneConfig = field(default_factory=SceneConfig)
    negatives: int = 10
    """Background crops per face crop in the tracking stage (thesis, section 3.3.2)."""
    negative_kinds: NegativeConfig = field(default_factory=NegativeConfig)
    """What the background crops show."""
    freeze_backbone: bool = False
    """Landmark stage: freeze the backbone, so that the tracking and pose branches stay valid."""
    balance_classes: bool = True
    """Tracking loss: give both classes equal weight; the thesis' equation 3.5 weighs crops alike."""
    face_weight: float = 4.0
    """Weight of faces over other crops in the balanced tracking loss. Raise it for fewer lost faces and more false
    alarms. With 4, about as many faces pass 0.7 as without displaced faces among the others."""
    pose_loss: Literal["angles", "thesis"] = "angles"
    gaze_weight: float = 3.0
    """Weight of the gaze loss beside that of the expressions."""
    absolute_weight: float = 0.5
    """Weight of the coefficients' absolute errors beside their cross-entropy."""
    composites: CompositeConfig = field(default_factory=CompositeConfig)
    """Composite images of the detector stage."""


# A lost face is detected one frame late, so the tracking branch must accept the ROI error of fast motion.
_TRACKING_JITTER = JitterConfig(center_sigma=0.07, scale_sigma=0.12)
# Faces of 20 pixels must pass, and blurred backgrounds must not.
_TRACKING_AUGMENT = AugmentConfig(low_resolution=0.45, min_resolution=0.16)
# Close to the crops of a tracked face, for precision; rare cases have been learned by then.
_SETTLED_JITTER = JitterConfig(
    center_sigma=0.025, scale_sigma=0.05, roll_sigma=4.0, wide_roll_prob=0.1, unrolled_prob=0.15
)
_SETTLED_AUGMENT = AugmentConfig(
    cover=0.06, low_resolution=0.05, blur=0.08, motion_blur=0.03, noise=0.08, jpeg=0.1, gray=0.08
)
# The thesis crops along the image's axes, and translates, rotates, and mirrors samples, but does not scale them. It
# gives no limits: a rotation of 30° is our reading.
_THESIS_JITTER = JitterConfig(scale_sigma=0.0, unrolled_prob=1.0, rotation=30.0)
_THESIS = {
    "network": "thesis",
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "schedule": "step",
    "warmup_steps": 0,
}
_THESIS |= {"gradient_clip": None, "ema_decay": 0.0, "background_mix": 0.2}
_THESIS |= {"jitter": _THESIS_JITTER, "augment": THESIS_AUGMENT}
_THESIS |= {"uncertainty_weight": 0.0, "activation_penalty_weight": 0.0, "balance_classes": False}
_THESIS |= {"scenes": SceneConfig(embed_prob=0.0, trim_prob=0.0), "negative_kinds": THESIS_NEGATIVES}
# Trained weights and a few hundred faces: small steps, fixed batch-norm statistics, minutes of training. Faces seen a
# hundred times are memorized, so their errors do not tell the uncertainty on others.
_FINE_TUNE = {"samples": 12_800, "batch_size": 32, "lr": 2e-4, "warmup_steps": 50, "ema_decay": 0.99}
_FINE_TUNE |= {"settle_fraction": 1.0, "uncertainty_weight": 0.0}

_STAGES = {
    "landmarks": Recipe(
        samples=2_000_000,
        coarse_fraction=0.55,
        ema_decay=0.9995,
        settle_fraction=0.2,
        settled_jitter=_SETTLED_JITTER,
        settled_augment=_SETTLED_AUGMENT,
    ),
    "tracking": Recipe(samples=80_000, jitter=_TRACKING_JITTER, augment=_TRACKING_AUGMENT),
    "pose": Recipe(samples=80_000),
    # Muon: landmarks and features differ along few directions, which plain steps learn slowly.
    "expressions": Recipe(
        samples=240_000,
        batch_size=64,
        optimizer="muon",
        lr=4e-3,
        settle_fraction=0.3,
        settled_jitter=_SETTLED_JITTER,
        settled_augment=_SETTLED_AUGMENT,
    ),
}

RECIPES: Mapping[tuple[RecipeName, Stage], Recipe] = MappingProxyType(
    {
        **{("atpn", stage): recipe for stage, recipe in _STAGES.items()},
        **{("lite", stage): replace(recipe, network="lite") for stage, recipe in _STAGES.items()},
        ("atpn", "detector"): Recipe(samples=400_000, batch_size=32, input_size=192, settle_fraction=0.15),
        # The thesis gives neither lengths nor the weight of the L2 term: three decays, and a common weight.
        ("thesis", "landmarks"): Recipe(
            samples=None, epochs=12, landmark_loss="thesis", gap_weight=0.0, decay_factor=0.97, **_THESIS
        ),
        ("thesis", "tracking"): Recipe(samples=None, epochs=6, decay_epochs=2, decay_factor=0.96, **_THESIS),
        ("thesis", "pose"): Recipe(
            samples=None, epochs=6, decay_epochs=2, decay_factor=0.96, pose_loss="thesis", **_THESIS
        ),
        ("fine-tune", "landmarks"): Recipe(freeze_backbone=True, **_FINE_TUNE),
        ("fine-tune", "tracking"): Recipe(jitter=_TRACKING_JITTER, **_FINE_TUNE),
        ("fine-tune", "pose"): Recipe(**_FINE_TUNE),
        ("fine-tune", "expressions"): Recipe(**_FINE_TUNE),
    }
)
"""Recipes by name and stage. The thesis has neither uncertainty nor a detector."""


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """Processes and threads of a command that trains."""

    threads: int = 1
    """Compute threads; on a busy machine one is faster than two."""
    workers: int = 1
    """Loader processes; one makes several hundred crops a second."""


@dataclass(frozen=True, kw_only=True)
class MachineOptions(LoaderOptions):
    """Where and in which precision a command trains."""

    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    bfloat16: Bfloat16 = "auto"
    """Compute in bfloat16 where it is safe. `auto` measures for a second or two whether that is faster here."""


@dataclass(frozen=True, kw_only=True)
class RunLength(MachineOptions):
    """Length and checkpoints of a training run."""

    minutes: float | None = None
    """Length in minutes of training, of the first stage if there are several; default: --samples."""
    samples: int | None = None
    """Length in crops, of the first stage if there are several; repeatable, unlike minutes. Default: the recipe's."""
    seed: int = 0
    """Seed of all random choices."""
    checkpoint_minutes: float = 3.0
    """Minutes between two checkpoints: the maximum loss if the process is killed."""
    validation: int = 400
    """Held-out faces, of people that training never sees, to evaluate at each checkpoint."""

    def __post_init__(self) -> None:
        if self.minutes is not None and self.samples is not None:
            raise ValueError(f"give --minutes or --samples, not both (got {self.minutes} and {self.samples})")
        require_positive(self, "minutes", "samples", "batch_size", "lr", "threads", "checkpoint_minutes")
        if self.workers < 0:
            raise ValueError(f"--workers must not be negative, got {self.workers}")


def require_positive(config: Any, *names: str) -> None:
    """Raise ValueError for the first of these options that is given and not positive."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value <= 0:
            raise ValueError(f"--{name.replace('_', '-')} must be positive, got {value}")


@dataclass(frozen=True)
class TrainConfig(RunLength):
    """Train ATPN on rendered faces or on your own. The same command again resumes an interrupted run.

    Under torchrun, each process holds its part of the shards and makes its part of every batch.
    """

    stage: Annotated[Literal["landmarks", "tracking", "pose", "all", "expressions", "detector"], tyro.conf.Positional]
    """Stage to train; `tracking` and `pose` start from the run's landmark stage, `all` are these three; `expressions`
    adds ARKit's coefficients and gaze to the run's pose stage; `detector` is a separate network."""
    data: tuple[Path, ...]
    """Folders of .tar shards from `python -m atpn render` or `datasets convert`. Several are for the landmark stage:
    the first one's scheme and convention are the network's; the offsets of the others' labels are learned."""
    out: OutputFolder
    """Folder of the run: checkpoints, state, TensorBoard scalars."""
    sampling_weights: tuple[float, ...] = ()
    """Relative number of crops per batch from each of several --data; default: equal."""
    backgrounds: Path | None = None
    """Landmark and pose stages: folder of shards whose images, where they show no face, are blended into crops, as
    often as the recipe's `background_mix` says; default: the images without a face of --data."""
    init: Literal["new", "shipped", "shipped-lite"] = "new"
    """`shipped` starts from ATPN's shipped weights, `shipped-lite` from ATPN-lite's. Either takes the `fine-tune`
    recipe if --recipe names no other, and the network takes the data's scheme."""
    recipe: RecipeName | None = None
    """`thesis`: as published. `atpn`: our improvements, the default for a new network. `lite`: a network of half
    the time; give it a --teacher. `fine-tune`: from trained weights on little data."""
    weights: Path | None = None
    """Checkpoint to start from, instead of a new network or the run's previous stage."""
    teacher: Path | None = None
    """Landmark stage: trained network whose landmarks of the same crops are a second target beside the labels."""
    batch_size: int | None = None
    """Crops per step; default: the recipe's."""
    lr: float | None = None
    """Peak learning rate; default: the recipe's."""
    optimizer: Optimizer | None = None
    """Default: the recipe's."""
    landmark_loss: LandmarkLoss | None = None
    """Loss of the landmark stage; default: the recipe's."""
    semantic_alignment: Annotated[bool | None, tyro.conf.arg(constructor=bool)] = None
    """Landmark stage: train on the likeliest landmarks given the label and the EMA model; default: the recipe's. For
    human labels."""
    shape_components: int | None = None
    """Landmark stage: components of the shape model that corrects labels, 0 for none; for human labels."""
    coarse_fraction: float | None = None
    """Fraction of the crops trained on at a small size first; default: the recipe's. Give 0 for trained weights."""
    settle_fraction: float | None = None
    """Last fraction of the run, with batch-norm statistics fixed and milder crops; default: the recipe's. Give 1 to
    fine-tune at a low rate."""
    cooldown_fraction: float | None = None
    """Last fraction of the run, in which the learning rate falls to zero; default: the recipe's. Give 0, with
    --settle-fraction 0, for all but the last of several runs that each continue the one before."""
    width: float | None = None
    """Channel multiplier of a new network; default: 1.0, and 0.5 with the `lite` recipe."""
    loader: Literal["auto", "processes", "device"] = "auto"
    """Where crops are made: in `processes` on the CPU, or, for the landmark and pose stages, on the `device`, which
    then holds all images decoded. `auto` takes the device if it is a GPU and the images are not `on_disk`."""
    on_disk: bool = False
    """Leave the images in their shards and read each when needed: for sets that do not fit into memory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data or (len(self.data) > 1 and self.stage != "landmarks"):
            raise ValueError(f"the {self.stage} stage needs one --data; several are for the landmark stage alone")
        if self.teacher is not None and self.stage not in ("landmarks", "all"):
            raise ValueError(f"a --teacher is for the landmark stage; the {self.stage} stage has labels alone")
        weights = self.sampling_weights
        if weights and (len(weights) != len(self.data) or min(weights) <= 0):
            raise ValueError(f"--sampling-weights needs a positive number per --data ({len(self.data)}), got {weights}")
        if self.init != "new" and self.weights is not None:
            raise ValueError(f"give --init {self.init} or --weights, not both")
        if self.shape_components is not None and self.shape_components < 0:
            raise ValueError(f"--shape-components must not be negative, got {self.shape_components}")
        for name in ("coarse_fraction", "settle_fraction", "cooldown_fraction"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"--{name.replace('_', '-')} must lie between 0 and 1, got {value}")
        blending = self.stage in (*BLENDING_STAGES, "all") and self.loader != "device"
        if self.backgrounds is not None and not blending:
            raise ValueError("--backgrounds is for the landmark and pose stages, with --loader processes")
        if self.loader == "device" and (self.on_disk or self.stage in ("tracking", "expressions", "detector")):
            what = "images left on disk" if self.on_disk else f"the {self.stage} stage"
            raise ValueError(f"--loader device does not support {what}; use --loader processes")

    @property
    def recipe_name(self) -> RecipeName:
        """The recipe given, or the default for the initial weights."""
        return self.recipe or ("atpn" if self.init == "new" else "fine-tune")
