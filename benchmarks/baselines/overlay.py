"""Image of every network's points on the same faces, to check that inputs and outputs are handled correctly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from benchmarks.baselines.network import LandmarkNetwork, scaled
from edge_runtime.geometry import ROI, extract_crop

TILE = 240
SHOWN = 1.7
"""Side of the shown square over the landmarks' rectangle."""


def draw_networks(networks: Sequence[LandmarkNetwork], faces: Iterable[tuple[np.ndarray, ROI]]) -> np.ndarray:
    """Return a BGR image with a column per network and a row per face, given by frame and squared rectangle."""
    rows = [np.hstack([_tile(network, frame, box) for network in networks]) for frame, box in faces]
    header = np.full((24, rows[0].shape[1], 3), 255, np.uint8)
    for i, network in enumerate(networks):
        cv2.putText(header, network.name, (i * TILE + 4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([header, *rows])


def _tile(network: LandmarkNetwork, frame: np.ndarray, box: ROI) -> np.ndarray:
    roi, shown = scaled(box, network.box_scale), scaled(box, SHOWN)
    landmarks = network.decode(network.run(network.prepare(frame, roi)), roi)
    tile = extract_crop(frame, shown, TILE)
    for x, y in shown.to_crop(network.to_ibug(landmarks)[list(network.points)]) * TILE - 0.5:
        cv2.circle(tile, (round(x * 16), round(y * 16)), 24, (0, 255, 0), cv2.FILLED, cv2.LINE_AA, 4)
    return tile
