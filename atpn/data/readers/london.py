"""The Face Research Lab London Set (DeBruine and Jones, 2017): 102 adults, frontal, 189 points drawn by hand.

`neutral_front/001_03.jpg` and so on with a `.tem` file of the same name beside each, as webmorph writes it: how many
points there are, a line "x<TAB>y" per point, then the lines that join them, which are not needed. Coordinates are taken
as they are. Creative Commons Attribution 4.0. The points belong to no landmark scheme of ours: they are there to be
measured against (`python -m atpn evaluate --protocol london`), not to train on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.readers.findings import Fault, Finding, Report, refuse
from atpn.data.readers.folders import below, files, picture_beside
from atpn.data.readers.images import NO_IMAGE, ImageFile, UnreadSample, key_of
from atpn.data.sample import Sample

SCHEME = "london189"
"""Name of the template in samples."""
POINTS = 189


def recognise(root: Path) -> bool:
    """Whether `.tem` files lie here or in neutral_front/."""
    return any(_folder(root).glob("*.tem"))


def read(root: Path, report: Report = refuse) -> Iterator[UnreadSample]:
    """The faces in the order of their names."""
    for path in files(_folder(root), ".tem"):
        try:
            points = read_tem(path)
        except ValueError as error:
            report(Finding(Fault.CORRUPT, str(error)))
            continue
        picture = picture_beside(path)
        if picture is None:
            report(Finding(Fault.MISSING, f"the picture of {path}"))
        labels = Sample(
            NO_IMAGE,
            landmarks=points,
            scheme=SCHEME,
            key=key_of("london", path.stem),
            attributes={"split": "all", "identity": path.stem.partition("_")[0]},
        )
        yield UnreadSample(labels, ImageFile(picture or path.with_suffix(".jpg")))


def read_tem(path: Path, count: int = POINTS) -> np.ndarray:
    """(count, 2) float32 pixels of a webmorph template; ValueError for anything but that many finite points."""
    lines = path.read_text(errors="replace").split("\n")
    try:
        stated = int(lines[0])
        points = np.array([line.split() for line in lines[1 : 1 + count]], np.float32)
    except ValueError as error:
        raise ValueError(f"{path} is not a webmorph template: {error}") from error
    if stated != count or points.shape != (count, 2) or not np.isfinite(points).all():
        raise ValueError(f"{path} states {stated} points and has {points.shape}; expected {count} finite x, y pairs")
    return points


def _folder(root: Path) -> Path:
    return below(root, "neutral_front") or root
