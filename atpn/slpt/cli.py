"""`python -m atpn slpt COMMAND`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from atpn.slpt.train import TrainSLPTConfig, train

COMMANDS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "train": (TrainSLPTConfig, train),
}
"""By name: the dataclass of its options, and the function that takes it."""

Config = Union[tuple(Annotated[config, tyro.conf.subcommand(name)] for name, (config, _) in COMMANDS.items())]  # noqa: UP007


def run(config: Any) -> None:
    """Run the command of these options."""
    next(command for kind, command in COMMANDS.values() if type(config) is kind)(config)
