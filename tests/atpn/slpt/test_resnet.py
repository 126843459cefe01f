"""ResNets against torchvision's parameter names and a written-out forward pass."""

import pytest
import torch
import torch.nn.functional as F

from atpn.slpt.resnet import ResNet, load_resnet

STAGES = tuple(enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), start=1))


def torchvision_shapes(kind):
    """Names and shapes of torchvision's resnet34 or resnet50, from its definition, without the classifier."""
    shapes, norms, inputs = {"conv1.weight": (64, 3, 7, 7)}, {"bn1": 64}, 64
    for number, (width, depth) in STAGES:
        outputs = width if kind == "resnet34" else 4 * width
        for index in range(depth):
            block = f"layer{number}.{index}"
            kernels = [(width, inputs, 3), (width, width, 3)]
            if kind == "resnet50":
                kernels = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            for place, (out, into, side) in enumerate(kernels, start=1):
                shapes[f"{block}.conv{place}.weight"] = (out, into, side, side)
                norms[f"{block}.bn{place}"] = out
            if index == 0 and (number > 1 or kind == "resnet50"):
                shapes[f"{block}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                norms[f"{block}.downsample.1"] = outputs
            inputs = outputs
    for name, channels in norms.items():
        shapes |= {f"{name}.{key}": (channels,) for key in ("weight", "bias", "running_mean", "running_var")}
        shapes[f"{name}.num_batches_tracked"] = ()
    return shapes


def random_state(kind):
    torch.manual_seed(0)
    state = {}
    for name, shape in torchvision_shapes(kind).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1)
        elif name.endswith("running_var"):
            state[name] = torch.rand(shape) + 0.5
        else:
            spread = 0.3 if len(shape) == 1 else (2 / torch.tensor(shape[1:]).prod()) ** 0.5
            state[name] = torch.randn(shape) * spread
    return state


def reference(state, image, kind):
    """Maps of the four stages by the published network, written out on torchvision's tensors."""

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(x, name):
        return F.batch_norm(x, *(state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))

    x = F.max_pool2d(F.relu(norm(conv(image, "conv1", 2), "bn1")), 3, 2, 1)
    maps = []
    for number, (_, depth) in STAGES:
        for index in range(depth):
            block, stride = f"layer{number}.{index}", 2 if index == 0 and number > 1 else 1
            shortcut = x
            if f"{block}.downsample.0.weight" in state:
                shortcut = norm(conv(x, f"{block}.downsample.0", stride), f"{block}.downsample.1")
            strides = (stride, 1) if kind == "resnet34" else (1, stride, 1)
            for place, own in enumerate(strides, start=1):
                x = norm(conv(x, f"{block}.conv{place}", own), f"{block}.bn{place}")
                x = F.relu(x) if place < len(strides) else F.relu(x + shortcut)
        maps.append(x)
    return maps


@pytest.mark.parametrize("kind", ["resnet34", "resnet50"])
def test_a_file_s_network_is_the_published_one(kind, tmp_path):
    state = random_state(kind)
    torch.save(state | {"fc.weight": torch.zeros(10, 8), "fc.bias": torch.zeros(10)}, tmp_path / "resnet.pth")
    network = ResNet(kind).eval()
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == torchvision_shapes(kind)
    load_resnet(network, tmp_path / "resnet.pth")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found, expected = network(image), reference(state, image, kind)
    for level, wanted, channels, side in zip(found, expected, network.channels, (16, 8, 4, 2), strict=True):
        assert level.shape == (1, channels, side, side)
        torch.testing.assert_close(level, wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, "no ResNet weights file"),
        (lambda path: path.write_bytes(b"nothing"), "is not a PyTorch state dict"),
        (lambda path: torch.save([1], path), "holds a list"),
        (lambda path: torch.save({"conv1.weight": torch.zeros(64, 3, 3, 3)}, path), "216 of 216 tensors"),
    ],
)
def test_what_does_not_fit_is_named(make, match, tmp_path):
    path = tmp_path / "resnet.pth"
    make(path)
    with pytest.raises((FileNotFoundError, ValueError), match=match):
        load_resnet(ResNet("resnet34"), path)
