"""300W (Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV workshops 2013): 68 landmarks as .pts beside images.

`lfpw/{trainset,testset}/`, `helen/{trainset,testset}/`, `afw/`, `ibug/`, and the challenge's own test images in
`300W/01_Indoor/` and `300W/02_Outdoor/`, each image (.jpg or .png) with a .pts of its name. AFW repeats a photograph
for each of its faces. One of iBUG's names contains a blank ("image_092 _01"). Mirrored images ("…_mirror") are skipped.

Pixels count from 1 and are shifted. Splits: train (the training parts and AFW, 3148 faces), test (subsets `common`: the
test parts of LFPW and HELEN, 554; `challenging`: iBUG, 135), private (subsets `indoor`, `outdoor`: 300 each).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.readers.folders import files, first_below, image_beside
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from atpn.data.readers.pts import FIRST_PIXEL, read_pts
from edge_runtime.landmarks import IBUG_68

PARTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("lfpw-train", "train", "lfpw", ("lfpw/trainset",)),
    ("helen-train", "train", "helen", ("helen/trainset",)),
    ("afw", "train", "afw", ("afw",)),
    ("lfpw-test", "test", "common lfpw", ("lfpw/testset",)),
    ("helen-test", "test", "common helen", ("helen/testset",)),
    ("ibug", "test", "challenging", ("ibug",)),
    ("indoor", "private", "indoor", ("300W/01_Indoor", "01_Indoor")),
    ("outdoor", "private", "outdoor", ("300W/02_Outdoor", "02_Outdoor")),
)
"""Name, split, subsets, and possible folders."""


def recognize(root: Path) -> bool:
    """Return whether the folder holds one of the parts with its .pts files."""
    folders = (first_below(root, *places) for _, _, _, places in PARTS)
    return any(folder is not None and next(folder.rglob("*.pts"), None) for folder in folders)


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces, part by part, sorted by name."""
    for part, split, subsets, places in PARTS:
        folder = first_below(root, *places)
        if folder is None:
            report(Issue(Severity.MISSING, f"{root / places[0]}, of split {split}", split))
            continue
        for path in files(folder, ".pts"):
            if path.stem.endswith("_mirror"):
                continue
            image = image_beside(path)
            if image is None:
                report(Issue(Severity.MISSING, f"the image of {path}", split))
            try:
                landmarks = read_pts(path) - FIRST_PIXEL
            except ValueError as error:
                report(Issue(Severity.CORRUPT, str(error), split))
                continue
            # AFW's photographs come once per face: "134212_1" and "134212_2" are of one.
            photo = path.stem.rpartition("_")[0] if part == "afw" else path.stem
            yield unread_sample(
                ImageFile(image or path.with_suffix(".jpg")),
                landmarks=landmarks.astype(np.float32),
                scheme=IBUG_68,
                key=key_of("300w", part, path.stem),
                attributes={"split": split, "subsets": subsets, "part": part, "identity": f"{part}/{photo}"},
            )
