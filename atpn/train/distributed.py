"""Training in several processes, as torchrun starts them: each makes its share of every batch, from its own shards.

Not torch's DistributedDataParallel, which wraps one forward call: the stages call parts of the network, and frozen ones
besides. What has to be shared is little: gradients, batch norm's statistics, and when to stop.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """The processes that train together; alone, every method leaves things as they are."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and tells people."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each process' gradients by their mean over the team, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def take_weights(self, network: nn.Module) -> None:
        """Give every process the leader's parameters and buffers."""
        if self.size == 1:
            return
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, src=0)

    def agree(self, stopped: bool, seconds: float) -> tuple[bool, float]:
        """Whether any process was asked to stop, and the leader's seconds: all must end at the same step."""
        if self.size == 1:
            return stopped, seconds
        told: list[Any] = [None] * self.size
        dist.all_gather_object(told, (stopped, seconds))
        return any(each for each, _ in told), told[0][1]

    def sum(self, count: int) -> int:
        """The sum of every process' count."""
        return count if self.size == 1 else sum(self._told(count))

    def leaders(self, value: bool) -> bool:
        """The leader's value, in every process."""
        if self.size == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def check_same(self, value: int, error: str) -> None:
        """ValueError when the processes' values differ."""
        if self.size > 1 and len(set(told := self._told(value))) > 1:
            raise ValueError(f"{error} (the processes have {', '.join(map(str, told))})")

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def _told(self, value: int) -> list[int]:
        told: list[Any] = [None] * self.size
        dist.all_gather_object(told, value)
        return told


ALONE = Team()


@contextmanager
def joined_team(device: str) -> Iterator[Team]:
    """The team that torchrun's environment names, connected while the context is open; alone without torchrun.

    Processes with a GPU talk through NCCL, the others through gloo.
    """
    size = world_size()
    if size == 1:
        yield ALONE
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    # What lies in main memory, such as new weights, goes through gloo in any case.
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield Team(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class TeamNorm(nn.BatchNorm2d):
    """Batch norm over the whole team's batch: what one process with all of it would compute.

    torch's SyncBatchNorm is for GPUs alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of the same B in every process; in inference mode as ever."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalised(x.float()).to(x.dtype)

    def _normalised(self, x: Tensor) -> Tensor:
        y, mean, variance = _Normalize.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            count = x.numel() // x.shape[1] * dist.get_world_size()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        return y


class _Normalize(torch.autograd.Function):
    """Batch norm by the team's statistics, in as few passes over the batch as torch's own kernels allow.

    Each process' loss depends on every process' input, so the gradient's sums are the team's as well.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
        mean, square = _team_mean(torch.stack([mean, variance + mean.square()]))
        variance = (square - mean.square()).clamp_min(0)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        # As if the statistics were constants; the means' own gradients are affine in x, channel by channel.
        through, for_weight, for_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        count, scale = x.numel() // x.shape[1], torch.rsqrt(variance + ctx.eps)
        with_x, alone = _team_mean(torch.stack([for_weight, for_bias]) / count)
        slope = -weight * scale.square() * with_x
        offset = -weight * scale * alone - slope * mean
        through += torch.addcmul(offset[:, None, None], slope[:, None, None], x)
        return through, for_weight, for_bias, None


def _team_mean(values: Tensor) -> Tensor:
    dist.all_reduce(values)
    return values / dist.get_world_size()


def share_norms(network: nn.Module) -> None:
    """Let the network's batch norms see the whole team's batches; parameters, buffers and their names stay."""
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _team_norm(child))


def _team_norm(norm: nn.BatchNorm2d) -> TeamNorm:
    shared = TeamNorm(norm.num_features, norm.eps, norm.momentum)
    shared.weight, shared.bias = norm.weight, norm.bias
    shared.running_mean, shared.running_var = norm.running_mean, norm.running_var
    shared.num_batches_tracked = norm.num_batches_tracked
    return shared.train(norm.training)
