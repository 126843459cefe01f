"""`python -m atpn datasets COMMAND`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, subcommand

from atpn.data.census import decoded, describe, take_census
from atpn.data.contact_sheet import COLUMNS, write_contact_sheet
from atpn.data.converting import Conversion, Cutting
from atpn.data.readers.registry import DATASETS, UNSPLIT, Dataset, Found, find

SHEET_FACES = COLUMNS * COLUMNS


@dataclass(frozen=True)
class ListConfig:
    """The datasets that can be read; of one, its layout, conventions and traps."""

    name: Positional[str] = ""
    """One of them; without it, a table of all."""


@dataclass(frozen=True)
class CheckConfig:
    """Recognise what lies in a folder, count it against the official numbers, name what is missing or broken."""

    path: Positional[Path]
    """The folder into which a dataset was unpacked, or the one above or below it."""
    dataset: str | None = None
    """Take it for this one; otherwise its files tell."""
    sheet: Path | None = None
    """Picture file for 25 faces, by chance, with their labels drawn on them."""
    seed: int = 0
    """Another seed draws other faces."""
    deep: bool = False
    """Decode every picture too, which takes long."""


@dataclass(frozen=True)
class ConvertConfig:
    """Write a dataset's faces into shards for `train` and `evaluate`; the same command continues after a stop."""

    path: Positional[Path]
    """The folder into which the dataset was unpacked."""
    out: Path
    """Folder; each split comes into a folder of its own in it, as SPLIT or SPLIT-SUBSET."""
    dataset: str | None = None
    """Take it for this one; otherwise its files tell."""
    split: str | None = None
    """Only this one, as `datasets check` names them; all of them if not given."""
    subset: str | None = None
    """Of the split only this part, as `datasets check` names them."""
    every: int = 1
    """Take every n-th sample: neighbouring frames of a video hardly differ."""
    partial: bool = False
    """Pass over what is missing or broken instead of stopping there."""
    shard_size: int = 600
    """Samples per shard; a stop loses at most one unfinished shard."""
    cutting: OmitArgPrefixes[Cutting] = field(default_factory=Cutting)

    def __post_init__(self) -> None:
        if self.every < 1 or self.shard_size < 1:
            raise ValueError(f"--every and --shard-size must be at least 1, got {self.every} and {self.shard_size}")


Config = (
    Annotated[ListConfig, subcommand("list")]
    | Annotated[CheckConfig, subcommand("check")]
    | Annotated[ConvertConfig, subcommand("convert")]
)


def run(config: ListConfig | CheckConfig | ConvertConfig) -> None:
    """Do what the command says; OSError or ValueError say what is wrong with what was given."""
    match config:
        case ListConfig():
            print(_details(config.name) if config.name else _table())
        case CheckConfig():
            check(config)
        case ConvertConfig():
            convert(config)


def check(config: CheckConfig) -> None:
    """Print a census of everything known that lies there; ValueError (once all is printed) when not all is well."""
    incomplete = []
    everything = find(config.path, config.dataset)
    for found in everything:
        census = take_census(found, SHEET_FACES if config.sheet else 0, config.seed, config.deep)
        print(describe(census))
        if not census.complete:
            incomplete.append(found.dataset.name)
        if config.sheet and census.chosen:
            alone = len(everything) == 1
            sheet = config.sheet if alone else config.sheet.with_stem(f"{config.sheet.stem}-{found.dataset.name}")
            write_contact_sheet(sheet, list(decoded(census.chosen)))
            print(f"  {sheet}: some of its faces")
    if incomplete:
        raise ValueError(f"not all is there or whole: {', '.join(incomplete)}")


def convert(config: ConvertConfig) -> None:
    """Write the shards of the splits asked for, and print what came of it."""
    everything = find(config.path, config.dataset)
    if len(everything) > 1:
        names = ", ".join(f"{found.dataset.name} in {found.root}" for found in everything)
        raise ValueError(f"several datasets there: {names}; give one's folder, or --dataset NAME")
    (found,) = everything
    there = list(dict.fromkeys(sample.split for sample in found.dataset.read(found.root, lambda _: None)))
    if config.split is not None:
        _admit(config, found, there)
    for split in [config.split] if config.split else there:
        folder = config.out / (f"{split}-{config.subset}" if config.subset else split)
        conversion = Conversion(found, split, config.subset, config.every, config.partial, config.cutting)
        conversion.write(folder, config.shard_size)
        notes = [f"{conversion.faces} faces", f"{conversion.backgrounds} pictures without"]
        notes += [f"{conversion.small} left out as too small"] if conversion.small else []
        notes += [f"{conversion.skipped} missing or broken"] if conversion.skipped else []
        print(f"{folder}: {', '.join(notes)}")
        if not conversion.faces + conversion.backgrounds:
            subset = f" with subset {config.subset}" if config.subset else ""
            raise ValueError(f"no sample of split {split}{subset} in {found.root}")


def _admit(config: ConvertConfig, found: Found, there: list[str]) -> None:
    """ValueError for a split that is not there, or of which nobody can tell how much is there."""
    if config.split not in there:
        raise ValueError(f"no split {config.split} in {found.root}; there are: {', '.join(there) or 'none'}")
    if UNSPLIT in there and config.split != UNSPLIT and not config.partial:
        raise ValueError(
            f"some samples in {found.root} may belong to split {config.split}: another file would tell, and is not "
            f"there; `python -m atpn datasets list {found.dataset.name}` says which. Without them: --partial"
        )


def _table() -> str:
    rows = [("name", "what", "official", "terms")]
    rows += [(dataset.name, dataset.what, _official(dataset), dataset.terms) for dataset in DATASETS.values()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows]
    return "\n".join([*lines, "", "`python -m atpn datasets list NAME`: layout, conventions, traps, where to get it"])


def _details(name: str) -> str:
    if name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    facts = {
        "recognised by": dataset.files,
        "official": _official(dataset),
        "where": dataset.where,
        "terms": dataset.terms,
    }
    return "\n".join([dataset.description, "", *(f"{key + ':':15}{value}" for key, value in facts.items())])


def _official(dataset: Dataset) -> str:
    counts = " ".join(f"{split} {count}" for split, count in dataset.official.items())
    return f"{counts} {dataset.unit}" if counts else ""
