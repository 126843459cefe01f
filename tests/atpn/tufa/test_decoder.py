import math

import pytest
import torch

from atpn.tufa.decoder import TAU, structure_prompts


def test_prompts_follow_equations_6_1_to_6_3():
    dim, (x, y) = 16, (0.3, -0.7)
    expected = []
    for coordinate in (x, y):  # 6.3: the encoding of x, then that of y
        for i in range(dim // 4):
            angle = coordinate / TAU ** (2 * i / (dim / 2))
            expected += [math.sin(angle), math.cos(angle)]  # 6.1 and 6.2: even and odd channels
    torch.testing.assert_close(structure_prompts(torch.tensor([x, y]), dim), torch.tensor(expected))
    assert TAU == 10_000


def test_any_shape_of_points_is_encoded_point_by_point():
    plane = torch.rand(3, 5, 2)
    prompts = structure_prompts(plane, 32)
    assert prompts.shape == (3, 5, 32)
    torch.testing.assert_close(prompts[1, 4], structure_prompts(plane[1, 4], 32))


@pytest.mark.parametrize("offset", [(0.05, 0.0), (-0.2, 0.11)])
def test_an_offset_is_one_linear_map_of_all_prompts(offset):
    """Equations 6.4 and 6.5: E(p + d) = R(d) E(p), with a rotation R that depends on the offset alone."""
    dim, d = 16, torch.tensor(offset, dtype=torch.float64)
    blocks = []
    for coordinate in d:
        for i in range(dim // 4):
            angle = coordinate / TAU ** (2 * i / (dim / 2))
            c, s = torch.cos(angle), torch.sin(angle)
            blocks.append(torch.stack([torch.stack([c, s]), torch.stack([-s, c])]))
    rotation = torch.block_diag(*blocks)
    points = torch.rand(20, 2, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(structure_prompts(points + d, dim), structure_prompts(points, dim) @ rotation.T)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(dim, dtype=torch.float64))
