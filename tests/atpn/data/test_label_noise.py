"""Statistics of wrong labels on one face labeled many times."""

from dataclasses import replace

import numpy as np
import pytest

from atpn.data.contours import get_contours, neighbors
from atpn.data.label_noise import NoiseConfig, SlideConfig, noisy_landmarks
from edge_runtime.landmarks import WFLW_98

LABELS = 1500
NOISE = NoiseConfig(level=1.0)


@pytest.fixture(scope="module")
def face(draw_sample):
    return draw_sample(np.random.default_rng(0), angles=(0, 0, 0)).landmarks


def labeled(face, key="face", noise=NOISE):
    return noisy_landmarks(face, WFLW_98, key, noise)


def moves(face, noise, count=LABELS):
    """(count, 98, 2) in shares of the face's rectangle."""
    labels = [labeled(face, f"face-{i}", noise) for i in range(count)]
    return (np.array(labels, np.float64) - face) / np.ptp(face, axis=0).max()


def tangents(face):
    before, after = neighbors(WFLW_98)
    tangent = face[after] - face[before]
    return tangent / np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)


def test_points_slide_along_the_contour_and_hardly_leave_it(face):
    moved, tangent = moves(face, replace(NOISE, across=0.0005)), tangents(face)
    along = (moved * tangent).sum(-1)
    across = moved[..., 0] * tangent[:, 1] - moved[..., 1] * tangent[:, 0]
    for contour in get_contours(WFLW_98):
        expected = getattr(SlideConfig(), contour.part)
        inner = [i for i in contour.indices[2:-2] if i not in contour.corners]
        if contour.part == "jaw":
            np.testing.assert_allclose(along[:, inner].std(0), expected, rtol=0.15)
            assert (across[:, inner].std(0) < 0.25 * expected).all()
        # Corners, and with them whatever else is on no curve, have their own small noise alone.
        for corner in contour.corners:
            assert moved[:, corner].std() == pytest.approx(0.0005, rel=0.1)
    assert moved[:, [55, 57, 96, 97]].std() == pytest.approx(0.0005, rel=0.1)
    assert np.abs(moved.mean(0)).max() < 0.03


def test_every_epoch_sees_the_same_wrong_label(face):
    np.testing.assert_array_equal(labeled(face), labeled(face))
    assert not np.allclose(labeled(face), labeled(face, "other"))
    assert not np.allclose(labeled(face), labeled(face, noise=replace(NOISE, seed=1)))
    np.testing.assert_array_equal(labeled(face, noise=NoiseConfig()), face)


def test_variance_is_shared_among_annotator_curve_and_point(face):
    along = (moves(face, replace(NOISE, across=0.0)) * tangents(face)).sum(-1)[:, 8:25]  # the jaw's lower half
    deviations = along / SlideConfig().jaw
    # Two points of a face have in common what is not their own: the annotator's habit and the curve's slide.
    covariance = np.cov(deviations.T)
    common = covariance[~np.eye(len(covariance), dtype=bool)].mean()
    own = NOISE.annotator_fraction + NOISE.curve_fraction
    annotators = [
        np.random.default_rng([0, 2**32 + i]).normal() for i in range(NOISE.annotators)
    ]  # the first curve's habits
    habits = NOISE.annotator_fraction * np.var(annotators)
    assert common == pytest.approx(own - NOISE.annotator_fraction + habits, abs=0.08)
    # With one annotator whose habit is all, every face is wrong alike.
    alone = replace(NOISE, annotators=1, annotator_fraction=1.0, curve_fraction=0.0, across=0.0)
    np.testing.assert_allclose(*moves(face, alone, 2), atol=1e-6)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="fractions of the variance"):
        NoiseConfig(level=1.0, annotator_fraction=0.8, curve_fraction=0.4)
