"""Optimizer, learning-rate schedule, weight averaging, and a loop for short runs without checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from atpn.model import Network
from atpn.train.config import Recipe
from atpn.train.muon import Muon, is_matrix

log = logging.getLogger(__name__)

LOG_STEPS = 500


def make_optimizer(model: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over the parameters that train."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(trained, recipe.lr, betas=(0.9, 0.999), weight_decay=recipe.weight_decay, fused=True)
    muon = recipe.optimizer == "muon"
    matrices = [p for p in trained if muon and is_matrix(p)]
    decayed = [p for p in trained if p.ndim > 1 and not (muon and is_matrix(p))]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        {"params": matrices, "weight_decay": recipe.weight_decay, "orthogonal": True},
    ]
    kind = Muon if muon else torch.optim.AdamW
    return kind([g for g in groups if g["params"]], recipe.lr, betas=(0.9, 0.999), fused=True)


def learning_rate(recipe: Recipe, fraction: float, step: int, epoch: int = 0) -> float:
    """Return the rate at a fraction of the run, a step (for the warmup), and an epoch (for the step schedule)."""
    if recipe.schedule == "step":
        decays = sum(epoch >= at for at in recipe.decay_at) if recipe.decay_at else epoch // recipe.decay_epochs
        rate = recipe.lr * recipe.decay_factor**decays
    else:
        left = min(1.0, (1.0 - min(fraction, 1.0)) / recipe.cooldown_fraction) if recipe.cooldown_fraction else 1.0
        rate = recipe.lr * 0.5 * (1 - math.cos(math.pi * left))
    return rate * min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else rate


def apply_step(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[Tensor],
    loss: Tensor,
    rate: float,
    gradient_clip: float | None = None,
    reduce_gradients: Callable[[list[Tensor]], None] | None = None,
) -> None:
    """Take one optimizer step along the loss's gradient; `reduce_gradients` combines those of several processes."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    trained = [p for p in parameters if p.grad is not None]
    if reduce_gradients is not None:
        reduce_gradients(trained)
    if gradient_clip:
        nn.utils.clip_grad_norm_(trained, gradient_clip)
    optimizer.step()


def minimize(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[Tensor],
    loss: Callable[[], Tensor],
    recipe: Recipe,
    steps: int,
    name: str,
) -> None:
    """Take a fixed number of steps under the recipe's schedule; `loss` draws its own batches."""
    parameters, losses = list(parameters), []
    with tqdm(range(steps), desc=name, unit="step", disable=None) as bar:
        for step in bar:
            value = loss()
            apply_step(optimizer, parameters, value, learning_rate(recipe, step / steps, step), recipe.gradient_clip)
            losses.append(float(value.detach()))
            if (step + 1) % LOG_STEPS == 0:
                mean = float(np.mean(losses[-LOG_STEPS:]))
                bar.set_postfix(loss=f"{mean:.3f}")
                log.info("%s: step %d of %d, loss %.3f", name, step + 1, steps, mean)


@torch.no_grad()
def update_ema(ema_model: Network, model: Network, decay: float, step: int) -> None:
    """Move the averaged weights and statistics towards the model's.

    The decay grows from a tenth: a constant one would keep a part of the untrained network for a thousand steps.
    """
    decay = min(decay, (1 + step) / (10 + step))
    targets, sources = [], []
    for part in set(model.PARTS) - model.frozen:
        for kept, new in zip(
            getattr(ema_model, part).state_dict().values(), getattr(model, part).state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                targets.append(kept)
                sources.append(new)
            else:
                kept.copy_(new)
    torch._foreach_lerp_(targets, sources, 1 - decay)


def freeze_batch_norm(model: Network) -> None:
    """Make batch norms use their running statistics and keep them."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
