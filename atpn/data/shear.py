"""Sheared crops."""

from __future__ import annotations

import cv2
import numpy as np

MAX_SHEAR = 0.2
"""Maximum shift of a row over its distance from the middle row. The thesis gives none; it is that of the authors'
code."""


def sheared(image: np.ndarray, landmarks: np.ndarray, amount: float) -> tuple[np.ndarray, np.ndarray]:
    """Shift each row of an (S, S, 3) crop along x by `amount` times its distance from the middle row.

    The (N, 2) landmarks in crop coordinates move along. Pixels from outside the crop repeat its border.
    """
    middle = (image.shape[0] - 1) / 2
    matrix = np.array([[1.0, amount, -amount * middle], [0.0, 1.0, 0.0]])
    moved = cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shift = np.column_stack([amount * (landmarks[:, 1] - 0.5), np.zeros(len(landmarks))])
    return moved, (landmarks + shift).astype(np.float32)
