"""CelebA (Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015) and MAFL, 20,000 of its faces: 5 points.

`Anno/list_landmarks_celeba.txt` for the photographs in `Img/img_celeba/`, else `Anno/list_landmarks_align_celeba.txt`
for the aligned ones in `Img/img_align_celeba/`: a line with the count, one with the columns' names, then an image's
name and x, y of left eye, right eye, nose, left and right mouth corner (the image's sides).
`Eval/list_eval_partition.txt` gives the split (0 train, 1 val, 2 test), `Anno/identity_CelebA.txt` the person,
`Anno/list_bbox_celeba.txt` the photographs' boxes (left, top, width, height; empty ones are dropped). All files may
also lie in one folder.

MAFL (Zhang et al., "Facial Landmark Detection by Deep Multi-task Learning", ECCV 2014) is two lists of names,
`MAFL/training.txt` and `MAFL/testing.txt`: subsets `mafl-train`, `mafl-test`. They are independent of CelebA's splits:
do not train on `mafl-test` when evaluating on MAFL.

Coordinates are whole pixels, used unchanged; whether they count from 0 or 1 is not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.face_boxes import box_of
from atpn.data.readers.folders import first_below
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from edge_runtime.landmarks import CELEBA_5
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_text

SPLITS = {"0": "train", "1": "val", "2": "test"}
EDITIONS = (("list_landmarks_celeba.txt", "img_celeba"), ("list_landmarks_align_celeba.txt", "img_align_celeba"))
"""Landmark file and image folder of the photographs, then of the aligned images."""


def recognize(root: Path) -> bool:
    """Return whether the folder holds a landmark file or the partition."""
    names = (*(landmarks for landmarks, _ in EDITIONS), "list_eval_partition.txt")
    return any(_file(root, name) is not None for name in names)


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces in the order of the landmark file."""
    editions = [(path, images) for name, images in EDITIONS if (path := _file(root, name)) is not None]
    if not editions:
        report(Issue(Severity.MISSING, f"{root / 'Anno' / EDITIONS[0][0]}, the landmarks"))
        return
    with_images = [(path, images) for path, images in editions if _images(root, images) is not None]
    path, images = (with_images or editions)[0]
    folder = _images(root, images) or root / "Img" / images
    if not with_images:
        report(Issue(Severity.MISSING, f"{folder}, the images of {path.name}"))
    splits = _column(_file(root, "list_eval_partition.txt"))
    if not splits:
        report(Issue(Severity.MISSING, f"{root / 'Eval' / 'list_eval_partition.txt'}, the splits"))
    people = _column(_file(root, "identity_CelebA.txt"))
    mafl = {
        name: f"mafl-{part}"
        for part, file in (("train", "training.txt"), ("test", "testing.txt"))
        for name in _column(first_below(root, f"MAFL/{file}", f"Anno/MAFL/{file}"))
    }
    boxes = _boxes(_file(root, "list_bbox_celeba.txt")) if images == "img_celeba" else {}
    existing = {entry.name for entry in folder.iterdir()} if with_images else set()
    for number, line in enumerate(read_text(path, MAX_LABEL_BYTES).splitlines()[2:], 3):
        name, *numbers = line.split() or [""]
        try:
            landmarks = np.array(numbers, np.float64).reshape(5, 2)
            if not are_coordinates(landmarks):
                raise ValueError("out of range")
        except ValueError:
            message = f"{path} line {number}: {len(numbers)} words, expected 10 numbers {IN_RANGE}"
            report(Issue(Severity.CORRUPT, message))
            continue
        # Aligned images come as .jpg or, in the larger edition, as .png; the list says .jpg.
        split = SPLITS.get(splits.get(name, ""), "unsplit")
        file = next((f for f in (name, f"{Path(name).stem}.png") if f in existing), name)
        if with_images and file not in existing:
            report(Issue(Severity.MISSING, str(folder / name), split))
        yield unread_sample(
            ImageFile(folder / file),
            landmarks=landmarks.astype(np.float32),
            scheme=CELEBA_5,
            boxes={"detector": box_of(*boxes[name])} if name in boxes else {},
            key=key_of("celeba", Path(name).stem),
            attributes={"split": split, "subsets": mafl.get(name, ""), "identity": people.get(name, name)},
        )


def _file(root: Path, name: str) -> Path | None:
    return first_below(root, f"Anno/{name}", f"Eval/{name}", name)


def _images(root: Path, name: str) -> Path | None:
    places = (f"Img/{name}", f"Img/{name}/{name}", f"Img/{name}_png", name)
    found = (first_below(root, place) for place in places)
    return next((f for f in found if f is not None and next(f.glob("[0-9]*.*"), None)), None)


def _column(path: Path | None) -> dict[str, str]:
    """Read the second column by image name; empty strings for a list of names, an empty dict without a file."""
    rows = [line.split() for line in read_text(path, MAX_LABEL_BYTES).splitlines()] if path else []
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows if row}


def _boxes(path: Path | None) -> dict[str, tuple[float, float, float, float]]:
    rows = [line.split() for line in read_text(path, MAX_LABEL_BYTES).splitlines()[2:]] if path else []
    try:
        numbers = {row[0]: tuple(map(float, row[1:])) for row in rows if len(row) == 5}
        if not are_coordinates(list(numbers.values())):
            raise ValueError(f"expected numbers {IN_RANGE}")
    except ValueError as error:
        raise ValueError(f"{path}: a box is not four numbers ({quote(error)}); copy it again") from error
    return {name: (x, y, w, h) for name, (x, y, w, h) in numbers.items() if w > 0 and h > 0}
