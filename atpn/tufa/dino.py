"""DINO's ImageNet weights for the published sizes' encoder, from the user's file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from atpn.model.imagenet import IMAGENET_MEAN, IMAGENET_STD, read_state_dict
from atpn.tufa.encoder import Pixels, resampled_position
from atpn.tufa.network import TUFA

_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "linear1",
    "mlp.fc2": "linear2",
}


def load_dino(model: TUFA, path: Path) -> None:
    """Copy a ViT's weights (Caron et al., 2021; state dict of the backbone, `dino_deitsmall*_pretrain.pth`).

    The class token and its position are omitted: the published image feature has one token per patch (L × C). Positions
    are resampled to the model's grid. FileNotFoundError if there is no such file; ValueError if the file is not a state
    dict, or does not fit the encoder.
    """
    if not isinstance(model.features, Pixels):
        raise ValueError("DINO's weights are for tokens that are patches; use --size vit-s16 or vit-s8")
    source = read_state_dict(path, "DINO")
    if "patch_embed.proj.weight" in source:  # a convolution over patches there, over their pixels here
        source = source | {"patch_embed.proj.weight": source["patch_embed.proj.weight"].flatten(1)[..., None, None]}
    expected = {k: v for k, v in model.encoder.state_dict().items() if k != "position"}
    named = {ours: source.get(theirs) for theirs, ours in _names(len(model.encoder.blocks)).items()}
    missing = [name for name in expected if named.get(name) is None or named[name].shape != expected[name].shape]
    position = source.get("pos_embed")
    if missing or position is None or position.shape[-1] != model.config.dim:
        raise ValueError(
            f"{path} does not fit this encoder ({model.config.depth} blocks of {model.config.dim}, patches of "
            f"{model.config.patch} px): {len(missing)} of {len(expected)} tensors are missing or have another shape, "
            f"such as {(missing or ['position'])[0]}"
        )
    patches: Tensor = position[0, 1:]  # the first is the class token's
    with torch.no_grad():
        model.image_mean.copy_(255 * torch.tensor(IMAGENET_MEAN)[:, None, None])
        model.image_std.copy_(255 * torch.tensor(IMAGENET_STD)[:, None, None])
        model.encoder.load_state_dict({**named, "position": resampled_position(patches, model.config.grid)})


def _names(depth: int) -> dict[str, str]:
    """Map DINO's tensor names to ours."""
    modules = {"patch_embed.proj": "proj", "norm": "norm"}
    modules |= {f"blocks.{i}.{a}": f"blocks.{i}.{b}" for i in range(depth) for a, b in _BLOCK.items()}
    names = {f"{a}.{kind}": f"{b}.{kind}" for a, b in modules.items() for kind in ("weight", "bias")}
    for i in range(depth):  # one matrix for query, key and value, in this order, in both
        names |= {f"blocks.{i}.attn.qkv.{k}": f"blocks.{i}.self_attn.in_proj_{k}" for k in ("weight", "bias")}
    return names
