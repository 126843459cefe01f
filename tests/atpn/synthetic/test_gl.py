"""What stands between lamp and face casts a shadow; what is drawn beside the head covers it."""

from __future__ import annotations

import dataclasses

import numpy as np

from atpn.synthetic.gl import DrawnMesh, HeadCanvas, Shading
from atpn.synthetic.lighting import Light
from edge_runtime.geometry import Intrinsics


def _plate(y: float, z: float, half: float) -> DrawnMesh:
    """A level square around the midline at height y, its middle at depth z."""
    points = np.array(
        [[-half, y, z - half], [half, y, z - half], [half, y, z + half], [-half, y, z + half]], np.float32
    )
    normals = np.tile(np.array([0.0, -1.0, 0.0], np.float32), (4, 1))
    return DrawnMesh(points, normals, np.full((4, 3), 0.2, np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32))


def test_a_brim_shades_the_face_below_it(procedural_renderer):
    renderer = procedural_renderer
    head, identity = renderer.head, renderer.identity(0)
    canvas: HeadCanvas = renderer._canvas
    surface = identity.surface
    look = dataclasses.replace(identity.look, hair=None)
    landmarks = head.landmarks.at(surface)
    # A lamp straight above and before the face, a brim over the brows.
    direction = np.array([0.0, -0.8, -0.6])
    light = Light(np.zeros((9, 3), np.float32), direction, np.ones(3))
    brim = _plate(float(landmarks[33:51, 1].min()) - 1.0, float(landmarks[54, 2]) + 2.0, 6.0)
    to_camera = np.eye(4)
    to_camera[:3, 3] = -landmarks.mean(axis=0) + (0, 0, 60)
    size = canvas.size
    camera = Intrinsics(size * 2.2, size * 2.2, size / 2, size / 2)

    def brightness(shadow: float, extras: tuple[DrawnMesh, ...]) -> float:
        shading = Shading(
            gloss=(0.0, 10.0, 0.0),
            sclera=np.ones(3),
            eye_shade=1.0,
            teeth=np.ones(3),
            mouth_light=1.0,
            lash_opacity=0.0,
            cloth=np.ones(3),
            collar=(99.0, 0.0, 0.0, 0.0),
            gamma=0.5,
            shadow=(shadow, 1.0),
            bump=0.0,
            hair_cut=0.5,
        )
        gaze = np.array([0.0, 0.0, -1.0])
        normals = head.normals(surface)
        rgba, _ = canvas.draw(surface, normals, look, None, to_camera, camera, gaze, light, shading, extras)
        row, column = size // 2, size // 2
        return float(rgba[row - 4 : row + 4, column - 30 : column + 30, :3].mean())

    lit = brightness(0.0, (brim,))
    assert brightness(1.0, (brim,)) < 0.6 * lit
    assert brightness(0.5, (brim,)) < 0.9 * lit
    assert brightness(1.0, ()) > 0.8 * lit
