"""Faces of photographs, and points on them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.templates.anchors import AnchoredNetwork
from atpn.templates.faces import find_face, to_image_points, to_plane
from atpn.tufa.inference import context_of, predict_plane
from atpn.weights import SHIPPED
from edge_runtime.errors import SourceError
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import WFLW_98

POINTS = np.array([[0.3, 0.45], [0.5, 0.6], [0.62, 0.4]], np.float32)
REGION = ROI(55.5, 55.5, 112.0)


@pytest.fixture
def face(portrait, model, detected):
    return find_face(portrait, model, detected)


def test_a_face_is_found_and_its_crop_follows_the_rule(face):
    assert face.roi.iou(REGION) > 0.7
    assert abs(face.yaw) < 0.3
    np.testing.assert_allclose(np.ptp(face.landmarks, axis=0).max(), 2 / 3, atol=1e-3)


def test_the_largest_of_several_faces_is_taken(portrait, model, detected, tmp_path, caplog):
    small = cv2.imread(str(portrait))
    image = np.full((224, 336, 3), 127, np.uint8)
    image[:112, :112], image[:, 112:] = small, cv2.resize(small, (224, 224))
    cv2.imwrite(str(tmp_path / "two.png"), image)
    detected.rois = [REGION, ROI(111.5 + 112, 111.5, 224.0), ROI(111.5 + 115, 113.5, 220.0)]
    face = find_face(tmp_path / "two.png", model, detected)
    assert face.roi.cx > 150
    assert "two.png has 2 faces: using the largest" in caplog.text


@pytest.mark.parametrize("rois", [[], [REGION]])
def test_a_picture_without_a_face_is_refused(rois, model, detected, tmp_path):
    detected.rois = rois
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((112, 112, 3), 127, np.uint8))
    with pytest.raises(ValueError, match=r"found no face in .*wall\.png"):
        find_face(tmp_path / "wall.png", model, detected)


def test_what_is_no_picture_is_refused(model, detected, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(SourceError, match=r"text\.png is not an image"):
        find_face(tmp_path / "text.png", model, detected)


def test_points_go_to_the_face_and_back(face):
    plain = AnchoredNetwork.read(SHIPPED)
    anchors = plain.of(WFLW_98)
    points = (anchors[:51] + anchors[40:91]) / 2  # all over the face, between landmarks
    back = to_plane(to_image_points(points, face, plain), face, anchors)
    assert np.linalg.norm(back - points, axis=1).mean() < 0.015


def test_landmarks_on_the_face_are_at_their_anchors_on_the_plane(face):
    anchors = AnchoredNetwork.read(SHIPPED).of(WFLW_98)
    plane = to_plane(face.roi.to_frame(face.landmarks), face, anchors)
    assert np.linalg.norm(plane - anchors, axis=1).mean() < 0.006


def test_a_tufa_finds_the_points_itself(face, tufa_weights):
    anchored = AnchoredNetwork.read(tufa_weights)
    crop = extract_crop(face.image[:, :, ::-1], face.roi, 112)
    expected = predict_plane(anchored.network, crop[None], POINTS, context_of(anchored.network, "mine"))[0]
    np.testing.assert_allclose(face.roi.to_crop(to_image_points(POINTS, face, anchored)), expected, atol=1e-5)


def test_a_prompt_head_finds_the_points_itself(face, prompt_weights):
    found = face.roi.to_crop(to_image_points(POINTS, face, AnchoredNetwork.read(prompt_weights)))
    np.testing.assert_allclose(found, POINTS, atol=0.05)  # it has learned nothing but the plane itself
    assert not np.allclose(found, POINTS, atol=1e-7)
