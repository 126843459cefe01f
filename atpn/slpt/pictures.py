"""`python -m atpn slpt attention` and `patches`: which landmarks look at which, and how patches shrink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from atpn.data.crops import compute_mean_shape
from atpn.data.drawing import BITS, draw_edge, draw_points, fixed_point, write_image, write_text
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.plots import COLORS
from atpn.model import load_network
from atpn.slpt.network import SLPT, Stage
from atpn.train.config import require_positive
from edge_runtime.output_paths import OutputFile

TILE = 280
"""Pixels of a face's side."""
CELL = 3
"""Pixels of a matrix's cell."""
_LETTERS, _LINE = (255, 255, 255), (80, 220, 255)


@dataclass(frozen=True)
class PictureConfig:
    """What every picture needs."""

    weights: Path
    """Checkpoint of `python -m atpn slpt train`."""
    data: Path
    """Folder of renders."""
    out: OutputFile
    """PNG."""
    faces: int = 4
    """Number of faces to draw."""
    seed: int = 0
    """Seed of the choice of faces."""

    def __post_init__(self) -> None:
        require_positive(self, "faces")


@dataclass(frozen=True)
class AttentionConfig(PictureConfig):
    """Draw attention between landmarks: each face's strongest, and the mean of all (thesis, figures 4.7 and 4.9)."""

    block: Literal["cross", "self"] = "cross"
    """Attention to the landmarks' patches, or among their queries."""
    layer: int = 1
    """Inherent-relation layer whose strongest weights are drawn as lines; 1 is the first."""


@dataclass(frozen=True)
class PatchesConfig(PictureConfig):
    """Draw some landmarks' patches in every stage, and their uncertainty (thesis, figure 5.1)."""

    points: int = 10
    """Number of landmarks with patches, evenly chosen."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "points")


def show_attention(config: AttentionConfig) -> np.ndarray:
    """Draw the (H, W, 3) uint8 BGR image and write it; ValueError if the network lacks the layer or the block.

    Lines connect each landmark to the other one that its last stage weighs most. Below is the mean over faces, layers,
    and heads: a row per landmark.
    """
    model, crops, stages = _located(config)
    if not 1 <= config.layer <= model.config.layers:
        raise ValueError(f"--layer must be 1 to {model.config.layers}, the network's layers, got {config.layer}")
    weights = attention_weights(stages[-1], config.block)
    tiles = []
    for crop, points, weight in zip(crops, stages[-1].landmarks[-1], weights[config.layer - 1], strict=True):
        tile, places = _tile(crop), points.numpy() * TILE - 0.5
        for index, other in enumerate(strongest(weight).tolist()):
            draw_edge(tile, places[index], places[other], _LINE)
        draw_points(tile, places, radius=1.8)
        tiles.append(tile)
    faces = np.hstack(tiles)
    matrix = _matrix(weights.mean(dim=(0, 1)).numpy())
    width = max(faces.shape[1], matrix.shape[1])
    image = np.vstack([_widened(part, width) for part in (faces, matrix)])
    write_image(config.out, image)
    return image


def show_patches(config: PatchesConfig) -> np.ndarray:
    """Draw the (H, W, 3) uint8 BGR image, a row per face and a column per stage, and write it."""
    model, crops, stages = _located(config)
    count = model.config.scheme.count
    chosen = np.unique(np.linspace(0, count - 1, min(config.points, count)).round().astype(int))
    rows = [
        np.hstack([_stage_tile(crop, stage, face, chosen, number) for number, stage in enumerate(stages, start=1)])
        for face, crop in enumerate(crops)
    ]
    image = np.vstack(rows)
    write_image(config.out, image)
    return image


def attention_weights(stage: Stage, block: Literal["cross", "self"]) -> Tensor:
    """Return a stage's (D, B, N, N) weights of each landmark to each; ValueError if the network lacks the block."""
    kept = [attention.across if block == "cross" else attention.among for attention in stage.attention]
    found = [weights for weights in kept if weights is not None]
    if not found:
        other = "self" if block == "cross" else "cross"
        raise ValueError(f"this network was trained without {block}-attention; give --block {other}")
    return torch.stack(found)


def strongest(weights: Tensor) -> Tensor:
    """Return the (N,) index of the other landmark that each one weighs most, of (N, N) weights."""
    return weights.masked_fill(torch.eye(len(weights), dtype=torch.bool), -torch.inf).argmax(dim=1)


@torch.no_grad()
def _located(config: PictureConfig) -> tuple[SLPT, np.ndarray, list[Stage]]:
    """Return the network, the (n, S, S, 3) uint8 RGB crops of the chosen faces, and the stages with attention."""
    model, _ = load_network(config.weights, SLPT)
    store = SampleStore.read(config.data)
    count = min(config.faces, len(store.faces))
    chosen = np.random.default_rng(config.seed).choice(store.faces, count, replace=False)
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    crops = validation_batch(store, chosen, mean_shape, model.config.input_size)["image"]
    return model, crops.numpy(), model.stages(crops.permute(0, 3, 1, 2).float(), weights=True)


def _tile(crop: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(crop[:, :, ::-1]), (TILE, TILE), interpolation=cv2.INTER_CUBIC)


def _stage_tile(crop: np.ndarray, stage: Stage, face: int, chosen: np.ndarray, number: int) -> np.ndarray:
    """Draw a stage's patches and landmarks, and circles of one standard deviation."""
    tile, places = _tile(crop), stage.landmarks[-1, face].numpy() * TILE - 0.5
    for order, index in enumerate(chosen.tolist()):
        color = COLORS[order % len(COLORS)]
        corner, side = (values[face, index].numpy() * TILE for values in (stage.corners, stage.side))
        cv2.rectangle(tile, fixed_point(corner - 0.5), fixed_point(corner + side - 0.5), color, 1, cv2.LINE_AA, BITS)
        if stage.sigma is not None:
            radius = float(stage.sigma[-1, face, index].square().mean().sqrt()) * TILE
            cv2.circle(tile, fixed_point(places[index]), round(radius * 2**BITS), color, 1, cv2.LINE_AA, BITS)
    draw_points(tile, places, radius=1.4)
    write_text(tile, f"stage {number}: patches of {100 * float(stage.side[face].mean()):.1f} %", (6, 16), _LETTERS)
    return tile


def _matrix(weights: np.ndarray) -> np.ndarray:
    """Draw (N, N) weights, brightest at the largest."""
    level = (255 * weights / weights.max()).astype(np.uint8)
    colors = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
    return cv2.resize(colors, None, fx=CELL, fy=CELL, interpolation=cv2.INTER_NEAREST)


def _widened(image: np.ndarray, width: int) -> np.ndarray:
    return cv2.copyMakeBorder(image, 0, 0, 0, width - image.shape[1], cv2.BORDER_CONSTANT, value=(255, 255, 255))
