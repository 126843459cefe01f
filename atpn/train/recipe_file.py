"""`python -m atpn recipe FILE`: stages with data and options of their own, written down in a TOML file.

Each table is a stage, trained in the order of the file; its entries are the options of `python -m atpn train`, with
underscores. What stands before the tables holds for every stage. Paths are relative to the working directory.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from atpn.train import cli
from atpn.train.config import Bfloat16, TrainConfig


@dataclass(frozen=True)
class RecipeFileConfig:
    """Train the stages of a recipe file (`atpn/train/recipes/`). The same command again continues."""

    file: Annotated[Path, tyro.conf.Positional]
    """TOML: a table for each stage with options of `python -m atpn train`."""
    out: Path
    """Folder of the run."""
    threads: int = 1
    workers: int = 1
    device: str = "auto"
    bfloat16: Bfloat16 = "auto"
    """These four as for `train`; the file may have its own."""


def run(config: RecipeFileConfig) -> None:
    """Train all stages; what any of them cannot do is said before the first begins."""
    stages = read_recipe(config)
    for stage in stages:
        cli.check(stage)
    for stage in stages:
        cli.run(stage)


def read_recipe(config: RecipeFileConfig) -> list[TrainConfig]:
    """The file's stages; ValueError or FileNotFoundError tells what is wrong with it."""
    if not config.file.is_file():
        raise FileNotFoundError(f"no recipe file {config.file}; atpn/train/recipes/ holds some")
    try:
        content = tomllib.loads(config.file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{config.file} is not TOML: {error}") from error
    machine = {name: getattr(config, name) for name in ("threads", "workers", "device", "bfloat16")}
    common = machine | {key: value for key, value in content.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    if not tables:
        raise ValueError(f"{config.file} names no stage; it needs a table such as [landmarks]")
    return [_stage(config, name, common | table) for name, table in tables.items()]


def _stage(config: RecipeFileConfig, name: str, options: dict[str, Any]) -> TrainConfig:
    """A stage's options, read as the command line would be."""
    # Checked here, since tyro would remember an unknown option and blame the next command line for it.
    known = {field.name for field in fields(TrainConfig)} - {"stage", "out"}
    if unknown := sorted({key.replace("-", "_") for key in options} - known):
        raise ValueError(f"{config.file}: [{name}] has no option {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    arguments = [name, "--out", str(config.out)]
    for key, value in options.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            arguments += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
    try:
        return tyro.cli(TrainConfig, args=arguments, prog=f"{config.file} [{name}]")
    except SystemExit as error:
        raise ValueError(f"{config.file}: the options of [{name}] are not those of `python -m atpn train`") from error
