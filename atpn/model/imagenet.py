"""Backbones' ImageNet weights, from the user's file."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""RGB normalization of the weights that others trained."""


def read_state_dict(path: Path, kind: str) -> dict[str, Tensor]:
    """Read a PyTorch file of a backbone's tensors by name; `kind` names the weights in errors.

    FileNotFoundError if there is no such file; ValueError if it is not a state dict.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {kind} weights file {path}")
    try:
        source = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} is not a PyTorch state dict ({error}); give the backbone's file, not the full one"
        ) from None
    if not isinstance(source, dict):
        raise ValueError(f"{path} holds a {type(source).__name__}, expected a state dict of the backbone")
    return source
