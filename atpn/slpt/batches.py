"""Face crops, some of them sheared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from atpn.train.dataset import CropSteps, FaceBatch, stack

MAX_SHEAR = 0.2
"""Maximum shift of a row over its distance from the middle row. The thesis gives none; it is that of the authors'
code."""


@dataclass(eq=False, repr=False)
class ShearedFaces(CropSteps):
    """Jittered, augmented face crops with landmarks, sheared with a probability."""

    shear_prob: float = 0.0

    def batch(self, step: int, rng: np.random.Generator) -> FaceBatch:
        """See `Steps.batch`."""
        images, landmarks = [], []
        for crop, image in self.crops(step, rng):
            points = crop.landmarks
            if self.shear_prob and rng.random() < self.shear_prob:
                image, points = sheared(image, points, float(rng.uniform(-MAX_SHEAR, MAX_SHEAR)))
            images.append(image)
            landmarks.append(points)
        return FaceBatch(image=stack(images), landmarks=stack(landmarks))


def sheared(image: np.ndarray, landmarks: np.ndarray, amount: float) -> tuple[np.ndarray, np.ndarray]:
    """Shift each row of an (S, S, 3) crop along x by `amount` times its distance from the middle row.

    The (N, 2) landmarks in crop coordinates move along. Pixels from outside the crop repeat its border.
    """
    middle = (image.shape[0] - 1) / 2
    matrix = np.array([[1.0, amount, -amount * middle], [0.0, 1.0, 0.0]])
    moved = cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shift = np.column_stack([amount * (landmarks[:, 1] - 0.5), np.zeros(len(landmarks))])
    return moved, (landmarks + shift).astype(np.float32)
