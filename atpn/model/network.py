"""Base class of all networks: parts that train or are frozen separately, and a variable input size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, ClassVar, Protocol, Self

from torch import nn


class NetworkConfig(Protocol):
    """A frozen dataclass; networks with equal configs can load each other's weights."""

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""


class Network(nn.Module, ABC):
    """A network for the training loop and checkpoints."""

    PARTS: ClassVar[tuple[str, ...]]
    """Names of the submodules that train or are frozen separately."""
    config: NetworkConfig

    def __init__(self) -> None:
        super().__init__()
        self.frozen: frozenset[str] = frozenset()

    @property
    def stored_config(self) -> dict[str, Any]:
        """The config's fields as plain values, as checkpoints store them; see `from_config`."""
        return asdict(self.config)

    @classmethod
    @abstractmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return an untrained network from its config's fields; TypeError or ValueError for unknown ones."""

    @abstractmethod
    def resized(self, size: int) -> Self:
        """Return a copy for another input size."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen parts, with their batch-norm statistics, stay in inference mode."""
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
