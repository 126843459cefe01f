"""The image of the mean face agrees with the plane."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.synthetic.drawing.gl import GraphicsError
from atpn.synthetic.heads.dense import DenseSet
from atpn.synthetic.heads.procedural import procedural_head
from atpn.templates import mean_face as module
from atpn.templates.mean_face import PAPER, SIDE, mean_face
from edge_runtime.geometry import ROI


@pytest.fixture
def rendered():
    try:
        return module._portrait()
    except GraphicsError as error:
        pytest.skip(str(error))


def _at(image: np.ndarray, plane: np.ndarray) -> np.ndarray:
    x, y = np.rint(plane * SIDE - 0.5).astype(int).T
    return image[y, x, 0].astype(int)


def test_the_face_lies_where_the_anchors_are(rendered, model):
    anchors = model.mean_shape.numpy() + np.float32([0.0, 0.03])
    image = mean_face(anchors)
    assert image.shape == (SIDE, SIDE, 3)
    below, above = np.array([0.0, 0.12]), np.array([0.0, -0.05])
    # Pupils are dark against the cheeks below, brows against the forehead above; beyond the ears there is paper.
    pupils, brows = anchors[96:98], (anchors[[35, 44]] + anchors[[40, 48]]) / 2
    assert (_at(image, pupils) < _at(image, pupils + below) - 50).all()
    assert (_at(image, brows) < _at(image, brows + above) - 20).all()
    assert (_at(image, np.array([[0.01, 0.4], [0.99, 0.4]])) == PAPER).all()


def test_the_portrait_is_on_the_plane_of_the_dense_points(rendered):
    """Both planes are the crop around the head's landmarks; only the portrait's brows and mouth move it a little."""
    head = procedural_head()
    rest = head.landmarks.at(head.neutral)[:, :2]
    roi = ROI.from_landmarks(rest)
    np.testing.assert_allclose(rendered[1][51:76], roi.to_crop(rest)[51:76], atol=0.03)
    image, plane = rendered[0], DenseSet.of(head).plane
    pixels = np.rint((plane - 0.5) * SIDE + len(image) / 2 - 0.5).astype(int)
    assert (image[pixels[:, 1], pixels[:, 0], 0] != PAPER).mean() > 0.98


def test_without_opengl_outlines_are_drawn(monkeypatch, model, caplog):
    def refuse():
        raise GraphicsError("no OpenGL")

    monkeypatch.setattr(module, "_portrait", refuse)
    anchors = model.mean_shape.numpy()
    image = mean_face(anchors)
    assert (_at(image, anchors[:96]) < PAPER).all()
    assert "outlines only: no OpenGL" in caplog.text


def test_drawing_leaves_other_canvases_as_they_were(rendered):
    """Each canvas has an OpenGL context of its own, and the newest is not the only one that is drawn on."""
    module._portrait.cache_clear()
    other = module._portrait()[0]
    assert cv2.absdiff(rendered[0], other).max() == 0
