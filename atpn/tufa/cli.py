"""`python -m atpn tufa COMMAND`."""

from __future__ import annotations

from atpn.tufa.train import TrainTUFAConfig, train

Config = TrainTUFAConfig


def run(config: Config) -> None:
    """Do what the command says."""
    train(config)
