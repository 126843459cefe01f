"""`python -m atpn datasets COMMAND`: list, check and convert published datasets."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, subcommand

from atpn.data.contact_sheet import COLUMNS, write_contact_sheet
from atpn.data.converting import Conversion, CutoutConfig
from atpn.data.inspection import decode_samples, describe, inspect_dataset
from atpn.data.readers.issues import Issue, Severity
from atpn.data.readers.label_samples import LabelOptions
from atpn.data.readers.registry import DATASETS, UNSPLIT, Dataset, DatasetFolder, find_datasets
from edge_runtime.landmarks import SCHEMES, LandmarkScheme
from edge_runtime.output_paths import OutputFile, OutputFolder

SHEET_FACES = COLUMNS * COLUMNS


@dataclass(frozen=True)
class ListConfig:
    """List the supported datasets, or describe one."""

    name: Positional[str] = ""
    """Dataset to describe (layout, conventions, download page); default: a table of all."""


@dataclass(frozen=True)
class OwnLabels:
    """How your own labels are meant; see `datasets list own`."""

    scheme: str | None = None
    """Landmark scheme of your own labels: a name, or a JSON file with its definition; default: the file's, or by the
    number of landmarks."""
    normalized: bool = False
    """The coordinates of your own labels are fractions of the image's width and height."""
    first_pixel: float | None = None
    """Coordinate of the first pixel's center in your own labels: 0, 1 (MATLAB), or 0.5 (0 is the image's outer edge);
    default: the file's, or its format's."""
    exif: Literal["auto", "turned", "stored"] = "auto"
    """Picture that your own labels are for, of photographs with an Exif orientation: as shown by viewers, or as stored;
    `auto`: as shown, unless only the other fits."""

    @property
    def options(self) -> LabelOptions:
        """The options of the reader; OSError or ValueError for a scheme that cannot be read."""
        scheme = None
        if self.scheme is not None:
            scheme = SCHEMES[self.scheme] if self.scheme in SCHEMES else LandmarkScheme.read(self.scheme)
        return LabelOptions(scheme, self.normalized, self.first_pixel, self.exif)


@dataclass(frozen=True)
class CheckConfig:
    """Identify the datasets in a folder, compare them with the official numbers, list missing and corrupt files."""

    path: Positional[Path]
    """Folder into which a dataset was unpacked, or the one above or below it; or a file of your own labels."""
    dataset: str | None = None
    """Name of the dataset; default: recognized by its files."""
    sheet: OutputFile | None = None
    """Image file to write: 25 random faces with their labels drawn."""
    seed: int = 0
    """Seed of the random faces."""
    deep: bool = False
    """Decode every image, too (slow)."""
    labels: OmitArgPrefixes[OwnLabels] = field(default_factory=OwnLabels)


@dataclass(frozen=True)
class ConvertConfig:
    """Write a dataset's faces into shards for `train` and `evaluate`; the same command resumes after a stop."""

    path: Positional[Path]
    """Folder into which the dataset was unpacked, or a file of your own labels."""
    out: OutputFolder
    """Output folder; each split is written to SPLIT or SPLIT-SUBSET in it."""
    dataset: str | None = None
    """Name of the dataset; default: recognized by its files."""
    split: str | None = None
    """Split as named by `datasets check`; default: all."""
    subset: str | None = None
    """Subset of the split as named by `datasets check`; default: all of it."""
    every: int = 1
    """Use every n-th sample only; neighboring frames of a video are nearly equal."""
    partial: bool = False
    """Skip missing and corrupt files instead of stopping."""
    shard_size: int = 600
    """Samples per shard; a stop loses at most one unfinished shard."""
    cutout: OmitArgPrefixes[CutoutConfig] = field(default_factory=CutoutConfig)
    labels: OmitArgPrefixes[OwnLabels] = field(default_factory=OwnLabels)

    def __post_init__(self) -> None:
        if self.every < 1 or self.shard_size < 1:
            raise ValueError(f"--every and --shard-size must be at least 1, got {self.every} and {self.shard_size}")


Config = (
    Annotated[ListConfig, subcommand("list")]
    | Annotated[CheckConfig, subcommand("check")]
    | Annotated[ConvertConfig, subcommand("convert")]
)


