from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from atpn.model import ATPN, ATPNConfig, load_checkpoint, save_checkpoint
from atpn.model.expression_branch import CELLS, ExpressionBranch
from atpn.model.landmark_branch import FaceEmbedding
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import LandmarkScheme

GIVEN = tuple(name for name in EXPRESSIONS if name != "tongueOut")


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return tiny_model.with_config(expressions=GIVEN).eval()


def test_outputs_are_bounded_and_what_is_not_given_is_zero(model, images):
    found = model.expressions(images)
    assert found.expressions.shape == (len(images), 52)
    assert found.gaze.shape == (len(images), 2, 2)
    assert ((found.expressions >= 0) & (found.expressions <= 1)).all()
    assert not found.expressions[:, EXPRESSIONS.index("tongueOut")].any()
    assert (found.expressions[:, EXPRESSIONS.index("jawOpen")] > 0).all()


def test_the_branch_leaves_the_network_as_it_was(tiny_model, model, images):
    for before, after in zip(tiny_model.eval()(images), model(images), strict=True):
        assert torch.equal(before, after)
    assert "expression_branch" in model.PARTS
    assert "expression_branch" not in tiny_model.PARTS


def test_no_gradient_leaves_the_branch(model, images):
    model.expressions(images).gaze.sum().backward()
    assert all(p.grad is not None for p in model.expression_branch.hidden.parameters())


def test_a_region_is_sampled_around_its_landmarks(model):
    grid = model.config.low_grid
    axis = (torch.arange(grid) + 0.5) / grid
    channels = 2 * model.config.channels(32)
    fine = torch.zeros(1, channels, grid, grid)
    fine[0, 0], fine[0, 1] = axis[None].expand(grid, grid), axis[:, None].expand(grid, grid)
    landmarks = torch.full((1, 98, 2), 0.5)
    landmarks[0, [*range(60, 68), 96]] = torch.tensor([0.4, 0.45])
    patches = model.expression_branch._patches(fine, landmarks)
    assert patches.shape == (1, 3, channels, CELLS, CELLS)
    centers = patches[0, :, :2].mean(dim=(-1, -2))
    # The middle of each region; those of the eyes reach above the brows.
    assert torch.allclose(centers, torch.tensor([[0.4, 0.41], [0.5, 0.46], [0.5, 0.5]]), atol=1e-3)
    column_steps = patches[0, :, 0, 0].diff(dim=-1)
    assert torch.allclose(column_steps, torch.tensor([[0.26], [0.26], [0.4]]) / CELLS, atol=1e-3)


def test_landmarks_and_features_both_matter(model):
    torch.manual_seed(1)
    grid, width = model.config.low_grid, model.config.channels(512)
    fine = torch.randn(1, 2 * model.config.channels(32), grid, grid)
    embedding, shape = FaceEmbedding(torch.randn(1, width), fine), model.mean_shape[None]
    first = model.expression_branch.read(embedding, shape).logits
    moved = model.expression_branch.read(embedding, shape + 0.05 * torch.randn(98, 2)).logits
    other = model.expression_branch.read(embedding._replace(fine=fine + torch.randn_like(fine)), shape).logits
    assert (first - moved).abs().max() > 1e-3
    assert (first - other).abs().max() > 1e-3


def test_checkpoints_keep_the_branch_and_older_ones_load_without(tmp_path, tiny_model, model, images):
    save_checkpoint(tmp_path / "with.safetensors", model, {})
    again, _ = load_checkpoint(tmp_path / "with.safetensors")
    assert again.config.expressions == GIVEN
    assert torch.equal(again.expressions(images).gaze, model.expressions(images).gaze)
    old = {key: value for key, value in tiny_model.stored_config.items() if key != "expressions"}
    assert ATPN.from_config(old).expression_branch is None


def test_a_network_without_the_branch_says_what_to_do(tiny_model, images):
    with pytest.raises(ValueError, match="train expressions"):
        tiny_model.expressions(images)


def test_unknown_coefficients_and_schemes_without_eyes_are_refused():
    with pytest.raises(ValueError, match="'smile'"):
        ATPNConfig(expressions=("smile",))
    groups = {"eyes": (0, 1), "nose": (2,)}
    points = LandmarkScheme("dots", 3, groups, mirror_pairs=((0, 1),), edges=(), outer_eye_corners=(0, 1))
    config = ATPNConfig(scheme=points, expressions=("jawOpen",))
    with pytest.raises(ValueError, match="scheme dots has no group 'left_eye'"):
        ExpressionBranch(config, torch.zeros(3, 2))


def test_the_branch_keeps_its_budget():
    model = ATPN(ATPNConfig(expressions=GIVEN), torch.full((98, 2), 0.5)).eval()
    assert sum(p.numel() for p in model.expression_branch.parameters()) <= 150_000
    with torch.no_grad():
        embedding = model.embed(torch.zeros(1, 3, 112, 112))
        with FlopCounterMode(display=False) as counter:
            model.expression_branch(embedding, model.mean_shape[None])
    assert counter.get_total_flops() / 2 <= 5_000_000


def test_another_input_size_keeps_the_branch(model):
    assert model.resized(64).expressions(torch.zeros(1, 3, 64, 64)).gaze.shape == (1, 2, 2)
