"""What stands between lamp and face casts a shadow; what is drawn beside the head covers it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from atpn.synthetic.appearance.lighting import Light
from atpn.synthetic.appearance.mesh import DrawnMesh
from atpn.synthetic.drawing.gl import HeadCanvas, Shading
from atpn.synthetic.heads.makehuman import Hair
from edge_runtime.geometry import Intrinsics


def _plate(y: float, z: float, half: float) -> DrawnMesh:
    """A level square around the midline at height y, its middle at depth z."""
    points = np.array(
        [[-half, y, z - half], [half, y, z - half], [half, y, z + half], [-half, y, z + half]], np.float32
    )
    normals = np.tile(np.array([0.0, -1.0, 0.0], np.float32), (4, 1))
    return DrawnMesh(points, normals, np.full((4, 3), 0.2, np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32))


def _strip(alpha: float) -> Hair:
    """A sheet of hair of one opacity to the image's right of the head, in a plane that faces the camera."""
    points = np.array([[10, -10, 0], [14, -10, 0], [14, 10, 0], [10, 10, 0]], np.float32)
    texture = np.full((4, 4, 4), 128, np.uint8)
    texture[..., 3] = round(255 * alpha)
    return Hair(
        name=f"strip{alpha}",
        vertices=points,
        triangles=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.zeros((4, 2), np.float32),
        uv_source=np.arange(4, dtype=np.int32),
        texture=texture,
        anchors=np.zeros((4, 6), np.int32),
        anchor_weights=np.full((4, 6), 1 / 6, np.float32),
    )


def test_thin_strands_let_the_background_through_and_hide_nothing(procedural_renderer):
    head, identity = procedural_renderer.head, procedural_renderer.identity(0)
    strips = _strip(0.2), _strip(0.9)
    canvas = HeadCanvas(head, strips, 96)
    to_camera = np.eye(4)
    to_camera[:3, 3] = (0, 0, 60)
    light = Light(np.zeros((9, 3), np.float32), np.array([0.0, 0.0, -1.0]), np.ones(3))
    shading = dataclasses.replace(_shading(0.0), hair_cut=0.4)
    column = round(47.5 + 12 / 60 * 140)
    for strip, coverage, hides in zip(strips, (0.5, 1.0), (False, True), strict=True):
        look = dataclasses.replace(identity.look, hair=strip)
        surface = identity.surface
        rgba, depth = canvas.draw(
            *(surface, head.normals(surface), look, strip.vertices, to_camera, Intrinsics(140, 140, 47.5, 47.5)),
            *(np.array([[0.0, 0.0, -1.0]] * 2), light, shading),
        )
        pixel = rgba[48, column].astype(float)
        assert abs(pixel[3] / 255 - coverage) < 0.03  # the cut's opacity counts as whole: 0.2 / 0.4
        assert (pixel[:3] <= pixel[3] + 1).all()  # premultiplied
        assert np.isfinite(depth[48, column]) == hides


def test_a_part_of_the_canvas_is_the_same_image_as_a_smaller_canvas(procedural_renderer):
    head, identity = procedural_renderer.head, procedural_renderer.identity(0)
    look = dataclasses.replace(identity.look, hair=None)
    to_camera = np.eye(4)
    to_camera[:3, 3] = (0, 0, 60)
    light = Light(np.zeros((9, 3), np.float32), np.array([0.3, -0.3, -0.9]), np.ones(3))
    camera, gaze = Intrinsics(140, 140, 47.5, 47.5), np.array([[0.0, 0.0, -1.0]] * 2)
    surface = identity.surface
    given = surface, head.normals(surface), look, None, to_camera, camera, gaze, light, _shading(0.5)
    whole = HeadCanvas(head, (), 96).draw(*given)
    part = HeadCanvas(head, (), 160).draw(*given, side=96)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="160 px cannot draw 161 px"):
        HeadCanvas(head, (), 160).draw(*given, side=161)


def _shading(shadow: float) -> Shading:
    return Shading(
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
        shading = _shading(shadow)
        gaze = np.array([[0.0, 0.0, -1.0]] * 2)
        normals = head.normals(surface)
        rgba, _ = canvas.draw(surface, normals, look, None, to_camera, camera, gaze, light, shading, extras)
        row, column = size // 2, size // 2
        return float(rgba[row - 4 : row + 4, column - 30 : column + 30, :3].mean())

    lit = brightness(0.0, (brim,))
    assert brightness(1.0, (brim,)) < 0.6 * lit
    assert brightness(0.5, (brim,)) < 0.9 * lit
    assert brightness(1.0, ()) > 0.8 * lit
