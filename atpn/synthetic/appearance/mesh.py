"""Meshes drawn beside a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DrawnMesh:
    """An opaque, two-sided mesh on a head: headwear, clothes."""

    points: np.ndarray
    """(P, 3) float32, head frame."""
    normals: np.ndarray
    """(P, 3) float32."""
    colors: np.ndarray
    """(P, 3) float32 display values in [0, 1]."""
    triangles: np.ndarray
    """(T, 3) int32."""
    uv: np.ndarray | None = None
    """(P, 2) float32 into `texture`, which repeats; None: plain."""
    texture: np.ndarray | None = None
    """(H, W, 3) uint8, multiplied onto the colors."""


def sheet(
    points: np.ndarray, colors: np.ndarray, uv: np.ndarray | None = None, texture: np.ndarray | None = None
) -> DrawnMesh:
    """Return a mesh of (A, B, 3) grids of points and colors, and (A, B, 2) texture coordinates."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (index[i : rows - 1 + i, j : columns - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0)).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    triangles = np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, d, c])]).astype(np.int32)
    flat = points.reshape(-1, 3).astype(np.float32), normals.astype(np.float32), colors.reshape(-1, 3)
    return DrawnMesh(*flat, triangles, None if uv is None else uv.reshape(-1, 2).astype(np.float32), texture)
