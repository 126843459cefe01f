from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch

from atpn.model import ATPN, ATPNConfig, freeze
from atpn.model.complexity import Complexity, complexity
from atpn.model.layers import GlobalDepthwise
from atpn.model.scheme_conversion import SchemeConversion
from edge_runtime.landmarks import WFLW_98, convert, scheme_by_name


@pytest.fixture(scope="module")
def full_cost():
    config = ATPNConfig()
    return complexity(ATPN(config, torch.zeros(98, 2)))


def test_backbone_and_landmark_branch_meet_the_published_budget(full_cost):
    parameters = full_cost["backbone"].parameters + full_cost["landmark_branch"].parameters
    macs = full_cost["backbone"].macs + full_cost["landmark_branch"].macs
    assert 0.9e6 <= parameters <= 1.1e6
    assert 50e6 <= macs <= 60e6


def test_tracking_and_pose_branches_meet_the_published_budget(full_cost):
    tracking, pose = full_cost["tracking_branch"], full_cost["pose_branch"]
    assert tracking.parameters <= 0.19e6
    assert tracking.macs <= 17e6
    # The pose head reads three angles where the tracking head reads two logits: one more row of weights.
    row = pose.parameters - tracking.parameters
    assert row <= 200
    assert pose.macs - tracking.macs <= 200


class _KnownLayers(torch.nn.Sequential):
    """One layer of each kind that is counted, for 8×8 images."""

    config = SimpleNamespace(input_size=8)

    def __init__(self):
        layers = {
            "strided": torch.nn.Conv2d(3, 4, 3, stride=2, padding=1),  # to 4 by 4
            "depthwise": torch.nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
            "upward": torch.nn.ConvTranspose2d(4, 2, 2, stride=2),  # to 8 by 8
            "whole": GlobalDepthwise(2, 8),
            "linear": torch.nn.Linear(2, 5),
        }
        super().__init__(OrderedDict(layers))


def test_complexity_counts_the_sampling_of_the_correction():
    config = ATPNConfig(width=0.25)
    model = ATPN(config, torch.zeros(98, 2))
    with_it, without = (
        complexity(m)["landmark_branch"].macs for m in (model, model.with_config(refinement_channels=0))
    )
    channels, low = config.refinement_channels, config.channels(32)
    convolutions = 28 * 28 * channels * (2 * low + 9)
    sampling = 98 * 28 * channels * (28 + 1)  # each point's row of cells, then the cells within it
    assert with_it - without == convolutions + sampling + 98 * channels * 3


def test_complexity_counts_known_layers():
    assert complexity(_KnownLayers()) == {
        "strided": Complexity(parameters=3 * 4 * 9 + 4, macs=4 * 4 * 4 * 3 * 9),  # 112, 1728
        "depthwise": Complexity(parameters=36, macs=4 * 4 * 4 * 9),  # 576
        "upward": Complexity(parameters=4 * 2 * 4 + 2, macs=8 * 8 * 2 * 4),  # 34, 512: strides do not overlap
        "whole": Complexity(parameters=2 * 64 + 2, macs=2 * 64),
        "linear": Complexity(parameters=15, macs=10),
    }


def test_output_shapes_and_ranges(tiny_model, images):
    out = tiny_model(images)
    assert out.landmarks.shape == (2, 98, 2)
    assert out.uncertainty.shape == (2, 98)
    assert out.pose.shape == (2, 3)
    assert out.confidence.shape == (2,)
    assert (out.uncertainty > 0).all()
    assert (out.pose.abs() < torch.pi).all()
    assert ((out.confidence >= 0) & (out.confidence <= 1)).all()


def test_features_have_three_grids(tiny_model, images):
    features = tiny_model.backbone(images)
    assert [f.shape[-1] for f in features] == [28, 14, 7]
    assert [f.shape[1] for f in features] == [tiny_model.config.channels(c) for c in (32, 48, 112)]


def test_other_image_sizes_are_refused(tiny_model):
    with pytest.raises(ValueError, match=r"takes \(B, 3, 112, 112\) images, got \(1, 3, 96, 96\)"):
        tiny_model(torch.zeros(1, 3, 96, 96))


@pytest.mark.parametrize(("scheme", "count"), [("wflw98", 98), ("ibug68", 68), ("cofw29", 29)])
def test_schemes_set_the_number_of_landmarks(scheme, count, images):
    model = ATPN(ATPNConfig(scheme=scheme_by_name(scheme), width=0.25), torch.rand(count, 2)).eval()
    assert model(images).landmarks.shape == (2, count, 2)


def test_without_uncertainty_head_uncertainty_is_zero(images):
    model = ATPN(ATPNConfig(width=0.25, uncertainty=False), torch.rand(98, 2)).eval()
    out = model(images)
    assert out.uncertainty.shape == (2, 98)
    assert (out.uncertainty == 0).all()


def test_an_untrained_network_answers_near_the_mean_shape(images):
    model = ATPN(ATPNConfig(width=0.25), torch.rand(98, 2)).eval()
    assert (model(images).landmarks - model.mean_shape).abs().max() < 0.1


def test_wrong_mean_shape_is_refused():
    with pytest.raises(ValueError, match=r"needs a \(98, 2\) mean shape, got \(68, 2\)"):
        ATPN(ATPNConfig(), torch.zeros(68, 2))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"input_size": 100}, "multiple of 16"),
        ({"input_size": 60000}, "from 32 to 1024"),
        ({"conventions": 10**9}, "conventions must be 0 to 1024"),
        ({"width": 0.0}, "width must lie"),
        ({"scheme": "dots"}, "unknown landmark scheme"),
    ],
)
def test_bad_configs_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ATPNConfig.from_stored(kwargs)


