"""Rendered faces to measure on: a folder of held-out shards, or some made on the spot."""

from __future__ import annotations

import tempfile
from pathlib import Path

from atpn.data.store import SampleStore
from atpn.synthetic import cli
from atpn.synthetic.cli import RenderConfig

SEED = 20_001
"""Of people that no recipe of the project trains on."""


def rendered_store(data: Path | None, count: int, assets: Path | None) -> tuple[SampleStore, str]:
    """The shards of a folder or, without one, so many new pictures; and what they are, in words.

    Without `assets` a procedural head stands in. ValueError or OSError say what is missing.
    """
    if data is not None:
        return SampleStore.read(data), f"renders in {data.name}"
    with tempfile.TemporaryDirectory() as folder:
        config = RenderConfig(Path(folder), assets, count, SEED, "held-out")
        cli.run(config)
        origin = f"{count} pictures rendered on the spot, seed {SEED}"
        if assets is None:
            origin += ", of a procedural head that the shipped weights never saw: it compares files, not networks"
        return SampleStore.read(Path(folder)), origin
