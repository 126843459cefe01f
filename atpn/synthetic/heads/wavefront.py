"""Readers of Wavefront meshes and MakeHuman's .mhclo bindings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.reading import quote


@dataclass(frozen=True)
class ObjMesh:
    """A triangulated mesh with separate texture indices."""

    vertices: np.ndarray
    """(V, 3) float64."""
    uv: np.ndarray
    """(U, 2) float64, origin at the bottom left."""
    triangles: np.ndarray
    """(T, 3) int into vertices."""
    uv_triangles: np.ndarray
    """(T, 3) int into uv."""
    groups: np.ndarray
    """(T,) group name of each triangle."""


def load_obj(path: Path) -> ObjMesh:
    """Read an .obj file; polygons are fanned into triangles. ValueError if it is damaged."""
    try:
        return _parse_obj(path)
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({quote(error)}); fetch it again") from error


def _parse_obj(path: Path) -> ObjMesh:
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    uv_triangles: list[tuple[int, int, int]] = []
    groups: list[str] = []
    group = ""
    with path.open(errors="replace") as lines:
        for line in lines:
            fields = line.split()
            if not fields:
                continue
            match fields[0]:
                case "v":
                    vertices.append([float(x) for x in fields[1:4]])
                case "vt":
                    uv.append([float(x) for x in fields[1:3]])
                case "g":
                    group = fields[1] if len(fields) > 1 else ""
                case "f":
                    corners = [corner.split("/") for corner in fields[1:]]
                    v = [int(corner[0]) - 1 for corner in corners]
                    t = [int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners]
                    for k in range(1, len(v) - 1):
                        triangles.append((v[0], v[k], v[k + 1]))
                        uv_triangles.append((t[0], t[k], t[k + 1]))
                        groups.append(group)
    if not triangles:
        raise ValueError("it holds no faces: not a Wavefront mesh, or truncated")
    return ObjMesh(
        np.array(vertices), np.array(uv or [[0.0, 0.0]]), np.array(triangles), np.array(uv_triangles), np.array(groups)
    )


def bind_mhclo(path: Path, base: np.ndarray) -> np.ndarray | None:
    """Place a MakeHuman proxy (hair, brows …) on its (V, 3) base mesh: (N, 3) vertices, None if nothing is bound.

    Each row of the file gives three base vertices, their weights and an offset, the offset scaled per axis by the
    distance between two base vertices. Statements may follow `verts 0` in some files: only rows of numbers count.
    ValueError if the file is damaged, or of another base mesh.
    """
    try:
        return _bind(path, base)
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{path} does not fit its base mesh ({quote(error)}); fetch both again") from error


def _bind(path: Path, base: np.ndarray) -> np.ndarray | None:
    scale = np.ones(3)
    rows: list[np.ndarray] = []
    in_vertices = False
    with path.open(errors="replace") as lines:
        for line in lines:
            fields = line.split()
            if not fields:
                continue
            if fields[0] in {"x_scale", "y_scale", "z_scale"}:
                axis = "xyz".index(fields[0][0])
                scale[axis] = abs(base[int(fields[1]), axis] - base[int(fields[2]), axis]) / float(fields[3])
            elif fields[0] == "verts":
                in_vertices = True
            elif fields[0] == "delete_verts":
                in_vertices = False
            elif in_vertices and fields[0].isdigit():
                if len(fields) >= 9:
                    indices = [int(x) for x in fields[:3]]
                    numbers = np.array([float(x) for x in fields[3:9]])
                    rows.append(numbers[:3] @ base[indices] + numbers[3:] * scale)
                elif len(fields) == 1:
                    rows.append(base[int(fields[0])])
    return np.array(rows) if rows else None
