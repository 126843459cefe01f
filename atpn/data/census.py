"""Counting a dataset against what its authors published, and telling what is missing or broken."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from atpn.data.readers.findings import Fault, Finding
from atpn.data.readers.images import UnreadSample
from atpn.data.readers.registry import UNSPLIT, Found
from atpn.data.sample import Sample

NAMED = 5
"""Findings of a kind that are named; of the rest the number is given."""
MOST_SUBSETS = 12
"""Subsets that are listed; more of them are single recordings, and their number tells enough."""


@dataclass
class Census:
    """What lies in a folder."""

    found: Found
    units: Counter[str] = field(default_factory=Counter)
    """Faces, pictures or videos, whichever the dataset is counted in, per split."""
    faces: Counter[str] = field(default_factory=Counter)
    """Samples with a face per split."""
    subsets: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    chosen: list[UnreadSample] = field(default_factory=list)
    """Some of the faces, by chance, whose pictures are there."""

    @property
    def there(self) -> dict[str, int]:
        """Units per split, and of "all" where the official numbers are of the whole."""
        whole = {"all": self.units.total()} if "all" in self.found.dataset.official else {}
        return dict(self.units) | whole

    @property
    def short(self) -> list[str]:
        """Splits of which there is less than there should be."""
        return [split for split, count in self.found.dataset.official.items() if self.there.get(split, 0) < count]

    @property
    def complete(self) -> bool:
        """Whether all is there and nothing is broken."""
        return not self.short and all(finding.fault is Fault.LEFT_OUT for finding in self.findings)


def take_census(found: Found, choose: int = 0, seed: int = 0, deep: bool = False) -> Census:
    """Read all labels, keep `choose` faces by chance, and with `deep` decode every picture.

    Deep, it is also reported when a face's middle lies outside its picture: then label and picture are not of a pair.
    """
    census, rng, seen = Census(found), random.Random(seed), 0
    containers: set[tuple[str, Path]] = set()
    samples = found.dataset.read(found.root, census.findings.append)
    for sample in tqdm(samples, found.dataset.name, unit=" labels", leave=False):
        split = sample.split
        if found.dataset.unit == "faces":
            census.units[split] += sample.labels.outline is not None
        elif (split, sample.image.path) not in containers:
            containers.add((split, sample.image.path))
            census.units[split] += 1
        if deep:
            census.findings += _decoded(sample)
        if sample.labels.outline is None:
            continue
        census.faces[split] += 1
        census.subsets.update(sample.subsets)
        seen += 1
        place = len(census.chosen) if len(census.chosen) < choose else rng.randrange(seen)
        if place < choose and sample.image.path.is_file():
            census.chosen[place : place + 1] = [sample]
    census.findings = list(dict.fromkeys(census.findings))
    return census


def describe(census: Census) -> str:
    """The census as lines of text."""
    dataset = census.found.dataset
    lines = [f"{dataset.name} in {census.found.root}: {dataset.what}"]
    lines.append(f"  {'split':12} {'official':>9} {'there':>9}   {dataset.unit}")
    official, there = dataset.official, census.there
    for split in (*official, *sorted(there.keys() - official.keys())):
        note = "short" if split in census.short else ""
        if dataset.unit != "faces" and split in census.faces:
            note = f"{note + ', ' if note else ''}{census.faces[split]} faces"
        lines.append(f"  {split:12} {official.get(split, ''):>9} {there.get(split, 0):>9}   {note}".rstrip())
    if census.subsets:
        subsets = [f"{name} {count}" for name, count in census.subsets.items()]
        lines.append(f"  subsets: {', '.join(subsets) if len(subsets) <= MOST_SUBSETS else len(subsets)}")
    if census.units[UNSPLIT]:
        lines.append(f"  {UNSPLIT}: another file would tell their split; see `datasets list {dataset.name}`")
    for fault in Fault:
        of_kind = [finding.what for finding in census.findings if finding.fault is fault]
        if of_kind:
            lines.append(f"  {fault}: {len(of_kind)}")
            lines += [f"    {what}" for what in of_kind[:NAMED]]
            lines += [f"    and {len(of_kind) - NAMED} more"] if len(of_kind) > NAMED else []
    if census.complete:
        lines.append("  complete")
    else:
        lines.append(f"  get it: {dataset.where} ({dataset.terms})")
    return "\n".join(lines)


def decoded(samples: list[UnreadSample]) -> Iterator[Sample]:
    """The samples with their pictures, those of one file together; one that does not decode is passed over."""
    for sample in sorted(samples, key=lambda s: s.labels.key):
        try:
            yield sample.decode()
        except (OSError, ValueError):
            continue


def _decoded(sample: UnreadSample) -> list[Finding]:
    """What is wrong with a sample's picture."""
    if not sample.image.path.is_file():
        return []  # the reader has told so
    try:
        height, width = sample.image.read().shape[:2]
    except (OSError, ValueError) as error:
        return [Finding(Fault.CORRUPT, str(error), sample.split)]
    outline = sample.labels.outline
    if outline is None or ((outline.mean(axis=0) >= 0).all() and (outline.mean(axis=0) <= (width, height)).all()):
        return []
    return [
        Finding(Fault.CORRUPT, f"{sample.labels.key}: the face is not in its picture {sample.image.path}", sample.split)
    ]