def run(config: ListConfig | CheckConfig | ConvertConfig) -> None:
    """Run one of the commands; OSError or ValueError for bad arguments or data."""
    match config:
        case ListConfig():
            print(_describe_dataset(config.name) if config.name else _table())
        case CheckConfig():
            check(config)
        case ConvertConfig():
            convert(config)


def check(config: CheckConfig) -> None:
    """Print a report of each dataset found; ValueError at the end if any is incomplete."""
    incomplete = []
    datasets = find_datasets(config.path, config.dataset, config.labels.options)
    for found in datasets:
        report = inspect_dataset(found, SHEET_FACES if config.sheet else 0, config.seed, config.deep)
        print(describe(report))
        if not report.complete:
            incomplete.append(found.dataset.name)
        if config.sheet and report.sampled:
            stem = config.sheet.stem + (f"-{found.dataset.name}" if len(datasets) > 1 else "")
            sheet = config.sheet.with_stem(stem)
            write_contact_sheet(sheet, list(decode_samples(report.sampled)))
            print(f"  {sheet}: {len(report.sampled)} random faces")
    if incomplete:
        raise ValueError(f"incomplete datasets: {', '.join(incomplete)}; see the list above")


def convert(config: ConvertConfig) -> None:
    """Write the shards of the requested splits and print their sizes."""
    datasets = find_datasets(config.path, config.dataset, config.labels.options)
    if len(datasets) > 1:
        names = ", ".join(f"{found.dataset.name} in {found.root}" for found in datasets)
        raise ValueError(f"expected one dataset, found {names}; give one's folder, or --dataset NAME")
    (found,) = datasets
    issues: list[Issue] = []
    splits = list(dict.fromkeys(sample.split for sample in found.read(issues.append)))
    for issue in issues:
        if issue.severity is Severity.WARNING:
            print(f"warning: {issue.message}", file=sys.stderr)
        elif issue.severity is Severity.LEFT_OUT and found.dataset.name == "own":
            print(f"left out: {issue.message}", file=sys.stderr)
    if not splits:
        for _ in found.read():  # raises the first issue
            break
        raise ValueError(f"no sample in {found.root}; see `python -m atpn datasets check {config.path}`")
    if config.split is not None:
        _check_split(config, found, splits)
    for split in [config.split] if config.split else splits:
        folder = config.out / (f"{split}-{config.subset}" if config.subset else split)
        conversion = Conversion(found, split, config.subset, config.every, config.partial, config.cutout)
        conversion.write(folder, config.shard_size)
        notes = [f"{conversion.faces} faces", f"{conversion.backgrounds} images without"]
        notes += [f"{conversion.small} too small"] if conversion.small else []
        notes += [f"{conversion.skipped} missing or corrupt"] if conversion.skipped else []
        print(f"{folder}: {', '.join(notes)}")
        if not conversion.faces + conversion.backgrounds:
            subset = f" with subset {config.subset}" if config.subset else ""
            raise ValueError(f"no sample of split {split}{subset} in {found.root}")


def _check_split(config: ConvertConfig, found: DatasetFolder, splits: list[str]) -> None:
    """Raise ValueError for a split that does not exist, or whose samples cannot all be identified."""
    if config.split not in splits:
        raise ValueError(f"no split {config.split} in {found.root}; found {', '.join(splits) or 'none'}")
    if UNSPLIT in splits and config.split != UNSPLIT and not config.partial:
        raise ValueError(
            f"some samples in {found.root} may belong to split {config.split}: the file that gives their split is "
            f"missing; see `python -m atpn datasets list {found.dataset.name}`, or pass --partial to skip them"
        )


def _table() -> str:
    rows = [("name", "what", "official", "terms")]
    rows += [(dataset.name, dataset.what, _official(dataset), dataset.terms) for dataset in DATASETS.values()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows]
    return "\n".join([*lines, "", "`python -m atpn datasets list NAME`: layout, conventions, download page"])


def _describe_dataset(name: str) -> str:
    if name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    facts = {"files": dataset.files, "official": _official(dataset), "where": dataset.where, "terms": dataset.terms}
    return "\n".join([dataset.description, "", *(f"{key + ':':10}{value}" for key, value in facts.items())])


def _official(dataset: Dataset) -> str:
    counts = " ".join(f"{split} {count}" for split, count in dataset.official.items())
    return f"{counts} {dataset.unit}" if counts else ""
