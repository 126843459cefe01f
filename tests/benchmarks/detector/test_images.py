"""Labels stay on the faces of turned pictures and composed scenes."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.data.afw import Photo
from atpn.data.store import SampleStore
from benchmarks.detector.images import LabeledImage, is_measurable, photographs, portraits, spread
from benchmarks.detector.scenes import CROWD, FRAME, LARGE_FRAME, compose, scenes
from edge_runtime.landmarks import IBUG_68, WFLW_98


def brightness_at(image, point):
    x, y = np.round(point).astype(int)
    return image.frame[y - 1 : y + 2, x - 1 : x + 2].mean()


@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_turned_labels_stay_on_the_face(degrees):
    frame = np.zeros((120, 200, 3), np.uint8)
    frame[26:35, 146:155] = 255
    turned = LabeledImage(frame, [np.array([(150.0, 30.0)])]).turned(degrees)
    assert turned.frame.shape == (234, 234, 3), "the diagonal: nothing is cut off at any turn"
    assert brightness_at(turned, turned.landmarks[0][0]) > 240


def test_a_turn_is_clockwise():
    image = LabeledImage(np.zeros((100, 100, 3), np.uint8), [np.array([(90.0, 49.5)])])
    (point,) = image.turned(90).landmarks[0]
    middle = (len(image.turned(90).frame) - 1) / 2
    assert point == pytest.approx((middle, middle + 40.5)), "what was at the right is at the bottom"


def test_photographs_keep_their_labels_and_order_of_colors():
    face = np.random.default_rng(0).uniform(50, 90, (68, 2)).astype(np.float32)
    red = np.zeros((120, 160, 3), np.uint8)
    red[..., 0] = 255
    found = photographs([Photo(red, (face,), "p")] * 5, 3)
    assert len(found.images) == 3
    assert not found.complete
    assert found.scheme == IBUG_68
    assert found.images[0].frame[0, 0].tolist() == [0, 0, 255]
    assert found.images[0].extents == [pytest.approx(float(np.ptp(face, axis=0).max()))]


def test_profiles_are_not_measured(frontal, dotted_store):
    profile = frontal * (0.3, 1.0)
    assert (is_measurable(frontal, WFLW_98), is_measurable(profile, WFLW_98)) == (True, False)
    dotted_store.landmarks[1] = profile
    assert len(portraits(dotted_store, 5, "here").images) == 1


def test_spread_takes_first_and_last():
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert (spread([1, 2], 5), spread([], 5)) == ([1, 2], [])


def test_pasted_labels_lie_on_the_faces(dotted_store):
    scene = compose(dotted_store, (640, 480), 4, (60, 120), np.random.default_rng(1))
    assert 1 <= len(scene.landmarks) <= 4
    for points in scene.landmarks:
        assert (points >= 0).all()
        assert (points < (640, 480)).all()
        for corner in WFLW_98.outer_eye_corners:
            assert brightness_at(scene, points[corner]) > 150, "the white dot at the eye's corner"
        assert brightness_at(scene, points[list(WFLW_98.outer_eye_corners)].mean(axis=0)) < 60, "black between"
    assert all(58 <= extent <= 123 for extent in scene.extents)


def test_scenes_are_groups_crowds_and_empty(face_shards):
    store = SampleStore.read(face_shards)
    first, second = scenes(store, 6, "here"), scenes(store, 6, "here")
    for one, other in zip(first.images, second.images, strict=True):
        np.testing.assert_array_equal(one.frame, other.frame)
    sizes = [image.frame.shape[1::-1] for image in first.images]
    assert sizes == [FRAME, LARGE_FRAME, FRAME] * 2
    counts = [len(image.landmarks) for image in first.images]
    assert counts[2] == counts[5] == 0
    assert CROWD[0] / 2 <= min(counts[1], counts[4])
    assert min(counts[0], counts[3]) >= 1
    assert min(min(image.extents) for image in (first.images[1], first.images[4])) < 20


def test_scenes_need_backgrounds(dotted_store):
    dotted_store.backgrounds = np.array([], int)
    with pytest.raises(ValueError, match="no background among the renders; render more"):
        scenes(dotted_store, 1, "here")
