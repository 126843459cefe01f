"""Pictures of predictions beside labels, to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_runtime.landmarks import LandmarkScheme

SIDE = 448
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
    """One JPEG per (S, S, 3) RGB crop with (N, 2) landmarks in crop coordinates, named by rank from the worst."""
    folder.mkdir(parents=True, exist_ok=True)
    for rank, i in enumerate(np.argsort(-errors)):
        picture = cv2.resize(np.ascontiguousarray(crops[i][:, :, ::-1]), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for points, colour in ((target[i], TARGET), (predicted[i], PREDICTED)):
            pixels = np.round((points * SIDE - 0.5) * 16).astype(int)
            for a, b in scheme.edges:
                cv2.line(picture, tuple(map(int, pixels[a])), tuple(map(int, pixels[b])), colour, 1, cv2.LINE_AA, 4)
            for x, y in pixels:
                cv2.circle(picture, (int(x), int(y)), 24, colour, -1, cv2.LINE_AA, 4)
        cv2.imwrite(str(folder / f"{rank:04d}_{100 * errors[i]:05.2f}.jpg"), picture)
