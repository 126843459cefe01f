"""Dense points: spread over the face, one place on the plane each, riding on the surface."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from atpn.data.face_boxes import detector_box, tight_box
from atpn.synthetic.heads.dense import DENSE_COUNT, DenseSet
from atpn.synthetic.heads.head import HeadModel
from atpn.synthetic.heads.ict import load_ict
from atpn.synthetic.heads.procedural import procedural_head
from edge_runtime.geometry import ROI


@pytest.fixture(params=["procedural", pytest.param("ict", marks=pytest.mark.slow)])
def head(request: pytest.FixtureRequest) -> HeadModel:
    if request.param == "procedural":
        return procedural_head()
    return load_ict(request.getfixturevalue("assets") / "ict_facekit")


def test_points_are_many_spread_and_the_same_for_each_call(head):
    dense, again = DenseSet.of(head), DenseSet.of(head)
    assert len(dense.plane) == DENSE_COUNT >= 500
    np.testing.assert_array_equal(dense.points.vertices, again.points.vertices)
    places = dense.points.at(head.neutral)
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    assert nearest.min() > 0.4 * nearest.mean()


def test_the_plane_is_the_mean_face_in_its_crop(head):
    dense = DenseSet.of(head)
    landmarks = head.landmarks.at(head.neutral)[:, :2]
    roi = ROI.from_landmarks(landmarks)
    expected = (dense.points.at(head.neutral)[:, :2] - (roi.cx, roi.cy)) / roi.size + 0.5
    # Crop coordinates count from pixel edges: half a pixel of difference is the convention's, not the point's.
    np.testing.assert_allclose(dense.plane, expected, atol=0.51 / roi.size)
    shape = roi.to_crop(landmarks)
    assert dense.plane[:, 1].min() < shape[33:51, 1].min()  # reaches the forehead
    assert abs(dense.plane[:, 1].max() - shape[16, 1]) < 0.05  # and the chin
    assert (dense.plane > -0.05).all()
    assert (dense.plane < 1.05).all()


def test_every_part_of_the_face_has_points(head):
    dense = DenseSet.of(head)
    shape = ROI.from_landmarks(head.landmarks.at(head.neutral)[:, :2]).to_crop(head.landmarks.at(head.neutral)[:, :2])
    distance, _ = cKDTree(dense.plane).query(shape[33:96])
    assert distance.max() < 0.08


def test_dense_labels_agree_with_landmarks(procedural_renderer):
    renderer = procedural_renderer
    sample = renderer.render(renderer.identity(2), 0)
    assert sample.dense.shape == (DENSE_COUNT, 2)
    assert 0.2 < sample.dense_visibility.mean() <= 1
    # The nearest point on the plane is near in the image, too.
    head = renderer.head
    flat = head.landmarks.at(head.neutral)[:, :2]
    shape = ROI.from_landmarks(flat).to_crop(flat)[51:96]
    size = ROI.from_landmarks(sample.landmarks).size
    distance, nearest = cKDTree(renderer.dense.plane).query(shape)
    off = np.linalg.norm(sample.dense[nearest] - sample.landmarks[51:96], axis=1) / size
    assert np.median(off) < np.median(distance) + 0.08


def test_boxes_hold_the_face(procedural_renderer):
    sample = procedural_renderer.render(procedural_renderer.identity(2), 0)
    left, top, right, bottom = sample.boxes["tight"]
    np.testing.assert_allclose((left, top), sample.landmarks.min(axis=0), atol=1e-3)
    np.testing.assert_allclose((right, bottom), sample.landmarks.max(axis=0), atol=1e-3)
    boxes = np.array([detector_box(sample.landmarks, sample.dense, np.random.default_rng(i)) for i in range(400)])
    both = np.concatenate([sample.landmarks, sample.dense])
    size = (both.max(axis=0) - both.min(axis=0)).max()
    np.testing.assert_allclose(boxes[:, :2].mean(axis=0), both.min(axis=0), atol=0.02 * size)
    np.testing.assert_allclose(boxes[:, 2:].mean(axis=0), both.max(axis=0), atol=0.02 * size)
    assert boxes[:, 0].std() > 0.02 * size
    assert tight_box(sample.landmarks) == pytest.approx(sample.boxes["tight"])
