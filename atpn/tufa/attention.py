"""`python -m atpn tufa attention`: where each point of a template looks (thesis, figure 6.8)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.model import load_network
from atpn.tufa.inference import Asked, asked_points, context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.pictures import draw_points, write_text
from atpn.weights import SHIPPED_TUFA
from edge_runtime.files import write_atomically

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
    out: Path
    """PNG: a row per face, with the points, the mean of all their maps, and the maps of some."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint of `python -m atpn tufa train` or `fit`."""
    faces: int = 4
    points: int = 6
    """Of the template have a map of their own, evenly chosen."""
    seed: int = 0
    """Draws the faces."""

    def __post_init__(self) -> None:
        if self.faces < 1 or self.points < 1:
            raise ValueError(f"--faces and --points must be positive, got {self.faces} and {self.points}")


def show_attention(config: AttentionConfig) -> np.ndarray:
    """The picture, (H, W, 3) uint8 BGR, also written."""
    model, _ = load_network(config.weights, TUFA)
    asked, store = asked_points(model, config.template), SampleStore.read(config.data)
    count = min(config.faces, len(store.faces))
    chosen = np.random.default_rng(config.seed).choice(store.faces, count, replace=False)
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    crops = validation_batch(store, chosen, mean_shape, model.config.input_size)["image"].numpy()
    context = context_of(model, asked.name)
    maps = attention_maps(model, crops, asked.plane, context)
    places = predict_plane(model, crops, asked.plane, context)
    rows = [
        _row(crop, points, heat, asked, config.points) for crop, points, heat in zip(crops, places, maps, strict=True)
    ]
    picture = np.vstack(rows)
    write_atomically(config.out, cv2.imencode(".png", picture)[1].tobytes())
    return picture


@torch.no_grad()
def attention_maps(model: TUFA, crops: np.ndarray, plane: np.ndarray, context: np.ndarray) -> np.ndarray:
    """(n, S, S, 3) uint8 RGB crops and (M, 2) plane points, asked with (K, 2) others, to (n, M, G, G) mean weights of
    the parts of the crop."""
    asked = torch.from_numpy(np.concatenate([plane, context])).float()
    feature = model.image_feature(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
    return model.attention(feature, asked.expand(len(crops), -1, -1))[:, : len(plane)].numpy()


def _row(crop: np.ndarray, points: np.ndarray, maps: np.ndarray, asked: Asked, most: int) -> np.ndarray:
    """A face's tiles side by side."""
    face = cv2.resize(np.ascontiguousarray(crop[:, :, ::-1]), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    pixels = points * SIDE - 0.5
    with_points = face.copy()
    draw_points(with_points, pixels, asked.edges, radius=1.8)
    tiles = [with_points, _tile(face, maps.mean(axis=0), "all")]
    for index in np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int)):
        tile = _tile(face, maps[index], f"{index}")
        draw_points(tile, pixels[index : index + 1], radius=2.5)
        tiles.append(tile)
    return np.hstack(tiles)


def _tile(face: np.ndarray, heat: np.ndarray, name: str) -> np.ndarray:
    """A (G, G) map over the grey face; bright is looked at most, each tile by its own largest weight."""
    level = cv2.resize(heat / heat.max(), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    tile = cv2.addWeighted(grey, 0.45, colours, 0.75, 0)
    write_text(tile, name, (6, 16), _LETTERS)
    return tile
