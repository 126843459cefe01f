"""`python -m atpn recipe FILE`: train stages with data and options of their own, from a TOML file.

Each table is a stage, trained in the order of the file; its entries are the options of `python -m atpn train`, with
underscores. Entries before the tables are for every stage. Paths are relative to the working directory.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from atpn.train import cli
from atpn.train.config import MachineOptions, TrainConfig
from edge_runtime.output_paths import OutputFolder, check_config
from edge_runtime.reading import quote, read_text


@dataclass(frozen=True)
class RecipeFileConfig(MachineOptions):
    """Train the stages of a recipe file (`atpn/train/recipes/`). The same command again resumes.

    The file may have its own threads, workers, device, and bfloat16.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """TOML: a table for each stage with options of `python -m atpn train`."""
    out: OutputFolder
    """Folder of the run."""


def run(config: RecipeFileConfig) -> None:
    """Check the options of all stages, then train them."""
    stages = read_recipe(config)
    for stage in stages:
        check_config(stage)
        cli.check(stage)
    for stage in stages:
        cli.run(stage)


def read_recipe(config: RecipeFileConfig) -> list[TrainConfig]:
    """Read the file's stages.

    FileNotFoundError if there is no such file; ValueError if it is not TOML, has no stage, or an option is wrong.
    """
    if not config.file.exists():
        raise FileNotFoundError(f"no recipe file {config.file}; see atpn/train/recipes/ for examples")
    text = read_text(config.file)
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(f"{config.file} is nested too deeply; see atpn/train/recipes/ for examples") from error
    except ValueError as error:  # also for a number of thousands of digits
        raise ValueError(f"{config.file} is not TOML: {quote(error)}") from error
    machine = {name: getattr(config, name) for name in ("threads", "workers", "device", "bfloat16")}
    common = machine | {key: value for key, value in content.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    if not tables:
        raise ValueError(f"{config.file} has no stage; add a table such as [landmarks]")
    return [_stage(config, name, common | table) for name, table in tables.items()]


def _stage(config: RecipeFileConfig, name: str, options: dict[str, Any]) -> TrainConfig:
    """Read a stage's options like a command line."""
    # Checked here: tyro would keep an unknown option and report it for the next command line.
    known = {field.name for field in fields(TrainConfig)} - {"stage", "out"}
    if unknown := sorted({key.replace("-", "_") for key in options} - known):
        raise ValueError(
            f"{config.file}: [{name}] has no option {quote(repr(unknown[0]))}; known: {', '.join(sorted(known))}"
        )
    arguments = [name, "--out", str(config.out)]
    for key, value in options.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            arguments += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
    try:
        return tyro.cli(TrainConfig, args=arguments, prog=f"{config.file} [{name}]")
    except ValueError as error:
        raise ValueError(f"{config.file} [{name}]: {error}") from error
    except SystemExit as error:
        raise ValueError(f"{config.file}: wrong options in [{name}]; see `python -m atpn train --help`") from error
