"""Shape models of faces drawn from a known one."""

import numpy as np
import pytest

from atpn.train.losses.shape_correction import ShapeModel, correct_labels
from edge_runtime.landmarks import WFLW_98


@pytest.fixture(scope="module")
def shapes():
    """(400, 98, 2) faces with 6 ways to differ and a little noise."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(196, 6)))[0]
    coefficients = rng.normal(size=(400, 6)) * np.linspace(0.4, 0.1, 6)
    mean = rng.uniform(0.2, 0.8, 196)
    return (mean + coefficients @ basis.T + rng.normal(0, 0.002, (400, 196))).reshape(-1, 98, 2)


def test_the_first_round_is_the_gaussian_s_conditional_mean(shapes):
    model = ShapeModel.fit(shapes, 6)
    prior = model.basis @ np.diag(model.variance) @ model.basis.T
    noise = np.diag(np.repeat(model.residual, 2))
    difference = (shapes[0] - model.mean).ravel()
    expected = model.mean.ravel() + prior @ np.linalg.solve(prior + noise, difference)
    np.testing.assert_allclose(model.corrected(shapes[0], rounds=1).ravel(), expected, atol=1e-9)


def test_outliers_are_put_where_the_other_points_say(shapes):
    model, rng = ShapeModel.fit(shapes, 6), np.random.default_rng(1)
    for face in shapes[:10]:
        wrong = face.copy()
        moved = rng.choice(98, 12, replace=False)
        wrong[moved] += rng.choice([-0.15, 0.15], (12, 2))
        corrected = model.corrected(wrong, rounds=6)
        assert np.abs(corrected - face).max() < 0.02
        assert np.abs(model.corrected(wrong, rounds=1) - face).max() > 2 * np.abs(corrected - face).max()


def test_right_points_stay_where_they_are(shapes):
    model = ShapeModel.fit(shapes, 6)
    moved = np.array([model.corrected(face) - face for face in shapes[:50]])
    assert moved.std() < 0.0025


def test_labels_lose_noise_wherever_and_however_large_the_face_is(draw_sample):
    rng = np.random.default_rng(0)
    clean = np.array([draw_sample(rng, f"{i}").landmarks for i in range(150)])
    clean *= rng.uniform(0.5, 2.0, (150, 1, 1))
    clean += rng.uniform(-200, 200, (150, 1, 2))
    size = np.ptp(clean, axis=1).max(axis=1)[:, None, None]
    noisy = clean + rng.normal(0, 0.02, clean.shape) * size
    corrected = correct_labels(noisy.astype(np.float32), WFLW_98, 10)
    assert corrected.dtype == np.float32
    before, after = (np.sqrt((((labels - clean) / size) ** 2).mean()) for labels in (noisy, corrected))
    assert after < 0.5 * before


def test_too_few_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"20 shape components need more shapes.*got 10 shapes of 196"):
        ShapeModel.fit(shapes[:10], 20)
