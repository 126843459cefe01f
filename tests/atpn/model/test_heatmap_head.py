"""Heatmaps, and how landmarks are read from them, against formulas cell by cell."""

import numpy as np
import pytest
import torch

from atpn.model import ATPN, ATPNConfig
from atpn.model.heatmap_head import GAUSSIAN_SIGMA, moments, peaks
from atpn.model.scheme_conversion import SchemeConversion
from edge_runtime.landmarks import IBUG_68


@pytest.fixture
def maps():
    """(2, 3, 12, 12) distributions without symmetry."""
    generator = torch.Generator().manual_seed(0)
    scores = (3 * torch.rand(2, 3, 144, generator=generator, dtype=torch.float64)).exp()
    return scores.softmax(dim=-1).unflatten(-1, (12, 12))


def network(kind, **fields):
    torch.manual_seed(0)
    config = ATPNConfig(**({"width": 0.25, "heatmaps": kind, "refinement_channels": 0} | fields))
    return ATPN(config, torch.rand(config.landmark_count, 2)).eval()


def test_moments_are_those_of_weighted_cells(maps):
    mean, covariance = moments(maps)
    centers = np.array([((x + 0.5) / 12, (y + 0.5) / 12) for y in range(12) for x in range(12)])
    for b in range(2):
        for n in range(3):
            weights = maps[b, n].numpy().ravel()
            np.testing.assert_allclose(mean[b, n], np.average(centers, axis=0, weights=weights))
            np.testing.assert_allclose(covariance[b, n], np.cov(centers.T, aweights=weights), rtol=1e-9)


def test_distributions_give_their_mean_and_spread(images):
    model = network("distribution")
    torch.nn.init.normal_(model.landmark_branch.heatmaps.output.weight, std=0.5)
    embedding = model.embed(images)
    maps = model.landmark_branch.heatmaps(embedding.fine)
    assert maps.shape == (2, 98, 56, 56)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, 98))
    out = model(images)
    mean, covariance = moments(maps)
    torch.testing.assert_close(out.landmarks, mean)
    torch.testing.assert_close(out.uncertainty.square() * 2, covariance[..., 0, 0] + covariance[..., 1, 1])


def test_a_gaussians_peak_is_found_between_cells(images):
    places = torch.tensor([[[0.31, 0.52], [0.77, 0.24]]])
    offsets = (torch.arange(28) + 0.5) / 28 - places[..., None]
    bells = torch.exp(-((offsets * 28 / GAUSSIAN_SIGMA) ** 2) / 2)
    maps = bells[:, :, 1, :, None] * bells[:, :, 0, None, :]
    assert (peaks(maps) - places).abs().max() < 0.25 / 28
    far = maps.clone()
    far[..., 0, 0] = 0.4  # a lower maximum elsewhere changes nothing
    torch.testing.assert_close(peaks(far), peaks(maps))
    flat = torch.full((1, 1, 8, 8), -1.0)
    flat[0, 0, 3, 5] = -0.5
    torch.testing.assert_close(peaks(flat)[0, 0], torch.tensor([5.5, 3.5]) / 8)
    out = network("gaussian")(images)
    assert out.uncertainty.unique().tolist() == pytest.approx([GAUSSIAN_SIGMA / 56])


def test_networks_without_heatmaps_have_no_weights_for_them():
    plain = ATPN(ATPNConfig(width=0.25, refinement_channels=0), torch.rand(98, 2)).state_dict()
    extra = set(network("gaussian").state_dict()) - set(plain)
    assert extra
    assert all(name.startswith("landmark_branch.heatmaps.") for name in extra)
    assert ATPNConfig.from_stored({}).heatmaps == "none"


def test_heatmap_networks_are_stored_and_resized_but_not_converted():
    model = network("distribution")
    restored = ATPN.from_config(model.stored_config)
    restored.load_state_dict(model.state_dict())
    assert restored.resized(64)(torch.rand(1, 3, 64, 64)).landmarks.shape == (1, 98, 2)
    conversion = SchemeConversion.between(model.config.scheme, IBUG_68, model.mean_shape)
    with pytest.raises(ValueError, match="a network of heatmaps stays with its scheme, wflw98"):
        model.converted(conversion)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heatmaps": "round"}, "heatmaps must be one of none, distribution, gaussian, got 'round'"),
        ({"heatmaps": "gaussian"}, "refinement_channels to 0"),
        ({"heatmaps": "gaussian", "refinement_channels": 0, "low_features": False}, "set low_features"),
    ],
)
def test_bad_configs_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ATPNConfig(**fields)
