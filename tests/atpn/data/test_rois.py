"""Batches of regions against the rules for one."""

from dataclasses import replace

import numpy as np
import pytest

from atpn.data.crops import NO_JITTER, JitterConfig, compute_mean_shape, cut_crop, jittered_roi
from atpn.data.rois import ROIs, background_rois, crop_landmarks, crop_poses, jittered_rois
from atpn.data.scenes import background_roi
from edge_runtime.geometry import ROI, Intrinsics, crop_to_camera, upright_roll
from edge_runtime.landmarks import WFLW_98

COUNT = 6


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def faces(draw_sample, rng):
    return [draw_sample(rng, f"face-{i}", size=120 + 20 * i) for i in range(COUNT)]


@pytest.fixture
def rois(rng):
    return ROIs(*rng.uniform(40, 160, (3, COUNT)), rng.uniform(-3, 3, COUNT))


def single(rois):
    return [ROI(*map(float, place)) for place in zip(rois.cx, rois.cy, rois.size, rois.roll, strict=True)]


def test_from_landmarks_is_the_crop_rule(faces, rng):
    landmarks, rolls = np.stack([face.landmarks for face in faces]), rng.uniform(-3, 3, COUNT)
    for roi, points, roll in zip(single(ROIs.from_landmarks(landmarks, rolls)), landmarks, rolls, strict=True):
        expected = ROI.from_landmarks(points, roll)
        np.testing.assert_allclose(
            [roi.cx, roi.cy, roi.size], [expected.cx, expected.cy, expected.size], rtol=1e-5, atol=1e-4
        )


def test_frame_matrices_invert_the_crop_matrix(rois):
    corners = np.array([[0.0, 0.0], [49.0, 10.0], [7.0, 49.0]])
    flipped = np.arange(COUNT) % 2 == 1
    for roi, matrix, mirrored in zip(single(rois), rois.frame_matrices(50, flipped), flipped, strict=True):
        placed = corners @ matrix[:, :2].T + matrix[:, 2]
        back = placed @ roi.crop_matrix(50)[:, :2].T + roi.crop_matrix(50)[:, 2]
        expected = np.column_stack([49 - corners[:, 0], corners[:, 1]]) if mirrored else corners
        np.testing.assert_allclose(back, expected, atol=1e-9)


def test_to_camera_is_the_rotation_of_each_crop(rois, rng):
    intrinsics = rng.uniform(50, 150, (COUNT, 4))
    for roi, camera, rotation in zip(single(rois), intrinsics, rois.to_camera(intrinsics), strict=True):
        np.testing.assert_allclose(rotation, crop_to_camera(roi, Intrinsics(*camera)), atol=1e-12)


def test_labels_equal_those_of_single_crops(faces, rng):
    faces[1] = replace(faces[1], rotation=None)
    faces[2].landmarks[5] = np.nan
    flipped = np.array([False, True, True, False, True, False])
    rois = ROIs(*rng.uniform(60, 100, (3, COUNT)), rng.uniform(-1, 1, COUNT))
    landmarks = np.stack([face.landmarks for face in faces])
    rotation = np.stack([np.full((3, 3), np.nan) if face.rotation is None else face.rotation for face in faces])
    cameras = [face.intrinsics for face in faces]
    intrinsics = np.array([[camera.fx, camera.fy, camera.cx, camera.cy] for camera in cameras])
    placed = crop_landmarks(landmarks, rois, flipped, WFLW_98.mirror)
    poses = crop_poses(rotation, rois, intrinsics, flipped)
    for k, (face, roi) in enumerate(zip(faces, single(rois), strict=True)):
        crop = cut_crop(face, roi, 32, bool(flipped[k]))
        np.testing.assert_allclose(placed[k], crop.landmarks, atol=1e-5)
        np.testing.assert_allclose(poses[k], crop.pose, atol=1e-6)
    assert np.isnan(placed).any(axis=2).sum() == 1
    assert np.isnan(poses).sum() == 3


def test_no_jitter_is_the_crop_rule_upright(faces, rng):
    landmarks = np.stack([face.landmarks for face in faces])
    mean = compute_mean_shape(landmarks, WFLW_98)
    rolls = np.array([upright_roll(points, mean) for points in landmarks])
    for roi, points in zip(single(jittered_rois(landmarks, rolls, NO_JITTER, rng)), landmarks, strict=True):
        expected = jittered_roi(points, mean, NO_JITTER, rng)
        np.testing.assert_allclose(
            [roi.cx, roi.cy, roi.size, roi.roll], [expected.cx, expected.cy, expected.size, expected.roll], rtol=1e-5
        )


@pytest.mark.parametrize("jitter", [JitterConfig(), JitterConfig(unrolled_prob=0.5, rotation=30.0, scale_sigma=0.2)])
def test_jitter_is_distributed_as_that_of_single_crops(draw_sample, rng, jitter):
    count, face = 4000, draw_sample(rng, angles=(0.0, 0.0, 0.2)).landmarks
    mean = compute_mean_shape(face[None], WFLW_98)
    upright = upright_roll(face, mean)
    one_by_one = np.array(
        [[r.cx, r.cy, r.size, r.roll] for r in (jittered_roi(face, mean, jitter, rng) for _ in range(count))]
    )
    rois = jittered_rois(np.repeat(face[None], count, axis=0), np.full(count, upright), jitter, rng)
    at_once = np.column_stack([rois.cx, rois.cy, rois.size, rois.roll])
    # Quantiles see shares, limits and shapes alike; ties (the image's own axes) are broken at random.
    at_once, one_by_one = (places + rng.normal(0, 1e-6, places.shape) for places in (at_once, one_by_one))
    for ours, theirs in zip(at_once.T, one_by_one.T, strict=True):
        ranks = np.searchsorted(np.sort(ours), np.quantile(theirs, [0.05, 0.25, 0.5, 0.75, 0.95])) / count
        np.testing.assert_allclose(ranks, [0.05, 0.25, 0.5, 0.75, 0.95], atol=0.04)
    exact = ROIs.from_landmarks(np.repeat(face[None], count, axis=0), rois.roll)
    scale = np.log(rois.size / exact.size)
    assert np.abs(scale).max() == pytest.approx(jitter.scale_limit, abs=0.03)
    assert np.mean(np.abs(scale) > jitter.scale_limit - 1e-9) == pytest.approx(
        {0.1: 0.0124, 0.2: 0.211}[jitter.scale_sigma], abs=0.03
    )
    shift = np.hypot(rois.cx - exact.cx, rois.cy - exact.cy) / exact.size
    assert np.sqrt((shift**2).mean() / 2) == pytest.approx(jitter.center_sigma, rel=0.05)


def test_backgrounds_regions_lie_inside_and_are_distributed_as_single_ones(rng):
    sizes = np.tile([100, 160], (3000, 1))
    rois = background_rois(sizes, rng)
    assert (rois.cx >= rois.size / 2).all()
    assert (rois.cx <= 160 - rois.size / 2).all()
    assert (rois.cy <= 100 - rois.size / 2 + 1e-9).all()
    single_ones = [background_roi(np.zeros((100, 160, 3), np.uint8), rng) for _ in range(3000)]
    for name in ("cx", "cy", "size", "roll"):
        theirs = [getattr(roi, name) for roi in single_ones]
        np.testing.assert_allclose(
            np.quantile(getattr(rois, name), [0.1, 0.5, 0.9]), np.quantile(theirs, [0.1, 0.5, 0.9]), rtol=0.05, atol=0.2
        )
