"""Parameters and multiply-accumulates, counted the same way everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from atpn.model.atpn import ATPN
from atpn.model.layers import GlobalDepthwise
from atpn.model.refinement import Refinement


@dataclass(frozen=True)
class Complexity:
    """Cost of one part of the network for one crop."""

    parameters: int
    macs: int
    """Multiply-accumulates of convolutions, deconvolutions, linear layers and the refinement's sampling; elementwise
    work is not counted."""


@torch.no_grad()
def complexity(model: ATPN) -> dict[str, Complexity]:
    """Cost of each part of the network (names as in PARTS) for one crop of the config's input size."""
    macs: dict[nn.Module, int] = {}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        macs[module] = _macs(module, inputs[0], output)

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, _COUNTED)]
    training = model.training
    try:
        size = model.config.input_size
        device = next(model.parameters()).device
        model.eval()(torch.zeros(1, 3, size, size, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return {
        name: Complexity(
            parameters=sum(p.numel() for p in part.parameters()),
            macs=sum(macs.get(module, 0) for module in part.modules()),
        )
        for name, part in model.named_children()
    }


_COUNTED: tuple[type[Any], ...] = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, GlobalDepthwise, Refinement)


def _macs(module: nn.Module, given: Tensor, output: Tensor | tuple[Tensor, ...]) -> int:
    if isinstance(module, Refinement):
        return module.sampling_macs(given.shape[-1])
    assert isinstance(output, Tensor)
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, nn.Conv2d):
        return weight.numel() * output.shape[2] * output.shape[3]
    if isinstance(module, nn.ConvTranspose2d):
        return weight.numel() * given.shape[2] * given.shape[3]
    return weight.numel()


if __name__ == "__main__":
    from atpn.model.config import ATPNConfig

    config = ATPNConfig()
    for name, cost in complexity(ATPN(config, torch.zeros(config.landmark_count, 2))).items():
        print(f"{name:16s} {cost.parameters / 1e6:6.3f} M parameters {cost.macs / 1e6:6.2f} MMAC")
