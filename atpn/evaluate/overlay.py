"""Images of predictions beside labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from atpn.data.contact_sheet import image_grid
from atpn.data.drawing import draw_points, write_image
from edge_runtime.landmarks import LandmarkScheme

SIDE = 448
SHEET_COLUMNS, SHEET_ROWS = 6, 3
PREDICTED, TARGET = (90, 255, 90), (70, 70, 255)
"""BGR."""


def write_overlay(
    folder: Path,
    crops: np.ndarray,
    predicted: np.ndarray,
    target: np.ndarray,
    errors: np.ndarray,
    scheme: LandmarkScheme,
) -> None:
    """Write a JPEG per (S, S, 3) RGB crop with its (N, 2) landmarks (crop coordinates), named by rank from the worst.

    `sheet.jpg` shows an even selection of them, the worst first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = set(np.linspace(0, len(crops) - 1, SHEET_COLUMNS * SHEET_ROWS).round().astype(int).tolist())
    tiles = []
    for rank, i in enumerate(np.argsort(-errors)):
        image = cv2.resize(np.ascontiguousarray(crops[i][:, :, ::-1]), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for points, color in ((target[i], TARGET), (predicted[i], PREDICTED)):
            draw_points(image, points * SIDE - 0.5, scheme.edges, 1.5, color, color)
        write_image(folder / f"{rank:04d}_{100 * errors[i]:05.2f}.jpg", image)
        if rank in chosen:
            tiles.append(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    write_image(folder / "sheet.jpg", image_grid(tiles, SHEET_COLUMNS))
