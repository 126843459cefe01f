"""Label correction by a shape model, after Semantic Alignment's global heatmap correction unit.

The paper's unit is a network from all predicted heatmaps to corrected ones. With coordinates a face is one vector, and
linear shape models of it are exact to a fraction of a percent: here, a Gaussian shape prior and a robust observation
model give each face's most likely shape.

It corrects labels before training, not predictions. These are already a linear function of one vector, so single points
cannot be outliers; the exported files stay the same, and the device has nothing to solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.data.crops import compute_mean_shape
from edge_runtime.geometry import ROI, upright_roll
from edge_runtime.landmarks import LandmarkScheme

ROUNDS = 3
"""Iterations of reweighting points by their distance from the last shape."""
OUTLIER = 3.0
"""Distance in standard deviations at which a point's Cauchy weight is one half."""


@dataclass(frozen=True)
class ShapeModel:
    """Linear model of faces in crop coordinates: mean, K components, residual."""

    mean: np.ndarray
    """(N, 2)."""
    basis: np.ndarray
    """(2N, K) orthonormal columns."""
    variance: np.ndarray
    """(K,) of the coefficients."""
    residual: np.ndarray
    """(N,) variance along an axis that the basis does not explain."""

    @classmethod
    def fit(cls, shapes: np.ndarray, components: int) -> ShapeModel:
        """Fit principal components of (n, N, 2) shapes; ValueError if there are too few shapes."""
        count, points, _ = shapes.shape
        if not 0 < components < min(count, 2 * points):
            raise ValueError(
                f"{components} shape components need more shapes and coordinates: got {count} shapes of "
                f"{2 * points} coordinates; lower --shape-components"
            )
        flat = shapes.reshape(count, -1).astype(np.float64)
        mean = flat.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(flat.T))
        basis, variance = vectors[:, ::-1][:, :components], values[::-1][:components]
        left = (flat - mean) - (flat - mean) @ basis @ basis.T
        residual = left.reshape(count, points, 2).var(axis=0).mean(axis=-1)
        return cls(mean.reshape(points, 2), basis, variance, np.maximum(residual, 1e-12))

    def corrected(self, points: np.ndarray, rounds: int = ROUNDS) -> np.ndarray:
        """Return the (N, 2) points of the most likely shape of a face.

        Each round solves for the maximum a posteriori, then reduces the weight of points far from it. One round weighs
        all alike.
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


def correct_labels(landmarks: np.ndarray, scheme: LandmarkScheme, components: int) -> np.ndarray:
    """Replace (n, N, 2) pixel labels by each face's most likely shape, float32.

    Shapes are compared upright in their ROIs, independent of position, size, and tilt.
    """
    mean_shape = compute_mean_shape(landmarks[:4000], scheme)
    rois = [ROI.from_landmarks(points, upright_roll(points, mean_shape)) for points in landmarks]
    shapes = np.array([roi.to_crop(points) for roi, points in zip(rois, landmarks, strict=True)])
    model = ShapeModel.fit(shapes, components)
    corrected = [roi.to_frame(model.corrected(shape)) for roi, shape in zip(rois, shapes, strict=True)]
    return np.array(corrected, np.float32)
