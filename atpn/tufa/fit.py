"""`python -m atpn tufa fit`: learn a new template from a few labeled faces (thesis, section 6.2.4)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atpn.data.augment import NO_AUGMENT, AugmentConfig
from atpn.data.crops import NO_JITTER, JitterConfig
from atpn.data.sample import Sample
from atpn.model import check_suffix, freeze, load_checkpoint, load_network, save_checkpoint
from atpn.model.decoder_layer import fast_attention
from atpn.train.config import Recipe, require_positive
from atpn.train.dataset import augmented_crops, prepare, stack
from atpn.train.machine import select_device
from atpn.train.optimizer import apply_step, make_optimizer, minimize
from atpn.tufa.anchors import WFLW_WITHOUT_IBUG, converted
from atpn.tufa.inference import context_of
from atpn.tufa.network import TUFA
from atpn.tufa.samples import LabeledFace, read_samples
from atpn.tufa.spline import median_on_plane
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.landmarks import SCHEMES
from edge_runtime.output_paths import OutputCheckpoint
from edge_runtime.template import Template

log = logging.getLogger(__name__)

STEPS = 200
RECIPE = Recipe(samples=None, batch_size=16, lr=1e-4, warmup_steps=10)
QUERY_POINTS = 24
"""Query points per step, and as many anchors of a known scheme as context; as in training (section 6.2.1)."""
ALIGN_STEPS, ALIGN_LR = 100, 1e-2
"""Steps and rate of the first phase, in which only the template's points on the plane move; plane units."""
ALIGN_FACES = 256
"""Maximum number of faces of the first phase: their features are kept in memory."""
PRIOR_FACES = 3
"""Weight of the network's prior knowledge in labeled faces: the labels of few faces mostly show those faces' shape."""


@dataclass(frozen=True)
class FitConfig:
    """Fit TUFA to a template by a few labeled faces."""

    template: str
    """A template's JSON file with initial points on the plane; or a new template's name, whose initial points are the
    samples' mean shape."""
    samples: Path
    """JSON list of {"image": PATH, "points": [[x, y], …]} in pixels, one entry per face; paths are relative to it."""
    out: OutputCheckpoint
    """Checkpoint to write (.safetensors)."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint to start from."""
    steps: int = STEPS
    """Batches of 16 crops."""
    lr: float = RECIPE.lr
    """Peak learning rate."""
    train_features: bool = False
    """Train the features as well: for hundreds of samples."""
    seed: int = 0
    """Seed of all random choices."""
    threads: int = 1
    """Compute threads."""
    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the faces' crops."""

    def __post_init__(self) -> None:
        require_positive(self, "steps", "lr")
        check_suffix(self.out)


def fit_template(config: FitConfig) -> TUFA:
    """Fit the network and write it to `out`, with the template in its metadata."""
    torch.set_num_threads(config.threads)
    model, metadata = load_network(config.weights, TUFA)
    atpn, _ = load_checkpoint(config.atpn)
    faces = read_samples(config.samples, atpn, default_detector())
    template = _template(config.template, model, faces)
    recipe = replace(RECIPE, lr=config.lr)
    model = model.to(select_device(config.device))
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
    faces: Sequence[LabeledFace],
    mean_shape: np.ndarray,
    recipe: Recipe = RECIPE,
    steps: int = STEPS,
    seed: int = 0,
    train_features: bool = False,
) -> TUFA:
    """Return a copy in inference mode that is fitted to a template.

    New alignment embeddings and the whole network, by default without its features, are trained on jittered, augmented
    crops with the L1 loss of training (equation 6.12). A penalty keeps the answers at known points, and those at the
    template's initial ones, the stronger the fewer faces there are. `plane` (M, 2) are these initial points;
    `mean_shape` (98, 2) is ATPN's, for the crop rule.
    """
    torch.manual_seed(seed)
    known, rng, model = model, np.random.default_rng(seed), model.with_scheme(name, plane)
    prior_weight = PRIOR_FACES / len(faces)
    _align(model, name, faces[:ALIGN_FACES], mean_shape, recipe, rng)
    freeze(model, () if train_features else ("features",))
    model.train()
    rows, context = model.rows(name), _context(model, name)

    def loss() -> Tensor:
        drawn = [faces[int(index)] for index in rng.integers(len(faces), size=recipe.batch_size)]
        image, points, flipped = _batch(drawn, mean_shape, model, recipe.jitter, recipe.augment, rng)
        with fast_attention(image.device):
            places = model.mean_shapes[rows] + model.alignment.weight[1:][rows]
            query = _draw_query(len(places), context, rng)
            answers = _answers(model, model.image_feature(image), flipped, places, query)
            with torch.no_grad():
                before = _answers(known, known.image_feature(image), flipped, model.mean_shapes[rows], query)
        return _error(answers, points, query) + prior_weight * 100 * (answers - before).abs().sum(-1).mean()

    minimize(make_optimizer(model, recipe), model.parameters(), loss, recipe, steps, name)
    freeze(model, ())
    return model.eval()


