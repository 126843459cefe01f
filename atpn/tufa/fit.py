"""`python -m atpn tufa fit`: a new template learned from a few labelled faces (thesis, section 6.2.4)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from atpn.data.augment import NO_AUGMENT, AugmentConfig, augment
from atpn.data.crops import NO_JITTER, JitterConfig, random_crop
from atpn.data.sample import Sample
from atpn.model import check_output, freeze, load_checkpoint, load_network, save_checkpoint
from atpn.train.config import Recipe
from atpn.train.loop import learning_rate, make_optimizer
from atpn.train.machine import pick_device
from atpn.tufa.anchors import UNSEEN, converted
from atpn.tufa.inference import context_of
from atpn.tufa.network import TUFA
from atpn.tufa.samples import LabelledFace, read_samples
from atpn.tufa.spline import carry
from atpn.tufa.task import quick_attention
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import SCHEMES
from edge_runtime.template import Template

log = logging.getLogger(__name__)

STEPS = 200
RECIPE = Recipe(samples=None, batch_size=16, lr=1e-4, warmup_steps=10)
ASKED = 24
"""Points asked of each crop, and as many anchors of a known scheme beside them; as in training (section 6.2.1)."""
ALIGN_STEPS, ALIGN_LR = 100, 1e-2
"""Of the first steps, in which only the template's places move; plane units."""
PRIOR_FACES = 3
"""What the network knew before weighs as much as so many labelled faces: one face's labels are mostly its own form."""


@dataclass(frozen=True)
class FitConfig:
    """Teach TUFA a template from a few labelled faces."""

    template: str
    """A template's JSON file, whose places on the plane are the start; or a new template's name, whose start is the
    samples' mean shape."""
    samples: Path
    """JSON list of {"image": PATH, "points": [[x, y], …]} in pixels, one entry per face; paths start at its folder."""
    out: Path
    """Checkpoint to write (.safetensors)."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint to begin with."""
    steps: int = STEPS
    """Batches of 16 crops."""
    lr: float = RECIPE.lr
    """Peak learning rate."""
    train_features: bool = False
    """Let the features learn, too: for hundreds of samples."""
    seed: int = 0
    threads: int = 1
    """Compute threads."""
    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that finds the faces' crops."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.lr <= 0:
            raise ValueError(f"--steps and --lr must be positive, got {self.steps} and {self.lr}")
        check_output(self.out, self.weights, self.samples, Path(self.template))


def fit_template(config: FitConfig) -> TUFA:
    """The fitted network, also written to `out`, with the template in its metadata."""
    torch.set_num_threads(config.threads)
    model, metadata = load_network(config.weights, TUFA)
    atpn, _ = load_checkpoint(config.atpn)
    faces = read_samples(config.samples, atpn, default_detector())
    template = _template(config.template, model, faces)
    recipe = replace(RECIPE, lr=config.lr)
    model = model.to(pick_device(config.device))
    model = fit(
        *(model, template.name, template.points, faces, atpn.mean_shape.numpy()),
        *(recipe, config.steps, config.seed, config.train_features),
    ).cpu()
    about = {"weights": config.weights.name, "samples": len(faces), "steps": config.steps, "seed": config.seed}
    save_checkpoint(config.out, model, {**metadata, "template": template.as_dict(), "fitted": about})
    log.info("fitted %s (%d points) to %d faces: %s", template.name, len(template.points), len(faces), config.out)
    return model


def fit(
    model: TUFA,
    name: str,
    plane: np.ndarray,
    faces: Sequence[LabelledFace],
    mean_shape: np.ndarray,
    recipe: Recipe = RECIPE,
    steps: int = STEPS,
    seed: int = 0,
    train_features: bool = False,
) -> TUFA:
    """A copy that knows a template whose (M, 2) places on the plane begin at `plane`; in inference mode.

    `mean_shape` is (98, 2), ATPN's, for the crop rule.

    New alignment embeddings and all of the network, its features apart, learn from jittered, augmented crops of the
    faces with the L1 loss of training (equation 6.12). What the network says about places that it knew is held, the
    more so the fewer faces there are.
    """
    torch.manual_seed(seed)
    known, rng, model = model, np.random.default_rng(seed), model.with_scheme(name, plane)
    hold = PRIOR_FACES / len(faces)
    _align(model, name, faces, mean_shape, recipe, rng)
    freeze(model, () if train_features else ("features",))
    model.train()
    optimizer, rows, context = make_optimizer(model, recipe), model.rows(name), _context(model, name)
    for step in tqdm(range(steps), desc=name, unit="step", disable=None):
        drawn = [faces[int(index)] for index in rng.integers(len(faces), size=recipe.batch_size)]
        image, points, flipped = _batch(drawn, mean_shape, model, recipe.jitter, recipe.augment, rng)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step / steps, step, epoch=0)
        with quick_attention(image.device):
            places = model.mean_shapes[rows] + model.alignment.weight[1:][rows]
            asked = _ask(len(places), context, rng)
            loss, others = _loss(model, model.image_feature(image), points, flipped, places, asked)
            with torch.no_grad():
                as_before = _loss(known, known.image_feature(image), points, flipped, places, asked)[1]
            if len(asked.context):
                loss = loss + hold * 100 * (others - as_before).abs().sum(-1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], recipe.gradient_clip)
        optimizer.step()
    freeze(model, ())
    return model.eval()


