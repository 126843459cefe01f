import numpy as np
import pytest

from atpn.evaluate.label_adapter import adapt

COUNT = 12


@pytest.fixture
def faces():
    """(n, N, 2) shapes that vary along three directions, anywhere in a picture, and their photographs' numbers."""
    rng = np.random.default_rng(0)
    mean, modes = rng.normal(size=(COUNT, 2)), 0.1 * rng.normal(size=(3, COUNT, 2))
    shapes = mean + np.einsum("nk,kij->nij", rng.normal(size=(120, 3)), modes)
    angle, scale = rng.uniform(-0.3, 0.3, 120), rng.uniform(20, 200, 120)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    placed = scale[:, None, None] * np.einsum("nij,nkj->nki", turn, shapes) + rng.uniform(0, 500, (120, 1, 2))
    return placed, scale, np.arange(120) // 2, rng


def errors(predicted, target, scale):
    return np.linalg.norm(predicted - target, axis=-1).mean(axis=1) / scale


def test_another_convention_is_undone(faces):
    target, scale, photographs, _ = faces
    # Every landmark lies elsewhere between its neighbors: linear in the shape, and no constant offset.
    predicted = 0.7 * target + 0.3 * np.roll(target, 1, axis=1)
    before = errors(predicted, target, scale).mean()
    after = errors(adapt(predicted, target, photographs), target, scale).mean()
    assert before > 0.3
    assert after < before / 30


def test_errors_by_chance_stay(faces):
    target, scale, photographs, rng = faces
    predicted = target + 0.05 * scale[:, None, None] * rng.normal(size=target.shape)
    before = errors(predicted, target, scale).mean()
    after = errors(adapt(predicted, target, photographs), target, scale).mean()
    # Neighbors tell a little of a landmark, as the shapes have three directions only.
    assert 0.4 * before < after < 1.05 * before


def test_a_photograph_does_not_teach_its_own_faces(faces):
    target, scale, photographs, rng = faces
    predicted = target + 0.05 * scale[:, None, None] * rng.normal(size=target.shape)
    changed = target.copy()
    changed[photographs == 7] += 100.0
    before, after = adapt(predicted, target, photographs), adapt(predicted, changed, photographs)
    np.testing.assert_array_equal(before[photographs == 7], after[photographs == 7])
    assert not np.allclose(before[photographs == 8], after[photographs == 8])


def test_fewer_photographs_than_folds_are_refused(faces):
    target, _, photographs, _ = faces
    with pytest.raises(ValueError, match="10 folds need as many photographs, got 9"):
        adapt(target[photographs < 9], target[photographs < 9], photographs[photographs < 9])
