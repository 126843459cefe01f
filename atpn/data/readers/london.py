"""The Face Research Lab London Set (DeBruine and Jones, 2017): 102 adults, frontal, 189 points drawn by hand.

`neutral_front/001_03.jpg` and so on, each with a `.tem` file of webmorph: the number of points, a line "x<TAB>y" per
point, then unused lines. Coordinates are used unchanged. Creative Commons Attribution 4.0. The points are of no
landmark scheme: they are for evaluation (`python -m atpn evaluate --protocol london`), not for training.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.readers.folders import below, files, image_beside
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from edge_runtime.reading import quote, read_text

POINTS = 189


def recognize(root: Path) -> bool:
    """Return whether the folder or its neutral_front/ holds `.tem` files."""
    return any(_folder(root).glob("*.tem"))


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces, sorted by name."""
    for path in files(_folder(root), ".tem"):
        try:
            points = read_tem(path)
        except ValueError as error:
            report(Issue(Severity.CORRUPT, str(error)))
            continue
        image = image_beside(path)
        if image is None:
            report(Issue(Severity.MISSING, f"the image of {path}"))
        yield unread_sample(
            ImageFile(image or path.with_suffix(".jpg")),
            landmarks=points,
            scheme=None,
            key=key_of("london", path.stem),
            attributes={"split": "all", "identity": path.stem.partition("_")[0]},
        )


def read_tem(path: Path, count: int = POINTS) -> np.ndarray:
    """(count, 2) float32 pixels of a webmorph template; ValueError for anything but that many points in range."""
    lines = read_text(path, errors="replace").split("\n")
    try:
        stated = int(lines[0])
        points = np.array([line.split() for line in lines[1 : 1 + count]], np.float64)
    except ValueError as error:
        raise ValueError(f"{path} is not a webmorph template: {quote(error)}") from error
    if stated != count or points.shape != (count, 2) or not are_coordinates(points):
        expected = f"{count} pairs of x and y {IN_RANGE}"
        raise ValueError(f"{path} states {quote(stated)} points and has {points.shape}; expected {expected}")
    return points.astype(np.float32)


def _folder(root: Path) -> Path:
    return below(root, "neutral_front") or root
