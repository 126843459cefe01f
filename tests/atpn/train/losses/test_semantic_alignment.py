"""The search's formula against a search."""

import numpy as np
import pytest
import torch

from atpn.data.contours import neighbors, sliding
from atpn.train.losses.semantic_alignment import ACROSS, ALONG, search_landmarks
from edge_runtime.landmarks import WFLW_98


def search(labeled, predicted, sigma):
    before, after = map(torch.from_numpy, neighbors(WFLW_98))
    return search_landmarks(labeled, predicted, sigma, before, after, torch.from_numpy(sliding(WFLW_98)))


@pytest.fixture
def face(ring):
    return torch.from_numpy(ring).double()[None]


def test_what_is_found_is_likeliest_under_label_and_network(face):
    generator = torch.Generator().manual_seed(0)
    labeled = face + 0.02 * torch.randn(face.shape, generator=generator, dtype=torch.float64)
    found = search(labeled, face, torch.full((1, 98), 0.03, dtype=torch.float64))[0].numpy()
    size = np.ptp(labeled[0].numpy(), axis=0).max()
    before, after = neighbors(WFLW_98)
    variance = 0.03**2 - ((ALONG * size) ** 2 + (ACROSS * size) ** 2) / 2
    steps = 4e-4 * np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2), -1).reshape(-1, 2)
    for i in (5, 16, 62, 79):
        tangent = (face[0, after[i]] - face[0, before[i]]).numpy()
        tangent /= np.linalg.norm(tangent)
        normal = np.array([-tangent[1], tangent[0]])
        off_label, off_network = found[i] + steps - labeled[0, i].numpy(), found[i] + steps - face[0, i].numpy()
        likelihood = (
            -((off_label @ tangent) ** 2) / (ALONG * size) ** 2 - (off_label @ normal) ** 2 / (ACROSS * size) ** 2
        )
        likelihood -= (off_network**2).sum(-1) / variance
        assert np.argmax(likelihood) == len(steps) // 2  # where the search says


def test_an_unsure_network_leaves_labels_and_a_sure_one_moves_them_along_contours(face):
    labeled = face + 0.01
    torch.testing.assert_close(search(labeled, face, torch.full((1, 98), 9.0)), labeled, atol=1e-4, rtol=0)
    found = search(labeled, face, torch.full((1, 98), 0.004))
    moved = (found - labeled).norm(dim=-1)[0]
    tangents = face[:, neighbors(WFLW_98)[1]] - face[:, neighbors(WFLW_98)[0]]
    cosine = torch.cosine_similarity(face - labeled, tangents, dim=-1)[0].abs()
    curve = torch.from_numpy(sliding(WFLW_98))
    assert (moved[curve & (cosine > 0.9)] > 0.008).all()  # nearly the whole way of 0.014
    assert moved[curve & (cosine < 0.2)].max() < moved[curve & (cosine > 0.9)].min()


def test_corners_hardly_move(face):
    corners = [60, 64, 76, 82, 54, 96]
    found = search(face + 0.01, face, torch.full((1, 98), 0.01))
    assert ((found - face - 0.01).norm(dim=-1)[0, corners] < 0.004).all()
