from dataclasses import replace

import cv2
import numpy as np
import pytest

from atpn.data.crops import (
    NO_JITTER,
    JitterConfig,
    compute_mean_shape,
    cut_crop,
    jittered_roi,
    mirrored_rotation,
    random_crop,
)
from atpn.data.sample import Sample
from edge_runtime.geometry import ROI, Intrinsics, angles_to_matrix, crop_to_camera, rotation_2d, upright_roll
from edge_runtime.landmarks import WFLW_98


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def dotted_sample(rng, index):
    """A black image with one white dot where landmark `index` lies."""
    landmarks = (rng.uniform(60, 140, (98, 2))).astype(np.float32)
    image = np.zeros((200, 200, 3), np.uint8)
    x, y = landmarks[index]
    cv2.circle(image, (round(float(x) * 16), round(float(y) * 16)), 3 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return Sample(image, landmarks, key="dot")


def centroid(image):
    weights = image[..., 0].astype(float)
    y, x = np.indices(weights.shape)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("size", [64, 112])
@pytest.mark.parametrize("flip", [False, True])
def test_a_landmark_lands_where_its_pixel_goes(rng, size, flip):
    index, roi = 60, ROI(101.0, 97.0, 150.0, roll=0.4)
    sample = dotted_sample(rng, index)
    crop = cut_crop(sample, roi, size, flip)
    seen = crop.landmarks[WFLW_98.mirror[index] if flip else index] * size - 0.5
    np.testing.assert_allclose(centroid(crop.image), seen, atol=0.15)


def test_flipping_the_crop_equals_cropping_the_flipped_image(draw_sample, rng):
    sample = draw_sample(rng, angles=(0.1, 0.5, 0.2))
    width = sample.image.shape[1]
    landmarks = sample.landmarks.copy()
    landmarks[:, 0] = width - 1 - landmarks[:, 0]
    camera = sample.intrinsics
    mirrored = Sample(
        np.ascontiguousarray(sample.image[:, ::-1]),
        landmarks[WFLW_98.mirror],
        rotation=mirrored_rotation(sample.rotation),
        intrinsics=Intrinsics(camera.fx, camera.fy, width - 1 - camera.cx, camera.cy),
    )
    roi = ROI(90.0, 70.0, 130.0, roll=0.3)
    flipped = cut_crop(sample, roi, 112, flip=True)
    straight = cut_crop(mirrored, ROI(width - 1 - roi.cx, roi.cy, roi.size, -roi.roll), 112)
    np.testing.assert_allclose(flipped.landmarks, straight.landmarks, atol=1e-5)
    np.testing.assert_allclose(flipped.pose, straight.pose, atol=1e-6)
    assert np.abs(flipped.image.astype(int) - straight.image).mean() < 0.5


def test_mirroring_a_rotation_turns_yaw_and_roll_around():
    angles = np.array([0.2, 0.5, -0.3])
    np.testing.assert_allclose(
        mirrored_rotation(angles_to_matrix(angles)), angles_to_matrix(angles * (1, -1, -1)), atol=1e-12
    )


@pytest.mark.parametrize("roll", [-0.7, 0.0, 0.5])
def test_pose_is_relative_to_the_crop(draw_sample, rng, roll):
    # A head that is upright in a rolled, off-center crop's own frame has zero pose, whatever it is in the camera's.
    roi = ROI(130.0, 40.0, 60.0, roll)
    sample = draw_sample(rng)
    head = crop_to_camera(roi, sample.intrinsics)
    turned = Sample(sample.image, sample.landmarks, rotation=head, intrinsics=sample.intrinsics)
    np.testing.assert_allclose(cut_crop(turned, roi, 64).pose, 0, atol=1e-6)


def test_roll_of_the_crop_is_taken_off_the_roll_label(draw_sample, rng):
    center = (159 / 2, 159 / 2)
    sample = draw_sample(rng, angles=(0.0, 0.0, 0.4), center=center)
    pose = cut_crop(sample, ROI(*center, 100.0, roll=0.3), 64).pose
    np.testing.assert_allclose(pose, [0, 0, 0.1], atol=1e-6)


def test_without_a_rotation_pose_is_unknown(draw_sample, rng):
    sample = draw_sample(rng)
    crop = cut_crop(Sample(sample.image, sample.landmarks), ROI(80, 80, 100), 64)
    assert np.isnan(crop.pose).all()


def test_without_a_face_there_is_no_crop():
    with pytest.raises(ValueError, match="'empty' has no landmarks"):
        cut_crop(Sample(np.zeros((8, 8, 3), np.uint8), key="empty"), ROI(4, 4, 4), 64)
    with pytest.raises(ValueError, match="no landmarks"):
        random_crop(Sample(np.zeros((8, 8, 3), np.uint8)), np.zeros((98, 2)), 64, NO_JITTER, np.random.default_rng())


def test_the_mean_shape_is_upright_and_symmetric(draw_sample, rng):
    faces = np.stack([draw_sample(rng, angles=(0.1, 0.3, 0.5)).landmarks for _ in range(5)])
    mean = compute_mean_shape(faces, WFLW_98)
    np.testing.assert_allclose(mean[WFLW_98.mirror, 1], mean[:, 1], atol=1e-6)
    np.testing.assert_allclose(mean[WFLW_98.mirror, 0], 1 - mean[:, 0], atol=1e-6)
    assert mean.min() > 0.15
    assert mean.max() < 0.85


def test_no_jitter_is_the_crop_rule(draw_sample, rng):
    face = draw_sample(rng).landmarks
    mean = compute_mean_shape(face[None], WFLW_98)
    roll = upright_roll(face, mean)
    assert jittered_roi(face, mean, NO_JITTER, rng) == ROI.from_landmarks(face, roll)


def test_a_turned_crop_is_the_rule_along_its_own_axes(draw_sample, rng):
    face = draw_sample(rng).landmarks
    jitter = replace(NO_JITTER, unrolled_prob=1.0, rotation=30.0)
    rois = [jittered_roi(face, np.zeros((98, 2)), jitter, rng) for _ in range(200)]
    assert all(roi == ROI.from_landmarks(face, roi.roll) for roi in rois)
    rolls = np.degrees([roi.roll for roi in rois])
    assert -30 <= rolls.min() < -27
    assert 27 < rolls.max() <= 30


def test_jitter_has_the_stated_spread(draw_sample, rng):
    jitter = JitterConfig()
    face = draw_sample(rng, angles=(0, 0, 0.2)).landmarks
    mean = compute_mean_shape(face[None] @ rotation_2d(-0.2).T, WFLW_98)
    rolls, scales, shifts = [], [], []
    for _ in range(3000):
        roi = jittered_roi(face, mean, jitter, rng)
        exact = ROI.from_landmarks(face, roi.roll)
        rolls.append(roi.roll)
        scales.append(np.log(roi.size / exact.size))
        shifts.append(rotation_2d(-roi.roll) @ (roi.cx - exact.cx, roi.cy - exact.cy) / exact.size)
    rolls = np.array(rolls)
    assert np.mean(rolls == 0) == pytest.approx(0.2, abs=0.03)
    errors = np.degrees(rolls[rolls != 0] - upright_roll(face, mean))
    assert np.abs(errors).max() > 35
    assert np.mean(np.abs(errors) > 24) == pytest.approx(0.3 * (45 - 24) / 45, abs=0.03)
    assert np.std(scales) == pytest.approx(0.10, abs=0.01)
    assert np.abs(scales).max() <= 0.25 + 1e-9
    np.testing.assert_allclose(np.std(shifts, axis=0), 0.05, atol=0.005)
