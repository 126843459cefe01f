"""How a network's landmarks become those of another scheme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge_runtime.landmarks import LandmarkScheme, convert


@dataclass(frozen=True)
class SchemeConversion:
    """Linear map of N landmarks of a network to the M of another scheme. Matrices are (M, N)."""

    target: LandmarkScheme
    mean_shape: Tensor
    """(M, 2) in the crops of the new scheme."""
    places: Tensor
    """Weights of the old landmarks' displacements from their mean, as first estimated."""
    offset: Tensor
    """(M, 2) constant that is added to the displacements."""
    refinement: Tensor
    """Weights of what refines a landmark at its own place."""
    log_sigma: Tensor
    """Weights of the logarithms of standard deviations."""
    log_sigma_offset: Tensor
    """(M,) constant that is added to them."""
    zoom: float = 1.0
    """Size of a face in the new crops over that in the old ones, where it is known."""

    @staticmethod
    def between(own: LandmarkScheme, target: LandmarkScheme, mean_shape: Tensor) -> SchemeConversion:
        """Return the conversion of known schemes, from the (N, 2) mean shape; ValueError if there is none.

        Landmarks are taken to be displaced as in the old crops, scaled as the mean shape is.
        """
        table = torch.from_numpy(convert(np.eye(own.count, dtype=np.float32), own, target))
        new = table @ mean_shape
        (middle, side), (new_middle, new_side) = map(_middle_and_side, (mean_shape, new))
        zoom = side / new_side
        return SchemeConversion(
            target,
            mean_shape=(new - new_middle) * zoom + middle,
            places=zoom * table,
            offset=torch.zeros_like(new),
            refinement=zoom * table,
            log_sigma=table,
            log_sigma_offset=zoom.log().expand(target.count),
            zoom=float(zoom),
        )


def _middle_and_side(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Return the middle (2,) and longer side () of the bounding rectangle of (N, 2) points."""
    low, high = shape.amin(dim=0), shape.amax(dim=0)
    return (low + high) / 2, (high - low).max()
