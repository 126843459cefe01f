"""Compare a dataset's files with the numbers its authors published, and list what is missing or corrupt."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from atpn.data.readers.images import UnreadSample
from atpn.data.readers.issues import Issue, Severity
from atpn.data.readers.registry import UNSPLIT, DatasetFolder
from atpn.data.sample import Sample

MAX_LISTED_ISSUES = 5
"""Issues printed per severity."""
MAX_LISTED_SUBSETS = 12
"""Subsets printed by name; if there are more, only their number is printed."""


@dataclass
class DatasetReport:
    """Contents of a dataset's folder."""

    found: DatasetFolder
    units: Counter[str] = field(default_factory=Counter)
    """Number of faces, images or videos (the dataset's unit) by split."""
    faces: Counter[str] = field(default_factory=Counter)
    """Number of samples with a face by split."""
    subsets: Counter[str] = field(default_factory=Counter)
    issues: list[Issue] = field(default_factory=list)
    sampled: list[UnreadSample] = field(default_factory=list)
    """Random faces whose image files exist."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of units by split, and of "all" where the official numbers are of the whole dataset."""
        whole = {"all": self.units.total()} if "all" in self.found.dataset.official else {}
        return dict(self.units) | whole

    @property
    def incomplete_splits(self) -> list[str]:
        """Splits with fewer units than published."""
        return [split for split, count in self.found.dataset.official.items() if self.counts.get(split, 0) < count]

    @property
    def complete(self) -> bool:
        """Whether every split is complete and nothing is missing or corrupt."""
        return not self.incomplete_splits and not any(issue.severity.is_error for issue in self.issues)


def inspect_dataset(found: DatasetFolder, sample_count: int = 0, seed: int = 0, deep: bool = False) -> DatasetReport:
    """Read all labels and keep `sample_count` random faces.

    `deep` decodes every image, too, and reports faces whose center lies outside their image.
    """
    report, rng, seen = DatasetReport(found), random.Random(seed), 0
    containers: set[tuple[str, Path]] = set()
    samples = found.read(report.issues.append)
    for sample in tqdm(samples, found.dataset.name, unit=" labels", leave=False):
        split = sample.split
        if found.dataset.unit == "faces":
            report.units[split] += sample.labels.outline is not None
        elif (split, sample.image.path) not in containers:
            containers.add((split, sample.image.path))
            report.units[split] += 1
        if deep:
            report.issues += _check_image(sample)
        if sample.labels.outline is None:
            continue
        report.faces[split] += 1
        report.subsets.update(sample.subsets)
        seen += 1
        place = len(report.sampled) if len(report.sampled) < sample_count else rng.randrange(seen)
        if place < sample_count and sample.image.path.is_file():
            report.sampled[place : place + 1] = [sample]
    report.issues = list(dict.fromkeys(report.issues))
    return report


def describe(report: DatasetReport) -> str:
    """Format a report as text."""
    dataset = report.found.dataset
    lines = [f"{dataset.name} in {report.found.root}: {dataset.what}"]
    lines.append(f"  {'split':12} {'official':>9} {'found':>9}   {dataset.unit}")
    official, counts = dataset.official, report.counts
    for split in (*official, *sorted(counts.keys() - official.keys())):
        note = "incomplete" if split in report.incomplete_splits else ""
        if dataset.unit != "faces" and split in report.faces:
            note = f"{note + ', ' if note else ''}{report.faces[split]} faces"
        lines.append(f"  {split:12} {official.get(split, ''):>9} {counts.get(split, 0):>9}   {note}".rstrip())
    if report.subsets:
        subsets = [f"{name} {count}" for name, count in report.subsets.items()]
        lines.append(f"  subsets: {', '.join(subsets) if len(subsets) <= MAX_LISTED_SUBSETS else len(subsets)}")
    if report.units[UNSPLIT]:
        lines.append(f"  {UNSPLIT}: the file that gives their split is missing; see `datasets list {dataset.name}`")
    for severity in Severity:
        messages = [issue.message for issue in report.issues if issue.severity is severity]
        if messages:
            lines.append(f"  {severity}: {len(messages)}")
            lines += [f"    {message}" for message in messages[:MAX_LISTED_ISSUES]]
            more = len(messages) - MAX_LISTED_ISSUES
            lines += [f"    and {more} more"] if more > 0 else []
    lines.append("  complete" if report.complete else f"  download: {dataset.where} ({dataset.terms})")
    return "\n".join(lines)


def decode_samples(samples: list[UnreadSample]) -> Iterator[Sample]:
    """Yield the samples with their images, ordered by key; skip those that do not decode."""
    for sample in sorted(samples, key=lambda s: s.labels.key):
        try:
            yield sample.decode()
        except (OSError, ValueError):
            continue


def _check_image(sample: UnreadSample) -> list[Issue]:
    """Return the issues of a sample's image."""
    if not sample.image.path.is_file():
        return []  # reported by the reader
    try:
        height, width = sample.image.read().shape[:2]
    except (OSError, ValueError) as error:
        return [Issue(Severity.CORRUPT, str(error), sample.split)]
    outline = sample.labels.outline
    if outline is None or ((outline.mean(axis=0) >= 0).all() and (outline.mean(axis=0) <= (width, height)).all()):
        return []
    message = f"{sample.labels.key}: the face lies outside its image {sample.image.path}"
    return [Issue(Severity.CORRUPT, message, sample.split)]
