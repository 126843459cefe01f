"""The rows of `python -m atpn ablate`: recipes with one change to the default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from atpn.data.augment import NO_AUGMENT
from atpn.train.config import RECIPES, ArchitecturePart, Recipe

Change = Callable[[Recipe], Recipe]


def _thesis(recipe: Recipe) -> Recipe:
    """Return the published recipe with as many crops of each size as the others."""
    sizes = {name: getattr(recipe, name) for name in ("coarse_fraction", "coarse_size", "input_size")}
    return replace(RECIPES["thesis", "landmarks"], **sizes)


def _thesis_steep(recipe: Recipe) -> Recipe:
    """Return the published recipe with the other reading of "reduced by a factor of 0.03"."""
    return replace(_thesis(recipe), decay_factor=0.03)


def _with(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, **fields)


def _with_jitter(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, jitter=replace(recipe.jitter, **fields))


def _with_augment(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, augment=replace(recipe.augment, **fields))


Row = tuple[str, Change]
"""A row's description, and its change to the default recipe."""

RECIPE_ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "default": ("the default recipe", lambda recipe: recipe),
        "thesis": ("the thesis' recipe", _thesis),
        "thesis-steep": ("the thesis' recipe, rate times 0.03 at each step of its schedule", _thesis_steep),
        "thesis-loss": ("point distance over eye distance instead of the wing loss", _with(landmark_loss="thesis")),
        "no-gap": ("no gap loss", _with(gap_weight=0.0)),
        "half-gap": ("gap loss at half its weight", lambda r: replace(r, gap_weight=r.gap_weight / 2)),
        "no-range": ("activations without a limit", _with(activation_penalty_weight=0.0)),
        "no-uncertainty": ("no uncertainty head trained", _with(uncertainty_weight=0.0)),
        "no-average": ("last weights instead of averaged ones", _with(ema_decay=0.0)),
        "step": ("step schedule instead of cosine", _with(schedule="step")),
        "adam": ("Adam and L2 at 1e-3", _with(optimizer="adam", lr=1e-3, weight_decay=1e-5)),
        "muon": ("Muon for the weights that are matrices", _with(optimizer="muon")),
        "unsettled": (
            "crops as they are to the end",
            _with(settled_jitter=None, settled_augment=None),
        ),
        "batch-32": ("batches of 32, rate halved", lambda r: replace(r, batch_size=32, lr=r.lr / 2)),
        "batch-256": ("batches of 256", _with(batch_size=256)),
        "full-size": ("112 px from the first crop on", _with(coarse_fraction=0.0)),
        "no-augment": ("no photometric augmentation", _with(augment=NO_AUGMENT)),
        "no-cover": ("no rectangles over faces", _with_augment(cover=0.0)),
        "mixed": ("faces blended with backgrounds, as the thesis does", _with(background_mix=0.2)),
        "unrolled": ("crops along the image's axes only, the thesis' rule", _with_jitter(unrolled_prob=1.0)),
        "steady": ("crops without errors of place and size", _with_jitter(center_sigma=0.0, scale_sigma=0.0)),
        "no-flip": ("no mirrored crops", _with_jitter(flip_prob=0.0)),
    }
)
"""Changes to each ingredient of the recipe."""


def _noisy(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, label_noise=replace(recipe.label_noise, level=1.0), **fields)


NOISE_ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "default": ("exact labels", lambda recipe: recipe),
        "noise": ("labels that slide along contours", _noisy()),
        "noise-star": ("the same, STAR loss", _noisy(landmark_loss="star")),
        "noise-semantic-alignment": ("the same, Semantic Alignment", _noisy(semantic_alignment=True)),
        "noise-shape-correction": ("the same, labels corrected by 40 shape components", _noisy(shape_components=40)),
        "noise-adaptive-wing": ("the same, adaptive wing loss", _noisy(landmark_loss="adaptive-wing")),
        "noise-rectified-wing": ("the same, rectified wing loss", _noisy(landmark_loss="rectified-wing")),
        "noise-soft-wing": ("the same, soft wing loss", _noisy(landmark_loss="soft-wing")),
    }
)
"""Methods for labels with errors like those of annotators."""


def _heatmap(**fields: Any) -> Change:
    """Return the noisy recipe for the thesis' network, which has no refinement, as heatmaps have none."""
    return _noisy(network="thesis", **fields)


HEATMAP_ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "default": ("coordinates, wing loss", _heatmap()),
        "star": ("coordinates, STAR loss", _heatmap(landmark_loss="star")),
        "semantic-alignment": ("coordinates, Semantic Alignment", _heatmap(semantic_alignment=True)),
        "heatmap-distance": ("heatmaps, distance of the mean", _heatmap(landmark_loss="heatmap-distance")),
        "heatmap-star": ("heatmaps, STAR loss as published", _heatmap(landmark_loss="heatmap-star")),
        "heatmap-gaussian": ("heatmaps, Gaussians at the labels", _heatmap(landmark_loss="heatmap-gaussian")),
        "heatmap-semantic-alignment": (
            "heatmaps, Semantic Alignment as published",
            _heatmap(landmark_loss="heatmap-semantic-alignment"),
        ),
    }
)
"""STAR and Semantic Alignment for coordinates beside the published ones for heatmaps, all on labels with errors."""


def _thesis_without(*parts: ArchitecturePart) -> Change:
    return _with(network="thesis", without=parts)


LANDMARK_BRANCH_ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "default": ("low-level features, multiview blocks, CoordConv (Model3)", _thesis_without()),
        "no-coord-conv": ("low-level features, multiview blocks (Model2)", _thesis_without("coord_conv")),
        "no-multiview": ("low-level features, CoordConv", _thesis_without("multiview")),
        "low-features": ("low-level features (Model1)", _thesis_without("multiview", "coord_conv")),
        "baseline": (
            "none: the backbone's last features (baseline)",
            _thesis_without("low_features", "multiview", "coord_conv"),
        ),
    }
)
"""Thesis, table 3.7; the row without multiview blocks alone is ours. All have the thesis' network."""

BRANCH_ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "default": ("feature sharing and heatmap", lambda recipe: recipe),
        "no-heatmap": ("feature sharing", _with(without=("heatmap_attention",))),
        "own-backbone": (
            "single-task networks with the same layers (baseline)",
            _with(without=("shared_backbone", "heatmap_attention")),
        ),
    }
)
"""Thesis, tables 3.8 and 3.9, and figure 3.9: changes to the recipes of the tracking and the pose stage."""

TableName = Literal["recipe", "noise", "heatmaps", "landmark-branch", "branches"]
TABLES: Mapping[TableName, Mapping[str, Row]] = MappingProxyType(
    {
        "recipe": RECIPE_ROWS,
        "noise": NOISE_ROWS,
        "heatmaps": HEATMAP_ROWS,
        "landmark-branch": LANDMARK_BRANCH_ROWS,
        "branches": BRANCH_ROWS,
    }
)