def _stage_loss(model, images, stage):
    features = model.features(images)
    landmarks, log_sigma = model.landmark_branch(features)
    if stage == "landmarks":
        return landmarks.sum() + log_sigma.sum()
    branch = model.tracking_branch if stage == "tracking" else model.pose_branch
    return branch(model.branch_input(images, features, landmarks)).pow(2).sum()


STAGES = {
    "landmarks": {"backbone", "landmark_branch"},
    "tracking": {"tracking_branch"},
    "pose": {"pose_branch"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_trains_its_parts_and_leaves_the_frozen_untouched(tiny_model, images, stage):
    frozen = set(ATPN.PARTS) - STAGES[stage]
    freeze(tiny_model, frozen)
    tiny_model.train()
    before = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in tiny_model.parameters() if p.requires_grad], lr=1e-3)
    # The output layers start near zero, which would hide the gradients behind them.
    branch = tiny_model.landmark_branch
    for weight in (branch.residual.weight, branch.refinement.displacement, tiny_model.pose_branch.output.weight):
        torch.nn.init.normal_(weight.data, std=0.1)
    before.update({name: tensor.clone() for name, tensor in tiny_model.state_dict().items()})
    _stage_loss(tiny_model, images, stage).backward()
    for name, parameter in tiny_model.named_parameters():
        trained = name.partition(".")[0] in STAGES[stage]
        has_gradient = parameter.grad is not None and bool((parameter.grad != 0).any())
        assert has_gradient == trained, name
    optimizer.step()
    for name, tensor in tiny_model.state_dict().items():
        changed = not torch.equal(tensor, before[name])
        if name.partition(".")[0] in frozen:
            assert not changed, name
        elif name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert changed, name


def test_freeze_replaces_the_earlier_choice(tiny_model):
    freeze(tiny_model, ATPN.PARTS)
    freeze(tiny_model, ["backbone"])
    tiny_model.train()
    assert not tiny_model.backbone.training
    assert tiny_model.pose_branch.training
    assert all(p.requires_grad for p in tiny_model.pose_branch.parameters())


def test_freezing_an_unknown_part_is_refused(tiny_model):
    with pytest.raises(ValueError, match=r"unknown parts \['stem'\]"):
        freeze(tiny_model, ["stem"])


def test_landmarks_stay_float32_inside_autocast(tiny_model, images):
    with torch.autocast("cpu", torch.bfloat16):
        out = tiny_model(images)
    exact = tiny_model(images)
    assert out.landmarks.dtype == out.pose.dtype == torch.float32
    assert (out.landmarks - exact.landmarks).abs().max() < 0.02


def test_resizing_keeps_weights_and_takes_other_images(tiny_model, images):
    freeze(tiny_model, ["backbone"])
    small = tiny_model.resized(64)
    assert small(images[:, :, :64, :64]).landmarks.shape == (2, 98, 2)
    assert small.config.input_size == 64
    assert not small.backbone.stem[0].weight.requires_grad
    assert torch.equal(small.backbone.stem[0].weight, tiny_model.backbone.stem[0].weight)
    assert tiny_model.landmark_branch.gather.weight.shape[-1] == 7
    again = small.resized(112)
    assert again(images).pose.shape == (2, 3)
    # A flat image looks the same at any size, up to the borders' influence.
    flat = torch.full((1, 3, 112, 112), 128.0)
    with torch.no_grad():
        difference = tiny_model(flat).landmarks - small(flat[:, :, :64, :64]).landmarks
    assert difference.abs().max() < 0.05


def test_training_and_inference_forms_agree_on_channels_last(tiny_model, images):
    plain = tiny_model(images)
    reordered = tiny_model.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    for a, b in zip(plain, reordered, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["ibug68", "cofw29", "celeba5"])
def test_another_scheme_s_network_says_the_same_places(tiny_model, images, name):
    target = scheme_by_name(name)
    with torch.no_grad():
        conversion = SchemeConversion.between(WFLW_98, target, tiny_model.mean_shape)
        wide, narrow = tiny_model(images), tiny_model.converted(conversion)(images)
        # A smaller part of the face fills the crop: places lie closer to the middle in the wide one.
        shape = torch.from_numpy(convert(tiny_model.mean_shape.numpy(), WFLW_98, target))
        middle, side = (shape.amax(0) + shape.amin(0)) / 2, (shape.amax(0) - shape.amin(0)).max()
        own = tiny_model.mean_shape
        zoom = (own.amax(0) - own.amin(0)).max() / side
        expected = torch.from_numpy(convert(wide.landmarks.numpy(), WFLW_98, target))
        expected = (expected - middle) * zoom + (own.amax(0) + own.amin(0)) / 2
    torch.testing.assert_close(narrow.landmarks, expected, atol=1e-4, rtol=1e-4)
    kept = [i for i in range(target.count) if name == "ibug68"]
    sigma = torch.from_numpy(convert(wide.uncertainty[..., None].numpy(), WFLW_98, target))[..., 0] * zoom
    torch.testing.assert_close(narrow.uncertainty[:, kept], sigma[:, kept])
    with pytest.raises(ValueError, match=f"no conversion from {name} to wflw98"):
        SchemeConversion.between(target, WFLW_98, tiny_model.mean_shape)


def test_offsets_of_other_conventions_change_no_output(tiny_model, images):
    other = tiny_model.with_config(conventions=2)
    assert other.landmark_branch.offsets.shape == (2, 98, 2)
    with torch.no_grad():
        for before, after in zip(tiny_model(images), other.with_config(conventions=0)(images), strict=True):
            torch.testing.assert_close(before, after)
        for before, after in zip(tiny_model(images), other(images), strict=True):
            torch.testing.assert_close(before, after)
