import copy

import pytest
import torch
import torch.nn.functional as F

from atpn.model import ATPN, ATPNConfig, CheckpointError, load_network, save_checkpoint
from atpn.slpt.config import SIZES, SLPTConfig
from atpn.slpt.network import SLPT, new_slpt, take_features
from atpn.slpt.patches import FIRST_SIDE, patch_corners, sample_patches
from edge_runtime.landmarks import IBUG_68


def images(model, count=2):
    size = model.config.input_size
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(5)).float()


@pytest.mark.parametrize(("size", "millions"), [("resnet34", 31.06), ("resnet50", 33.47)])
def test_published_sizes_have_the_published_parameters(size, millions):
    with torch.device("meta"):
        model = SLPT(SIZES[size], torch.zeros(98, 2))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, abs=0.005e6)  # table 5.1


@torch.no_grad()
@pytest.mark.parametrize("own_patch", [False, True])
def test_stages_follow_algorithm_2(make_slpt, own_patch):
    """Crop, resize, embed by a K × K convolution, relate, place in the patch, and size the next patch."""
    model = make_slpt(own_patch=own_patch)
    config, image = model.config, images(model)
    maps = model.maps(image)
    kernel = model.embedding.weight.unflatten(1, (-1, config.patch, config.patch))
    centers, side = model.mean_shape.expand(2, -1, -1), torch.full((2, 98, 1), FIRST_SIDE)
    for stage in model.stages(image):
        corners = patch_corners(centers, side)
        torch.testing.assert_close(stage.corners, corners)
        torch.testing.assert_close(stage.side, side)
        patches = sample_patches(maps, corners, side, config.patch)
        vectors = F.conv2d(patches.flatten(0, 1), kernel, model.embedding.bias).flatten(1).unflatten(0, (2, 98))
        tokens = vectors if own_patch else torch.zeros_like(vectors)
        for number, layer in enumerate(model.relation.layers):
            tokens, _ = layer(tokens, model.relation.queries, vectors, model.relation.encoding)
            mean, log_sigma = model.head(tokens)
            torch.testing.assert_close(stage.landmarks[number], corners + side * mean, atol=1e-5, rtol=1e-4)  # 5.5
            torch.testing.assert_close(stage.sigma[number], side * log_sigma.exp(), atol=1e-5, rtol=1e-4)  # 5.6
        centers = corners + side * mean
        side = side * (2 * 6 * log_sigma.exp().amax(dim=2, keepdim=True)).clamp(0.5, 0.7)


def test_the_result_is_the_last_stage_s_last_layer(make_slpt):
    model = make_slpt()
    last, output = model.stages(images(model))[-1], model(images(model))
    torch.testing.assert_close(output.landmarks, last.landmarks[-1])
    torch.testing.assert_close(output.uncertainty, last.sigma[-1].square().mean(dim=-1).sqrt())
    assert output.pose.isnan().all()
    assert output.confidence.isnan().all()


def test_slpt_has_no_uncertainty_and_halves_its_patches(make_slpt):
    model = make_slpt("slpt")
    stages = model.stages(images(model))
    assert [float(stage.side.unique()) for stage in stages] == [0.25, 0.125, 0.0625]
    assert stages[0].sigma is None
    assert not model(images(model)).uncertainty.any()


def test_sizes_and_places_of_patches_give_no_gradient(make_slpt):
    model = make_slpt()
    stages = model.stages(images(model))
    assert not any(stage.side.requires_grad or stage.corners.requires_grad for stage in stages)
    stages[-1].landmarks.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.embedding.parameters())


def test_attention_s_weights_sum_to_one(make_slpt):
    model = make_slpt()
    for stage in model.stages(images(model), weights=True):
        assert len(stage.attention) == model.config.layers
        for among, across in stage.attention:
            torch.testing.assert_close(among.sum(-1), torch.ones(2, 98))
            torch.testing.assert_close(across.sum(-1), torch.ones(2, 98))


@pytest.mark.parametrize("part", ["self_attention", "cross_attention", "structure_encoding"])
def test_parts_can_be_left_out(make_slpt, part):
    model, whole = make_slpt(**{part: False}), make_slpt()
    fewer, all_of_them = (sum(p.numel() for p in network.parameters()) for network in (model, whole))
    assert fewer < all_of_them
    assert torch.isfinite(model(images(model)).landmarks).all()


@pytest.mark.parametrize("changes", [{}, {"own_patch": False}, {"own_patch": False, "cross_attention": False}])
def test_the_image_reaches_the_landmarks(make_slpt, changes):
    """Without cross-attention, the patches themselves are the tokens in any case."""
    model = make_slpt(**changes)
    first, second = model(images(model)).landmarks
    assert (first - second).abs().max() > 1e-4


def test_a_checkpoint_keeps_scheme_and_weights(tmp_path):
    model = new_slpt(SLPTConfig(IBUG_68, input_size=32, layers=1, dim=8, heads=2), torch.rand(68, 2), 0).eval()
    save_checkpoint(tmp_path / "ibug.safetensors", model, {})
    loaded, _ = load_network(tmp_path / "ibug.safetensors", SLPT)
    assert loaded.config == model.config
    torch.testing.assert_close(loaded(images(model)).landmarks, model(images(model)).landmarks)
    save_checkpoint(tmp_path / "atpn.safetensors", ATPN(ATPNConfig(width=0.25, input_size=32), torch.rand(98, 2)), {})
    with pytest.raises(CheckpointError, match="describes ATPN version 1, expected SLPT"):
        load_network(tmp_path / "atpn.safetensors", SLPT)


def test_features_are_atpn_s(make_slpt, atpn):
    model = make_slpt()
    take_features(model, atpn)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, atpn.backbone.state_dict()[name]), name
    with pytest.raises(ValueError, match=r"width 1, got width 0\.25"):
        take_features(model, ATPN(ATPNConfig(width=0.25), torch.zeros(98, 2)))
    with torch.device("meta"):
        resnet = SLPT(SIZES["resnet34"], torch.zeros(98, 2))
    with pytest.raises(ValueError, match="use --size small"):
        take_features(resnet, atpn)


def test_other_picture_sizes_need_a_resized_copy(make_slpt):
    model = make_slpt()
    with pytest.raises(ValueError, match=r"takes \(B, 3, 32, 32\)"):
        model(torch.zeros(1, 3, 48, 48))
    before = copy.deepcopy(model.state_dict())
    larger = model.resized(48)
    assert larger(torch.zeros(1, 3, 48, 48)).landmarks.shape == (1, 98, 2)
    assert all(torch.equal(value, before[name]) for name, value in larger.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"backbone": "vgg"}, "backbone must be"),
        ({"loss": "huber"}, "loss must be"),
        ({"layers": 0}, "layers must be 1 to 24"),
        ({"dim": 30}, "multiple of the 4 heads"),
        ({"input_size": 100}, "input_size must be a multiple of 16"),
        ({"backbone": "resnet34", "input_size": 80}, "input_size must be a multiple of 32"),
        ({"min_shrink": 0.9}, "expected 0 < min_shrink <= max_shrink"),
        ({"loss": "l2"}, "patches shrink alike"),
        ({"channels": 10**6}, "channels must be 1 to 128"),
    ],
)
def test_contradicting_configs_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        SLPTConfig(**changes)
