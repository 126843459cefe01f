"""STAR loss of heatmaps against NumPy's eigenvectors, cell by cell."""

import math

import numpy as np
import pytest
import torch

from atpn.train.losses.heatmap_star import distance_loss, heatmap_star_loss, principal_components

GRID = 10


def bell(mean, covariance):
    """(G, G) Gaussian in cells, summing to 1."""
    y, x = np.mgrid[:GRID, :GRID] + 0.5
    offsets = np.stack([x, y], axis=-1) - mean
    density = np.exp(-np.einsum("yxi,ij,yxj->yx", offsets, np.linalg.inv(covariance), offsets) / 2)
    return density / density.sum()


@pytest.fixture
def case():
    """(2, 4, G, G) distributions and labels."""
    rng = np.random.default_rng(0)
    maps, labels = np.zeros((2, 4, GRID, GRID)), rng.uniform(0.2, 0.8, (2, 4, 2))
    for index in np.ndindex(2, 4):
        spread = rng.normal(0, 1, (2, 2))
        maps[index] = bell(labels[index] * GRID + rng.normal(0, 0.7, 2), spread @ spread.T + 0.3 * np.eye(2))
    return torch.from_numpy(maps), torch.from_numpy(labels)


def smooth_l1(error):
    return 0.5 * error**2 / 0.01 if abs(error) < 0.01 else abs(error) - 0.005


def plain_star(weights, label):
    """The paper's formula for one landmark: the map reaches from -1 to 1."""
    places = np.array([(2 * (x + 0.5) / GRID - 1, 2 * (y + 0.5) / GRID - 1) for y in range(GRID) for x in range(GRID)])
    weights = weights.ravel()
    mean = weights @ places
    covariance = sum(w * np.outer(p - mean, p - mean) for w, p in zip(weights, places, strict=True))
    covariance = covariance / (1 - (weights**2).sum())
    values, vectors = np.linalg.eigh(covariance)
    error = 2 * label - 1 - mean
    star = sum(smooth_l1(v @ error) / math.sqrt(value + 1e-5) for v, value in zip(vectors.T, values, strict=True))
    return star + values.sum(), smooth_l1(error[0]) + smooth_l1(error[1])


def test_losses_are_the_papers(case):
    maps, labels = case
    expected = [plain_star(maps[i].numpy(), labels[i].numpy()) for i in np.ndindex(2, 4)]
    assert heatmap_star_loss(maps, labels).item() == pytest.approx(np.mean([star for star, _ in expected]))
    assert distance_loss(maps, labels).item() == pytest.approx(np.mean([distance for _, distance in expected]))


def test_principal_components_make_up_the_covariance():
    rng = np.random.default_rng(1)
    covariances = np.array([m @ m.T for m in rng.normal(0, 1, (50, 2, 2))])
    values, axes = principal_components(torch.from_numpy(covariances))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariances)[:, ::-1], atol=1e-9)
    rebuilt = axes.transpose(-1, -2) @ torch.diag_embed(values) @ axes
    np.testing.assert_allclose(rebuilt, covariances, atol=1e-9)


def test_an_error_along_the_scatter_costs_less_than_one_across():
    scatter = torch.from_numpy(bell(np.array([5.0, 5.0]), np.diag([4.0, 0.25])))[None, None]
    middle, step = torch.tensor([[[0.5, 0.5]]], dtype=torch.float64), 0.1
    along, across = middle + torch.tensor([step, 0.0]), middle + torch.tensor([0.0, step])
    assert heatmap_star_loss(scatter, along) < 0.7 * heatmap_star_loss(scatter, across)


def test_the_restriction_keeps_distributions_from_growing():
    # Of the same error, a wider distribution has the smaller first term and the larger second one.
    label = torch.tensor([[[0.55, 0.5]]], dtype=torch.float64)
    losses = [
        heatmap_star_loss(torch.from_numpy(bell(np.array([5.0, 5.0]), s * np.eye(2)))[None, None], label).item()
        for s in (0.5, 1.5, 6.0)
    ]
    assert losses[2] > losses[1]
    assert losses[1] > 2 * 0.04 * 1.5  # the eigenvalues' sum alone


@pytest.mark.parametrize("kind", ["round", "one cell", "line"])
def test_gradients_are_finite_for_degenerate_distributions(kind):
    scores = torch.zeros(1, 1, GRID, GRID, dtype=torch.float64)
    if kind == "one cell":
        scores[..., 4, 4] = 60.0
    elif kind == "line":
        scores[..., 4, :] = 60.0
    scores.requires_grad_()
    label = torch.tensor([[[0.4, 0.6]]], dtype=torch.float64)
    loss = heatmap_star_loss(scores.flatten(2).softmax(-1).view_as(scores), label)
    loss.backward()
    assert loss.isfinite()
    assert scores.grad.isfinite().all()


def test_gradients_run_through_eigenvalues_and_axes(case):
    maps, labels = case
    scores = maps.log().requires_grad_()

    def loss(values):
        return heatmap_star_loss(values.flatten(2).softmax(-1).view_as(values), labels)

    torch.autograd.gradcheck(loss, (scores,), atol=1e-6)