def mean_shape_on_plane(model: TUFA, faces: Sequence[LabelledFace]) -> np.ndarray:
    """(M, 2) median of the faces' points, each face carried onto the plane by the spline that brings its landmarks to
    their anchors.

    An affine map, as in the thesis, leaves a face's expression and pose in the shape, and a profile, whose far side is
    a line, would spoil a mean. ValueError for a network that knows no landmark scheme.
    """
    known = [name for name, _ in model.config.schemes if name in (*SCHEMES, UNSEEN)]
    if not known:
        raise ValueError(
            "this network knows no landmark scheme to place the samples by; train it with one in --sources"
        )
    anchors = np.concatenate([model.anchors(name).cpu().numpy() for name in known])
    shapes = []
    for face in faces:
        crop = ROI.from_landmarks(face.landmarks)
        landmarks = np.concatenate([converted(face.landmarks, name) for name in known])
        shapes.append(carry(crop.to_crop(face.points), crop.to_crop(landmarks), anchors))
    return np.median(shapes, axis=0).astype(np.float32)


def _template(asked: str, model: TUFA, faces: Sequence[LabelledFace]) -> Template:
    """The template to fit, with its first places on the plane."""
    if not asked.endswith(".json"):
        return Template(asked, mean_shape_on_plane(model, faces))
    template = Template.read(asked)
    if len(template.points) != len(faces[0].points):
        raise ValueError(f"{asked} has {len(template.points)} points, but the samples {len(faces[0].points)}")
    return template


def _align(
    model: TUFA,
    name: str,
    faces: Sequence[LabelledFace],
    mean_shape: np.ndarray,
    recipe: Recipe,
    rng: np.random.Generator,
) -> None:
    """Let the template's alignment embeddings learn alone first, in place.

    The mean shape of a few turned heads lies far off on the plane. The network knows better where its own plane meets
    these faces, unless it learns the wrong places before they have moved.
    """
    rows, context = model.rows(name), _context(model, name)
    sides = [
        _batch(faces, mean_shape, model, replace(NO_JITTER, flip_prob=share), NO_AUGMENT, rng) for share in (0.0, 1.0)
    ]
    image, points, flipped = (torch.cat(column) for column in zip(*sides, strict=True))
    model.eval()
    with torch.no_grad():
        feature = torch.cat([model.image_feature(part) for part in image.split(64)])
    offset = torch.zeros_like(model.mean_shapes[rows]).requires_grad_()
    optimizer = torch.optim.Adam([offset], ALIGN_LR)
    for step in range(ALIGN_STEPS):
        optimizer.param_groups[0]["lr"] = ALIGN_LR * (1 - step / ALIGN_STEPS)
        drawn = torch.from_numpy(rng.integers(len(feature), size=recipe.batch_size))
        places = model.mean_shapes[rows] + offset
        with quick_attention(feature.device):
            asked = _ask(len(places), context, rng)
            loss = _loss(model, feature[drawn], points[drawn], flipped[drawn], places, asked)[0]
            loss = loss + PRIOR_FACES / len(faces) * 100 * offset.norm(dim=1).mean()
        (offset.grad,) = torch.autograd.grad(loss, [offset])
        optimizer.step()
    with torch.no_grad():
        model.alignment.weight[1:][rows] = offset


class _Asked(NamedTuple):
    """Some of the points, as many as training asks at a time, and others beside them."""

    chosen: Tensor
    """(m,) rows of the template's points."""
    context: Tensor
    """(k, 2) places that the network knew before."""


def _ask(count: int, context: Tensor, rng: np.random.Generator) -> _Asked:
    return _Asked(_some(count, rng), context[_some(len(context), rng)])


def _loss(
    model: TUFA, feature: Tensor, points: Tensor, flipped: Tensor, places: Tensor, asked: _Asked
) -> tuple[Tensor, Tensor]:
    """L1 of the chosen ones of (M, 2) points in percent of the crop, and the (B, k, 2) answers about the context."""
    plane = torch.cat([places[asked.chosen], asked.context])
    # What a mirrored face shows at a place was at the place's mirror image.
    mirrored = torch.stack([1 - plane[:, 0], plane[:, 1]], dim=1)
    mapped = model.mapped(feature, torch.where(flipped[:, None, None], mirrored, plane))
    count = len(asked.chosen)
    return 100 * (mapped[:, :count] - points[:, asked.chosen]).abs().sum(-1).mean(), mapped[:, count:]


def _some(count: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.choice(count, min(ASKED, count), replace=False))


def _context(model: TUFA, name: str) -> Tensor:
    return torch.from_numpy(context_of(model, name)).to(model.image_mean.device)


def _batch(
    faces: Sequence[LabelledFace],
    mean_shape: np.ndarray,
    model: TUFA,
    jitter: JitterConfig,
    augmentation: AugmentConfig,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """A crop of each face: (B, 3, S, S) RGB, 0 to 255; (B, M, 2) its points in [0, 1] of it; (B,) bool, mirrored."""
    images, points, flipped = [], [], []
    for face in faces:
        sample = Sample(face.image, face.landmarks, dense=face.points)
        crop = random_crop(sample, mean_shape, model.config.input_size, jitter, rng)
        images.append(augment(crop.image, augmentation, rng))
        points.append(crop.dense)
        flipped.append(crop.flipped)
    device = model.image_mean.device
    image = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()
    return image, torch.from_numpy(np.stack(points)).to(device), torch.tensor(flipped, device=device)
