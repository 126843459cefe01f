"""Pictures of predictions beside labels, to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

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
    """One JPEG per (S, S, 3) RGB crop with (N, 2) landmarks in crop coordinates, named by rank from the worst.

    `sheet.jpg` shows an even selection of them, the worst first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = set(np.linspace(0, len(crops) - 1, SHEET_COLUMNS * SHEET_ROWS).round().astype(int).tolist())
    tiles = []
    for rank, i in enumerate(np.argsort(-errors)):
        picture = cv2.resize(np.ascontiguousarray(crops[i][:, :, ::-1]), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for points, colour in ((target[i], TARGET), (predicted[i], PREDICTED)):
            pixels = np.round((points * SIDE - 0.5) * 16).astype(int)
            for a, b in scheme.edges:
                cv2.line(picture, tuple(map(int, pixels[a])), tuple(map(int, pixels[b])), colour, 1, cv2.LINE_AA, 4)
            for x, y in pixels:
                cv2.circle(picture, (int(x), int(y)), 24, colour, -1, cv2.LINE_AA, 4)
        cv2.imwrite(str(folder / f"{rank:04d}_{100 * errors[i]:05.2f}.jpg"), picture)
        if rank in chosen:
            tiles.append(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % SHEET_COLUMNS)
    rows = [np.hstack(tiles[i : i + SHEET_COLUMNS]) for i in range(0, len(tiles), SHEET_COLUMNS)]
    cv2.imwrite(str(folder / "sheet.jpg"), np.vstack(rows))
