"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from atpn.model.atpn import ATPN
from atpn.model.refinement import Refinement


@dataclass(frozen=True)
class Complexity:
    """Cost of one part of the network for one crop."""

    parameters: int
    macs: int
    """Multiply-accumulates of convolutions, deconvolutions, matrix products and the refinement's sampling; other
    elementwise work is not counted."""


@torch.no_grad()
def complexity(model: ATPN) -> dict[str, Complexity]:
    """Return the cost of each part (see `PARTS`) for one crop of the config's input size."""
    training, size = model.training, model.config.input_size
    device = next(model.parameters()).device
    image = torch.zeros(1, 3, size, size, device=device)
    try:
        with FlopCounterMode(display=False) as counter:
            model.eval()(image)
        flops = counter.get_flop_counts()
        if isinstance(model, ATPN):
            flops |= _separate_parts(model, image)
    finally:
        model.train(training)
    costs = {}
    for name, part in model.named_children():
        macs = sum(flops.get(f"{type(model).__name__}.{name}", {}).values()) // 2
        macs += sum(m.elementwise_macs(size // 4) for m in part.modules() if isinstance(m, Refinement))
        costs[name] = Complexity(sum(p.numel() for p in part.parameters()), macs)
    return costs


def _separate_parts(model: ATPN, image: Tensor) -> dict[str, dict[Any, int]]:
    """Count the parts that `forward` calls step by step, or leaves out."""
    with FlopCounterMode(display=False) as counter:
        model.landmark_branch(model.features(image))
        if model.expression_branch is not None:
            model.expressions(image)
    counts = counter.get_flop_counts()
    names = ("landmark_branch", "expression_branch")
    return {f"ATPN.{name}": counts.get(type(getattr(model, name)).__name__, {}) for name in names}


if __name__ == "__main__":
    from atpn.model.config import ATPNConfig
    from edge_runtime.expressions import EXPRESSIONS

    config = ATPNConfig(expressions=EXPRESSIONS)
    for name, cost in complexity(ATPN(config, torch.zeros(config.landmark_count, 2))).items():
        print(f"{name:16s} {cost.parameters / 1e6:6.3f} M parameters {cost.macs / 1e6:6.2f} MMAC")
