"""What a face's other points say about each: the idea of Semantic Alignment's global heatmap correction unit.

The paper's unit is a network from all predicted heatmaps to corrected ones, trained to mend those that are unsure by
the shape of the whole face. With coordinates a whole face is one vector, and linear shape models of it are exact to a
fraction of a percent: here, Gaussian shape prior and robust observation give each face's likeliest shape.

It corrects labels before training, not the network's answers. These are already one linear function of one vector,
out of which no point can jump alone; the exported files stay as they are; and a device has nothing to solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.data.crops import compute_mean_shape
from edge_runtime.geometry import ROI, upright_roll
from edge_runtime.landmarks import LandmarkScheme

ROUNDS = 3
"""Of reweighting points by how far they lie from the shape of the last round."""
OUTLIER = 3.0
"""Standard deviations from which a point counts clearly less (Cauchy's weight is one half there)."""


@dataclass(frozen=True)
class ShapeModel:
    """Faces in crop coordinates as a mean, K ways to differ from it, and what these leave over."""

    mean: np.ndarray
    """(N, 2)."""
    basis: np.ndarray
    """(2N, K) orthonormal columns."""
    variance: np.ndarray
    """(K,) of the coefficients."""
    residual: np.ndarray
    """(N,) variance that the basis leaves over, along an axis."""

    @classmethod
    def fit(cls, shapes: np.ndarray, components: int) -> ShapeModel:
        """Principal components of (n, N, 2) shapes; ValueError when there are too few shapes for as many."""
        count, points, _ = shapes.shape
        if not 0 < components < min(count, 2 * points):
            raise ValueError(
                f"{components} shape components need more shapes and coordinates than that; "
                f"got {count} shapes of {2 * points} coordinates"
            )
        flat = shapes.reshape(count, -1).astype(np.float64)
        mean = flat.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(flat.T))
        basis, variance = vectors[:, ::-1][:, :components], values[::-1][:components]
        left = (flat - mean) - (flat - mean) @ basis @ basis.T
        residual = left.reshape(count, points, 2).var(axis=0).mean(axis=-1)
        return cls(mean.reshape(points, 2), basis, variance, np.maximum(residual, 1e-12))

    def corrected(self, points: np.ndarray, rounds: int = ROUNDS) -> np.ndarray:
        """(N, 2) points of a face to those of its likeliest shape.

        Each round solves for the coefficients' maximum a posteriori; then points far from their place count less. One
        round weighs all alike.
        """
        flat = (points - self.mean).ravel()
        weight = np.ones(len(points))
        for _ in range(rounds):
            precision = np.repeat(weight / self.residual, 2)
            information = (self.basis.T * precision) @ self.basis + np.diag(1 / self.variance)
            coefficients = np.linalg.solve(information, self.basis.T @ (precision * flat))
            shape = (self.basis @ coefficients).reshape(-1, 2)
            squared = ((flat.reshape(-1, 2) - shape) ** 2).mean(axis=1) / self.residual
            weight = 1 / (1 + squared / OUTLIER**2)
        return self.mean + shape


def corrected_labels(landmarks: np.ndarray, scheme: LandmarkScheme, components: int) -> np.ndarray:
    """(n, N, 2) pixel labels of faces, each replaced by its likeliest shape among them all; float32.

    Shapes are compared upright in their regions of interest, so that place, size and tilt do not count.
    """
    mean_shape = compute_mean_shape(landmarks[:4000], scheme)
    regions = [ROI.from_landmarks(points, upright_roll(points, mean_shape)) for points in landmarks]
    shapes = np.array([roi.to_crop(points) for roi, points in zip(regions, landmarks, strict=True)])
    model = ShapeModel.fit(shapes, components)
    corrected = [roi.to_frame(model.corrected(shape)) for roi, shape in zip(regions, shapes, strict=True)]
    return np.array(corrected, np.float32)
