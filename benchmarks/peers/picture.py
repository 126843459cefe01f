"""Every network's points on the same faces, to see that each is fed and read as its authors meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from benchmarks.peers.network import LandmarkNetwork, region_of
from edge_runtime.geometry import ROI, extract_crop

TILE = 240
SHOWN = 1.7
"""Side of the shown square over the landmarks' rectangle."""


def draw_networks(networks: Sequence[LandmarkNetwork], faces: Iterable[tuple[np.ndarray, ROI]]) -> np.ndarray:
    """A BGR picture: a row per face, which is a frame and its squared landmark rectangle, and a column per network."""
    rows = [np.hstack([_tile(network, frame, box) for network in networks]) for frame, box in faces]
    header = np.full((24, rows[0].shape[1], 3), 255, np.uint8)
    for i, network in enumerate(networks):
        cv2.putText(header, network.name, (i * TILE + 4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([header, *rows])


def _tile(network: LandmarkNetwork, frame: np.ndarray, box: ROI) -> np.ndarray:
    region, shown = region_of(box, network.box_scale), region_of(box, SHOWN)
    landmarks = network.decode(network.run(network.prepare(frame, region)), region)
    tile = extract_crop(frame, shown, TILE)
    for x, y in shown.to_crop(network.to_ibug(landmarks)[list(network.points)]) * TILE - 0.5:
        cv2.circle(tile, (round(x * 16), round(y * 16)), 24, (0, 255, 0), cv2.FILLED, cv2.LINE_AA, 4)
    return tile
