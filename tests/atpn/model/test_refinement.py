from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from atpn.model import ATPN, ATPNConfig
from atpn.model.refinement import axis_weights, sample_channels_first, sample_channels_last


@pytest.fixture
def refined():
    """A network whose correction is not the untrained one, which changes nothing."""
    torch.manual_seed(0)
    model = ATPN(ATPNConfig(width=0.25), torch.rand(98, 2)).eval()
    for parameter in (model.landmark_branch.refinement.displacement, model.landmark_branch.refinement.log_sigma):
        torch.nn.init.normal_(parameter)
    return model


def test_samples_equal_bilinear_grid_sampling():
    torch.manual_seed(1)
    features, points = torch.randn(2, 5, 28, 28), torch.rand(2, 40, 2) * 1.2 - 0.1
    expected = F.grid_sample(features, (2 * points - 1)[:, :, None], padding_mode="zeros", align_corners=False)[..., 0]
    across, down = axis_weights(points, 28)
    torch.testing.assert_close(sample_channels_first(features, across, down), expected, rtol=1e-4, atol=1e-4)
    last = sample_channels_last(features.to(memory_format=torch.channels_last), across, down)
    torch.testing.assert_close(last, expected.transpose(1, 2), rtol=1e-4, atol=1e-4)


def test_a_sample_at_a_cell_center_is_the_cell():
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    points = torch.tensor([[[0.375, 0.625]]])  # second column, third row
    assert sample_channels_first(features, *axis_weights(points, 4)).item() == 9.0


def test_correction_is_linear_in_the_sample_and_counts_in_cells(refined, images):
    with torch.no_grad():
        branch = refined.landmark_branch
        embedding = refined.embed(images)
        (first, first_sigma), (landmarks, log_sigma) = branch.estimates(embedding)
        features = branch.refinement.project(embedding.fine)
        places = (2 * first - 1)[:, :, None]
        samples = F.grid_sample(features, places, padding_mode="zeros", align_corners=False)[..., 0]  # (B, K, N)
        moved = torch.einsum("bkn,nkd->bnd", samples, branch.refinement.displacement) + branch.refinement.bias
        torch.testing.assert_close(landmarks, first + moved / 28, rtol=1e-4, atol=1e-5)
        change = torch.einsum("bkn,nk->bn", samples, branch.refinement.log_sigma)
        torch.testing.assert_close(log_sigma, first_sigma + change, rtol=1e-4, atol=1e-5)
        assert (landmarks - first).abs().max() > 1e-3
        torch.testing.assert_close(refined(images).landmarks, landmarks)
        branch.refinement.channels_last = True
        for plain, spelled in zip((landmarks, log_sigma), branch.estimates(embedding)[1], strict=True):
            torch.testing.assert_close(spelled, plain, rtol=1e-4, atol=1e-5)


def test_uncertainty_gives_the_features_no_gradient(refined, images):
    _, log_sigma = refined.landmark_branch(refined.features(images))
    log_sigma.sum().backward()
    assert {name for name, p in refined.named_parameters() if p.grad is not None and p.grad.any()} == {
        *(f"landmark_branch.log_sigma.{kind}" for kind in ("weight", "bias")),
        "landmark_branch.refinement.log_sigma",
    }


def test_without_correction_the_first_estimate_is_given(refined, images):
    plain = refined.with_config(refinement_channels=0)
    with torch.no_grad():
        assert plain.config == replace(refined.config, refinement_channels=0)
        embedding = refined.embed(images)
        torch.testing.assert_close(plain(images).landmarks, refined.landmark_branch.read_vector(embedding.vector)[0])
        untrained = plain.with_config(refinement_channels=64)
        torch.testing.assert_close(untrained(images).landmarks, plain(images).landmarks)


def test_configs_stored_before_the_correction_came_have_none():
    old = ATPNConfig.from_stored({"scheme": "wflw98", "width": 0.25})
    assert (old.refinement_channels, old.separable_views) == (0, False)
    assert ATPNConfig.from_stored({"refinement_channels": 32, "separable_views": True}).refinement_channels == 32
    with pytest.raises(ValueError, match="refinement_channels must be 0 to 1024, got -1"):
        ATPNConfig(refinement_channels=-1)
