"""`python -m atpn tufa pack`: store a checkpoint in half precision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from atpn.model import check_suffix, load_network, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.tufa.network import TUFA
from edge_runtime.output_paths import OutputCheckpoint


@dataclass(frozen=True)
class PackConfig:
    """Store a TUFA's weights in half precision, half the size; inference stays in single precision."""

    weights: Path
    """Checkpoint of `python -m atpn tufa train`."""
    out: OutputCheckpoint
    """Checkpoint to write, .safetensors."""

    def __post_init__(self) -> None:
        check_suffix(self.out)


def pack(config: PackConfig) -> None:
    """Write the checkpoint; ValueError for weights beyond half precision's range."""
    model, metadata = load_network(config.weights, TUFA)
    packed = model.half()
    if not all(torch.isfinite(value).all() for value in packed.state_dict().values() if value.is_floating_point()):
        raise ValueError(f"{config.weights} has weights beyond half precision's range; use it as it is")
    save_checkpoint(config.out, packed, {**metadata, "packed_from": weights_sha256(config.weights, TUFA)})
    print(f"{config.out}: {config.out.stat().st_size / 2**20:.1f} MiB")
