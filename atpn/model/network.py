"""What every network here has in common: parts that train or rest separately, and an input size that may change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, Self

from torch import nn


class NetworkConfig(Protocol):
    """A frozen dataclass; two networks with equal configs take each other's weights."""

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""


class Network(nn.Module, ABC):
    """A network that the training loop can train and checkpoints can hold."""

    PARTS: ClassVar[tuple[str, ...]]
    """Names of the submodules that train or rest separately."""
    config: NetworkConfig

    def __init__(self) -> None:
        super().__init__()
        self.frozen: frozenset[str] = frozenset()

    @classmethod
    @abstractmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An untrained network from its config's fields; TypeError or ValueError for those of another one."""

    @abstractmethod
    def resized(self, size: int) -> Self:
        """A copy for another input size, so that training can begin small."""

    def train(self, mode: bool = True) -> Self:
        """As in torch, except that frozen parts stay in inference mode: their batch-norm statistics rest too."""
        super().train(mode)
        for part in self.frozen:
            getattr(self, part).eval()
        return self


def freeze(network: Network, parts: Iterable[str]) -> None:
    """Freeze exactly these parts (see `PARTS`): no gradients, no new batch-norm statistics; the others train."""
    frozen = frozenset(parts)
    if unknown := frozen - set(network.PARTS):
        raise ValueError(f"unknown parts {sorted(unknown)}; the network's parts are {', '.join(network.PARTS)}")
    network.frozen = frozen
    for part in network.PARTS:
        getattr(network, part).requires_grad_(part not in frozen)
    network.train(network.training)
