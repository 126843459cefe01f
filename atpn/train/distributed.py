"""Training in several processes started by torchrun: each makes its part of every batch from its own shards.

torch's DistributedDataParallel wraps one forward call, but stages call parts of the network, some of them frozen. Only
gradients, batch-norm statistics, and the decision to stop are shared.
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
class DistributedContext:
    """The processes that train together; with one process, every method returns its input."""

    rank: int = 0
    size: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each process's gradients by their mean over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def broadcast_weights(self, network: nn.Module) -> None:
        """Copy the main process's parameters and buffers to every process."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, src=0)

    def reduce_stop(self, stopped: bool, seconds: float) -> tuple[bool, float]:
        """Return whether any process should stop, and the main process's seconds: all must end at the same step."""
        values = self._gather((stopped, seconds))
        return any(each for each, _ in values), values[0][1]

    def sum(self, count: int) -> int:
        """Return the sum of all processes' counts."""
        return sum(self._gather(count))

    def broadcast(self, value: bool) -> bool:
        """Return the main process's value in every process."""
        return self._gather(value)[0]

    def check_same(self, value: int, error: str) -> None:
        """Raise ValueError when the processes' values differ."""
        if len(set(values := self._gather(value))) > 1:
            raise ValueError(f"{error} (the processes have {', '.join(map(str, values))})")

    def barrier(self) -> None:
        """Wait for every process."""
        if self.size > 1:
            dist.barrier()

    def _gather(self, value: Any) -> list[Any]:
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values


SINGLE_PROCESS = DistributedContext()


@contextmanager
def distributed_context(device: str) -> Iterator[DistributedContext]:
    """Connect the processes of torchrun while the context is open, with a GPU by NCCL, else by gloo."""
    size = world_size()
    if size == 1:
        yield SINGLE_PROCESS
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    # Tensors in main memory, such as new weights, go through gloo in any case.
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield DistributedContext(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Return the number of processes of torchrun; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batch of all processes. torch's SyncBatchNorm supports GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W) of the same B in every process; in inference mode by the running statistics."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalized(x.float()).to(x.dtype)

    def _normalized(self, x: Tensor) -> Tensor:
        y, mean, variance = _Normalize.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            count = x.numel() // x.shape[1] * dist.get_world_size()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        return y


class _Normalize(torch.autograd.Function):
    """Batch norm by the statistics of all processes, in as few passes over the batch as torch's kernels allow.

    Each process's loss depends on every process's input, so the gradient's sums span all processes as well.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
        mean, square = _all_reduce_mean(torch.stack([mean, variance + mean.square()]))
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
        with_x, alone = _all_reduce_mean(torch.stack([for_weight, for_bias]) / count)
        slope = -weight * scale.square() * with_x
        offset = -weight * scale * alone - slope * mean
        through += torch.addcmul(offset[:, None, None], slope[:, None, None], x)
        return through, for_weight, for_bias, None


def _all_reduce_mean(values: Tensor) -> Tensor:
    dist.all_reduce(values)
    return values / dist.get_world_size()


def convert_sync_batch_norm(network: nn.Module) -> None:
    """Replace batch norms in place by `SyncBatchNorm`; parameters, buffers, and their names stay."""
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = SyncBatchNorm(child.num_features, child.eps, child.momentum)
                shared.__dict__.update(child.__dict__)
                setattr(module, name, shared)
