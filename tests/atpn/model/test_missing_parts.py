"""Networks that lack a part of the thesis' architecture (its tables 3.7 to 3.9)."""

from typing import get_args

import pytest
import torch
from torch import nn

from atpn.model import ATPN, ATPNConfig
from atpn.model.complexity import complexity
from atpn.model.config import ABLATED_PARTS, ARCHITECTURES
from atpn.model.layers import CoordConv
from atpn.train.config import ArchitecturePart, NetworkName

SHAPE = torch.rand(98, 2, generator=torch.Generator().manual_seed(0))


def network(*missing, **fields):
    config = ATPNConfig(width=0.25, **({"refinement_channels": 0} | dict.fromkeys(missing, False) | fields))
    torch.manual_seed(0)
    return ATPN(config, SHAPE).eval()


def names(model):
    return set(model.state_dict())


def test_the_default_has_all_parts_and_earlier_checkpoints_too():
    assert ATPNConfig().missing_parts == ATPNConfig.from_stored({}).missing_parts == ()
    assert network("multiview").config.missing_parts == ("multiview",)
    assert get_args(ArchitecturePart) == ABLATED_PARTS
    assert set(get_args(NetworkName)) == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        (("low_features",), ("mid_lateral", "low_lateral", "high_to_mid", "mid_to_low", "_down", "low_v", "mid_v")),
        (("multiview",), ("views",)),
        (("coord_conv",), ("position",)),
        (("heatmap_attention",), ()),
    ],
)
def test_a_missing_part_takes_its_weights_along_and_no_others(missing, gone):
    whole, without = names(network()), names(network(*missing))
    assert without <= whole
    assert all(any(part in name for part in gone) for name in whole - without)
    assert not any(part in name for part in gone for name in without if not name.startswith("backbone"))
    assert (whole == without) == (not gone)


def test_the_baseline_reads_landmarks_from_the_last_features_alone(images):
    model = network("low_features", "multiview", "coord_conv")
    features = model.features(images)
    branch = model.landmark_branch
    landmarks, _ = branch(features)
    last = branch.activation(branch.gather(branch.to_vector(branch.high_lateral(features.high))))
    expected = model.mean_shape + branch.residual(last).unflatten(1, (98, 2))
    torch.testing.assert_close(landmarks, expected)
    torch.testing.assert_close(branch(features._replace(low=features.low + 1, mid=features.mid + 1))[0], landmarks)
    whole, baseline = (complexity(m)["landmark_branch"] for m in (network(), model))
    assert baseline.macs < whole.macs / 3


def test_without_coordinates_a_convolution_is_plain():
    torch.manual_seed(0)
    layer = CoordConv(4, 6, 8, kernel=3, stride=2, coordinates=False).eval()
    features = torch.rand(2, 4, 8, 8)
    convolved = nn.functional.conv2d(features, layer.features.weight, stride=2, padding=1)
    torch.testing.assert_close(layer(features), nn.functional.hardswish(layer.norm(convolved)))


def test_without_the_heatmap_the_branches_read_the_low_features(images):
    model = network("heatmap_attention")
    features = model.features(images)
    landmarks, _ = model.landmark_branch(features)
    assert model.branch_input(images, features, landmarks) is features.low
    whole = network()
    whole.load_state_dict(model.state_dict())
    assert not torch.equal(whole(images).pose, model(images).pose)
    assert torch.equal(whole(images).landmarks, model(images).landmarks)


def test_a_network_of_its_own_learns_its_task_from_the_image(images):
    model = network("shared_backbone", "heatmap_attention")
    own = {name.removeprefix("pose_branch.own_low.") for name in names(model) if "pose_branch.own_low" in name}
    layers = {
        f"{i}.{name}" for i, part in enumerate(("stem", "low")) for name in getattr(model.backbone, part).state_dict()
    }
    assert own == layers  # the same layers as in the backbone
    before = model(images)
    for parameter in model.backbone.parameters():
        parameter.data.add_(0.1)
    after = model(images)
    assert not torch.equal(after.landmarks, before.landmarks)
    assert torch.equal(after.pose, before.pose)
    assert torch.equal(after.confidence, before.confidence)
    torch.nn.init.normal_(model.pose_branch.output.weight)
    model(images).pose.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.pose_branch.own_low.parameters())


@pytest.mark.parametrize("missing", [("low_features",), ("multiview",), ("coord_conv",), ABLATED_PARTS])
def test_networks_without_parts_are_stored_and_resized(missing):
    model = network(*missing)
    restored = ATPN.from_config(model.stored_config)
    restored.load_state_dict(model.state_dict())
    small = restored.resized(64)
    assert small(torch.rand(1, 3, 64, 64)).landmarks.shape == (1, 98, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low_features": False}, "set refinement_channels to 0"),
        ({"low_features": False, "refinement_channels": 0, "expressions": ("jawOpen",)}, "leave expressions out"),
        ({"shared_backbone": False}, "heatmap_attention weighs shared features"),
    ],
)
def test_parts_that_need_each_other_are_refused_alone(fields, message):
    with pytest.raises(ValueError, match=message):
        ATPNConfig(**fields)
