"""Meshes drawn beside a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DrawnMesh:
    """Something on a head, opaque and seen from both sides: headwear, clothes."""

    points: np.ndarray
    """(P, 3) float32, head frame."""
    normals: np.ndarray
    """(P, 3) float32."""
    colours: np.ndarray
    """(P, 3) float32 display values in [0, 1]."""
    triangles: np.ndarray
    """(T, 3) int32."""
    uv: np.ndarray | None = None
    """(P, 2) float32 into `texture`, which repeats; None: plain."""
    texture: np.ndarray | None = None
    """(H, W, 3) uint8, multiplied onto the colours."""


def sheet(
    points: np.ndarray, colours: np.ndarray, uv: np.ndarray | None = None, texture: np.ndarray | None = None
) -> DrawnMesh:
    """(A, B, 3) grids of points and colours, and (A, B, 2) of texture coordinates, as a mesh."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (index[i : rows - 1 + i, j : columns - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0)).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    triangles = np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, d, c])]).astype(np.int32)
    flat = points.reshape(-1, 3).astype(np.float32), normals.astype(np.float32), colours.reshape(-1, 3)
    return DrawnMesh(*flat, triangles, None if uv is None else uv.reshape(-1, 2).astype(np.float32), texture)
