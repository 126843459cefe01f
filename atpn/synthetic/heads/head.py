"""Head model: a deformable surface with landmarks on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from scipy import sparse


class Part(IntEnum):
    """What a vertex belongs to; the shader chooses its material by it."""

    SKIN = 0
    MOUTH = 1
    GUMS = 2
    TEETH = 3
    EYEBALL = 4
    SOCKET = 5
    LASHES = 6


@dataclass(frozen=True)
class SurfacePoints:
    """Points that ride on a surface, each a weighted mean of three vertices."""

    vertices: np.ndarray
    """(..., 3) int vertex indices."""
    weights: np.ndarray
    """(..., 3) float, sum 1."""

    def at(self, surface: np.ndarray) -> np.ndarray:
        """Return (..., 3) positions on a (V, 3) surface."""
        return (surface[self.vertices] * self.weights[..., None]).sum(axis=-2)


@dataclass(frozen=True)
class HeadModel:
    """A linear head model with landmarks (V vertices, R render vertices, T triangles).

    Head frame, in centimeters: x to the image's right, y down, z away from the camera; a head at rest looks along -z.
    Texture coordinates have their origin at the top left of the texture, like image rows.
    """

    name: str
    neutral: np.ndarray
    """(V, 3) float32."""
    triangles: np.ndarray
    """(T, 3) int32 into the V vertices; counter-clockwise seen from outside in a y-up view."""
    part: np.ndarray
    """(V,) uint8 `Part`."""
    uv: np.ndarray
    """(R, 2) float32 in [0, 1]; R > V where the texture has seams."""
    uv_source: np.ndarray
    """(R,) int32: the vertex that a render vertex repeats; `arange(V)` without seams."""
    uv_triangles: np.ndarray
    """(T, 3) int32 into the R render vertices."""
    identity: np.ndarray
    """(K, V, 3) float32 shape modes; weights are normal with standard deviation 1."""
    expression: np.ndarray
    """(E, V, 3) float32 blend shapes; weights in [0, 1]."""
    expression_names: tuple[str, ...]
    """ARKit-style names."""
    landmarks: SurfacePoints
    """98 WFLW points; the contour's are the rest anchors."""
    contour: SurfacePoints
    """(33, C) points between which each contour point may slide to the silhouette."""
    eye_vertices: tuple[np.ndarray, np.ndarray]
    """Vertices of the eyeball at the image's left, then right."""
    eye_radius: float
    """Distance from an eyeball's center to its pupil."""

    @cached_property
    def expression_index(self) -> Mapping[str, int]:
        """Blend shape name to row of `expression`."""
        return {name: i for i, name in enumerate(self.expression_names)}

    @cached_property
    def _vertex_from_triangle(self) -> sparse.csr_matrix:
        rows = self.triangles.ravel()
        columns = np.repeat(np.arange(len(self.triangles)), 3)
        shape = (len(self.neutral), len(self.triangles))
        return sparse.csr_matrix((np.ones(rows.size, np.float32), (rows, columns)), shape=shape)

    def identify(self, weights: np.ndarray) -> np.ndarray:
        """Return (V, 3) vertices at rest for (K,) identity weights."""
        return self.neutral + np.tensordot(weights.astype(np.float32), self.identity, axes=1)

    def express(self, surface: np.ndarray, weights: Mapping[str, float]) -> np.ndarray:
        """Return (V, 3) vertices with blend shapes added; names that the model lacks are ignored."""
        known = [(self.expression_index[name], w) for name, w in weights.items() if name in self.expression_index and w]
        if not known:
            return surface
        rows, values = zip(*known, strict=True)
        return surface + np.tensordot(np.array(values, np.float32), self.expression[list(rows)], axes=1)

    def normals(self, surface: np.ndarray) -> np.ndarray:
        """Return (V, 3) outward unit vertex normals."""
        a, b, c = (surface[self.triangles[:, k]] for k in range(3))
        # The head frame is a y-up frame turned about x, so counter-clockwise triangles keep pointing outwards.
        normals = self._vertex_from_triangle @ np.cross(b - a, c - a)
        return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)

    def eye_centers(self, surface: np.ndarray) -> np.ndarray:
        """Return (2, 3) eyeball centers, image's left first."""
        return np.stack([surface[indices].mean(axis=0) for indices in self.eye_vertices])