def mean_shape_on_plane(model: TUFA, faces: Sequence[LabeledFace]) -> np.ndarray:
    """Return the (M, 2) median of the faces' points on the plane, each face warped by its landmarks to their anchors.

    ValueError if the network knows no landmark scheme.
    """
    known = [name for name, _ in model.config.schemes if model.scheme_of(name) in (*SCHEMES, WFLW_WITHOUT_IBUG)]
    if not known:
        raise ValueError(
            "cannot place the samples on the plane: this network knows no landmark scheme; "
            "train it with one in --sources"
        )
    anchors = np.concatenate([model.anchors(name).cpu().numpy() for name in known])
    landmarks = [np.concatenate([converted(face.landmarks, model.scheme_of(name)) for name in known]) for face in faces]
    return median_on_plane([face.points for face in faces], landmarks, anchors)


def _template(given: str, model: TUFA, faces: Sequence[LabeledFace]) -> Template:
    """Return the template with its initial points on the plane."""
    if not given.endswith(".json"):
        return Template(given, mean_shape_on_plane(model, faces))
    template = Template.read(given)
    if len(template.points) != len(faces[0].points):
        raise ValueError(f"{given} has {len(template.points)} points, but the samples {len(faces[0].points)}")
    return template


def _align(
    model: TUFA,
    name: str,
    faces: Sequence[LabeledFace],
    mean_shape: np.ndarray,
    recipe: Recipe,
    rng: np.random.Generator,
) -> None:
    """Train the template's alignment embeddings alone, in place.

    The mean shape of a few turned heads is far off on the plane, and the whole network would learn the wrong places.
    """
    rows, context = model.rows(name), _context(model, name)
    sides = [
        _batch(faces, mean_shape, model, replace(NO_JITTER, flip_prob=flip), NO_AUGMENT, rng) for flip in (0.0, 1.0)
    ]
    image, points, flipped = (torch.cat(column) for column in zip(*sides, strict=True))
    model.eval().requires_grad_(False)
    with torch.no_grad():
        feature = torch.cat([model.image_feature(part) for part in image.split(64)])
    offset = torch.zeros_like(model.mean_shapes[rows]).requires_grad_()
    optimizer = torch.optim.Adam([offset], ALIGN_LR)
    for step in range(ALIGN_STEPS):
        drawn = torch.from_numpy(rng.integers(len(feature), size=recipe.batch_size))
        places = model.mean_shapes[rows] + offset
        with fast_attention(feature.device):
            query = _draw_query(len(places), context, rng)
            loss = _error(_answers(model, feature[drawn], flipped[drawn], places, query), points[drawn], query)
            loss = loss + PRIOR_FACES / len(faces) * 100 * offset.norm(dim=1).mean()
            apply_step(optimizer, [offset], loss, ALIGN_LR * (1 - step / ALIGN_STEPS))
    with torch.no_grad():
        model.alignment.weight[1:][rows] = offset


class _Query(NamedTuple):
    """A random choice of points, as many as in training, and of context points."""

    chosen: Tensor
    """(m,) rows of the template's points."""
    context: Tensor
    """(k, 2) points that the network knew before."""


def _draw_query(count: int, context: Tensor, rng: np.random.Generator) -> _Query:
    def some(total: int) -> Tensor:
        return torch.from_numpy(rng.choice(total, min(QUERY_POINTS, total), replace=False))

    return _Query(some(count), context[some(len(context))])


def _answers(model: TUFA, feature: Tensor, flipped: Tensor, places: Tensor, query: _Query) -> Tensor:
    """Return (B, m + k, 2): where the chosen of the template's (M, 2) places and the context are on the faces."""
    plane = torch.cat([places[query.chosen], query.context])
    # A point of a mirrored face is the mirror image of its place.
    mirrored = torch.stack([1 - plane[:, 0], plane[:, 1]], dim=1)
    return model.mapped(feature, torch.where(flipped[:, None, None], mirrored, plane))


def _error(answers: Tensor, points: Tensor, query: _Query) -> Tensor:
    """Compute the L1 error of the chosen points in percent of the crop."""
    return 100 * (answers[:, : len(query.chosen)] - points[:, query.chosen]).abs().sum(-1).mean()


def _context(model: TUFA, name: str) -> Tensor:
    return torch.from_numpy(context_of(model, name)).to(model.image_mean.device)


def _batch(
    faces: Sequence[LabeledFace],
    mean_shape: np.ndarray,
    model: TUFA,
    jitter: JitterConfig,
    augmentation: AugmentConfig,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a crop per face: (B, 3, S, S) RGB from 0 to 255, (B, M, 2) points in [0, 1] of it, (B,) bool mirrored."""
    samples = (Sample(face.image, face.landmarks, dense=face.points) for face in faces)
    size = model.config.input_size
    crops, images = zip(*augmented_crops(samples, mean_shape, size, jitter, augmentation, rng), strict=True)
    points, flipped = stack([crop.dense for crop in crops]), torch.tensor([crop.flipped for crop in crops])
    return tuple(
        prepare({"image": stack(images), "points": points, "flipped": flipped}, model.image_mean.device).values()
    )
