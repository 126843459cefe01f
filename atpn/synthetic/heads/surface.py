"""Sampling points on triangle meshes."""

from __future__ import annotations

import numpy as np

from atpn.synthetic.heads.head import SurfacePoints


def sample_surface(vertices: np.ndarray, triangles: np.ndarray, count: int, rng: np.random.Generator) -> SurfacePoints:
    """Sample random points on a mesh, denser per area where triangles are small."""
    index, weights = sample_triangles(vertices, triangles, count, rng)
    return SurfacePoints(triangles[index], weights)


def sample_triangles(
    vertices: np.ndarray, triangles: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return (count,) triangle indices and (count, 3) barycentric weights of random points."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    area = area + 0.3 * area.mean()
    index = rng.choice(len(triangles), count, p=area / area.sum())
    r = rng.random((count, 2))
    outside = r.sum(axis=1) > 1
    r[outside] = 1 - r[outside]
    return index, np.column_stack([1 - r.sum(axis=1), r])
