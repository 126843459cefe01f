"""Expressions and gaze travel from samples through shards and stores into crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atpn.data.crops import cut_crop
from atpn.data.sample import Sample
from atpn.data.shards import read_shard, write_shard
from atpn.data.store import SampleStore
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.gaze import gaze_angles, gaze_directions
from edge_runtime.geometry import ROI, Intrinsics, crop_to_camera


@pytest.fixture
def face(draw_sample):
    rng = np.random.default_rng(5)
    expressions, gaze = rng.random(52).astype(np.float32), rng.uniform(-0.5, 0.5, (2, 2)).astype(np.float32)
    return replace(draw_sample(rng, angles=(0.1, 0.5, 0.2)), expressions=expressions, gaze=gaze)


def test_labels_come_back_from_a_shard(tmp_path, face, draw_sample):
    unknown = draw_sample(np.random.default_rng(6), "unknown")
    write_shard(tmp_path / "a.tar", [face, unknown, Sample(face.image, key="background")])
    labels = [stored.labels for stored in read_shard(tmp_path / "a.tar")]
    assert "expressions" in labels[0]
    assert not {"expressions", "gaze"} & labels[1].keys()
    store = SampleStore.read(tmp_path)
    np.testing.assert_allclose(store[0].expressions, face.expressions, atol=1e-4)
    np.testing.assert_allclose(store[0].gaze, face.gaze, atol=1e-5)
    assert store.expressions.shape == (3, 52)
    assert np.isnan(store.expressions[1:]).all()
    assert np.isnan(store.gaze[1:]).all()
    assert store[1].expressions is store[1].gaze is None


def test_labels_of_a_wrong_shape_are_named(tmp_path, face):
    write_shard(tmp_path / "a.tar", [replace(face, expressions=np.zeros(51, np.float32))])
    with pytest.raises(ValueError, match=r"'face'.*shape \(51,\).*\(52,\)"):
        SampleStore.read(tmp_path)


def test_gaze_is_relative_to_the_crop_like_the_pose(face):
    roi = ROI(60.0, 100.0, 90.0, roll=0.3)
    crop = cut_crop(face, roi, 64)
    to_camera = crop_to_camera(roi, face.intrinsics)
    np.testing.assert_allclose(gaze_angles(gaze_directions(crop.gaze) @ to_camera.T), face.gaze, atol=1e-6)
    # An eye that looks along the head's axis has the head's angles, in every crop.
    ahead = replace(face, gaze=np.tile(gaze_angles(face.rotation @ [0.0, 0.0, -1.0]), (2, 1)))
    turned = cut_crop(ahead, roi, 64)
    np.testing.assert_allclose(turned.gaze, [turned.pose[[1, 0]]] * 2, atol=1e-6)


def test_a_mirrored_crop_has_the_labels_of_the_mirrored_image(face):
    roi = ROI(80.0, 85.0, 100.0)
    plain, flipped = (cut_crop(face, roi, 64, flip) for flip in (False, True))
    left, right = EXPRESSIONS.index("eyeBlinkLeft"), EXPRESSIONS.index("eyeBlinkRight")
    assert flipped.expressions[left] == plain.expressions[right]
    assert flipped.expressions[EXPRESSIONS.index("jawOpen")] == plain.expressions[EXPRESSIONS.index("jawOpen")]
    # In the mirror the left eye looks where the right one did, yaw to the other side.
    np.testing.assert_allclose(flipped.gaze, plain.gaze[::-1] * (-1, 1), atol=1e-6)


def test_unknown_labels_stay_unknown(draw_sample):
    sample = replace(draw_sample(np.random.default_rng(0)), intrinsics=Intrinsics.from_fov(160, 160))
    crop = cut_crop(sample, ROI(80.0, 80.0, 100.0), 64, flip=True)
    assert crop.expressions is crop.gaze is None
