"""Face crops, some of them sheared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.data.shear import MAX_SHEAR, sheared
from atpn.train.dataset import CropSteps, FaceBatch, stack


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
