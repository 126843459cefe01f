"""`python -m atpn tufa attention`: draw the cross-attention of a template's points (thesis, figure 6.8)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.data.crops import compute_mean_shape
from atpn.data.drawing import draw_points, write_image, write_text
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.model import load_network
from atpn.train.config import require_positive
from atpn.tufa.inference import QueryPoints, context_of, load_query_points, predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED_TUFA
from edge_runtime.output_paths import OutputFile

SIDE = 168
"""Pixels of a tile."""
_LETTERS = (255, 255, 255)


@dataclass(frozen=True)
class AttentionConfig:
    """Draw the cross-attention of a template's points on rendered faces."""

    template: str
    """A template's JSON file, or the name of a scheme or fitted template that the network knows."""
    data: Path
    """Folder of renders."""
    out: OutputFile
    """PNG: a row per face, with the points, the mean attention map, and the maps of some points."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint of `python -m atpn tufa train` or `fit`."""
    faces: int = 4
    """Number of faces to draw."""
    points: int = 6
    """Number of the template's points with a map of their own, evenly chosen."""
    seed: int = 0
    """Seed of the choice of faces."""

    def __post_init__(self) -> None:
        require_positive(self, "faces", "points")


def show_attention(config: AttentionConfig) -> np.ndarray:
    """Draw the (H, W, 3) uint8 BGR image and write it."""
    model, _ = load_network(config.weights, TUFA)
    query, store = load_query_points(model, config.template), SampleStore.read(config.data)
    count = min(config.faces, len(store.faces))
    chosen = np.random.default_rng(config.seed).choice(store.faces, count, replace=False)
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    crops = validation_batch(store, chosen, mean_shape, model.config.input_size)["image"].numpy()
    context = context_of(model, query.name)
    maps = attention_maps(model, crops, query.plane, context)
    places = predict_plane(model, crops, query.plane, context)
    rows = [_row(*face, query, config.points) for face in zip(crops, places, maps, strict=True)]
    image = np.vstack(rows)
    write_image(config.out, image)
    return image


@torch.no_grad()
def attention_maps(model: TUFA, crops: np.ndarray, plane: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Return (n, M, G, G) weights of the parts of (n, S, S, 3) uint8 RGB crops, averaged over heads and layers.

    Query points are the (M, 2) of `plane`, along with the (K, 2) of `context`.
    """
    query = torch.from_numpy(np.concatenate([plane, context])).float()
    feature = model.image_feature(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
    return model.attention(feature, query.expand(len(crops), -1, -1))[:, : len(plane)].numpy()


def _row(crop: np.ndarray, points: np.ndarray, maps: np.ndarray, query: QueryPoints, max_maps: int) -> np.ndarray:
    """Draw a face's tiles side by side."""
    face = cv2.resize(np.ascontiguousarray(crop[:, :, ::-1]), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    pixels = points * SIDE - 0.5
    with_points = face.copy()
    draw_points(with_points, pixels, query.edges, radius=1.8)
    tiles = [with_points, _tile(face, maps.mean(axis=0), "all")]
    for index in np.unique(np.linspace(0, len(points) - 1, min(max_maps, len(points))).round().astype(int)):
        tile = _tile(face, maps[index], f"{index}")
        draw_points(tile, pixels[index : index + 1], radius=2.5)
        tiles.append(tile)
    return np.hstack(tiles)


def _tile(face: np.ndarray, heat: np.ndarray, name: str) -> np.ndarray:
    """Draw a (G, G) map, brightest at its maximum, over the gray face."""
    level = cv2.resize(heat / heat.max(), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colors = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    gray = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    tile = cv2.addWeighted(gray, 0.45, colors, 0.75, 0)
    write_text(tile, name, (6, 16), _LETTERS)
    return tile
