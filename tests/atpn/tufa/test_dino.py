import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atpn.model.imagenet import IMAGENET_MEAN, IMAGENET_STD
from atpn.tufa.config import TUFAConfig
from atpn.tufa.dino import load_dino
from atpn.tufa.network import new_tufa

DIM, HEADS, DEPTH, PATCH, GRID = 32, 2, 2, 8, 4


def config(**changes):
    options = {"input_size": 32, "patch": PATCH, "dim": DIM, "depth": DEPTH, "heads": HEADS, "decoder_depth": 1}
    return TUFAConfig("patches", **(options | changes))


@pytest.fixture
def state():
    """A ViT's weights under DINO's names."""
    torch.manual_seed(1)
    sizes = {"norm1": (DIM,), "norm2": (DIM,), "attn.qkv": (3 * DIM, DIM), "attn.proj": (DIM, DIM)}
    sizes |= {"mlp.fc1": (4 * DIM, DIM), "mlp.fc2": (DIM, 4 * DIM)}
    state = {"cls_token": torch.randn(1, 1, DIM), "pos_embed": torch.randn(1, 1 + GRID**2, DIM)}
    state |= {
        "patch_embed.proj.weight": torch.randn(DIM, 3, PATCH, PATCH) / 14,
        "patch_embed.proj.bias": torch.randn(DIM),
    }
    for i in range(DEPTH):
        for name, size in sizes.items():
            state[f"blocks.{i}.{name}.weight"] = torch.randn(size) / size[-1] ** 0.5
            state[f"blocks.{i}.{name}.bias"] = torch.randn(size[0]) * 0.1
    return state | {"norm.weight": torch.rand(DIM) + 0.5, "norm.bias": torch.randn(DIM)}


def vit(state, image):
    """The ViT as published (Dosovitskiy et al., 2021), without its class token, written out."""
    image = (image / 255 - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[:, None, None]
    x = F.conv2d(image, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    x = x.flatten(2).transpose(1, 2) + state["pos_embed"][:, 1:]

    def norm(x, name):
        return F.layer_norm(x, (DIM,), state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    for i in range(DEPTH):
        b = f"blocks.{i}"
        q, k, v = (
            linear(norm(x, f"{b}.norm1"), f"{b}.attn.qkv")
            .unflatten(-1, (3, HEADS, DIM // HEADS))
            .permute(2, 0, 3, 1, 4)
        )
        weights = torch.softmax(q @ k.transpose(-1, -2) / (DIM // HEADS) ** 0.5, dim=-1)
        x = x + linear((weights @ v).transpose(1, 2).flatten(2), f"{b}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{b}.norm2"), f"{b}.mlp.fc1")), f"{b}.mlp.fc2")
    return norm(x, "norm")


def test_the_encoder_becomes_the_vit(state, tmp_path):
    torch.save(state, tmp_path / "dino.pth")
    model = new_tufa(config(), {}, seed=0).eval()
    load_dino(model, tmp_path / "dino.pth")
    image = torch.randint(0, 256, (2, 3, 32, 32)).float()
    with torch.no_grad():
        torch.testing.assert_close(model.image_feature(image), vit(state, image), atol=1e-4, rtol=1e-4)


def test_positions_move_to_another_grid(state, tmp_path):
    torch.save(state, tmp_path / "dino.pth")
    model = new_tufa(config(input_size=64), {}, seed=0)
    load_dino(model, tmp_path / "dino.pth")
    assert model.encoder.position.shape == (64, DIM)
    learned = state["pos_embed"][0, 1:].T.reshape(1, DIM, GRID, GRID)
    expected = F.interpolate(learned, size=(8, 8), mode="bicubic", align_corners=False).flatten(2)[0].T
    torch.testing.assert_close(model.encoder.position.detach(), expected)


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (lambda path, state: None, "no DINO weights file"),
        (lambda path, state: path.write_bytes(b"nothing"), "is not a PyTorch state dict"),
        (lambda path, state: torch.save([1], path), "holds a list"),
        (lambda path, state: torch.save(nn.Linear(2, 2).state_dict(), path), "28 of 28 tensors"),
        (lambda path, state: torch.save({k: v for k, v in state.items() if k != "pos_embed"}, path), "position"),
    ],
)
def test_what_does_not_fit_is_named(made, match, state, tmp_path):
    made(tmp_path / "dino.pth", state)
    with pytest.raises((FileNotFoundError, ValueError), match=match):
        load_dino(new_tufa(config(), {}, seed=0), tmp_path / "dino.pth")


def test_features_take_no_dino(tmp_path):
    model = new_tufa(TUFAConfig(input_size=32, dim=32, depth=1, heads=2, decoder_depth=1), {}, seed=0)
    with pytest.raises(ValueError, match="use --size vit-s16 or vit-s8"):
        load_dino(model, tmp_path / "dino.pth")
