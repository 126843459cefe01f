"""WIDER FACE (Yang et al., "WIDER FACE: A Face Detection Benchmark", CVPR 2016): boxes of faces in crowds.

`wider_face_split/wider_face_{train,val}_bbx_gt.txt` lists images below `WIDER_{train,val}/images/`: a line with the
path, one with the number of faces, then a line per face: left, top, width, height, blur, expression, illumination,
invalid, occlusion, pose. An image without faces has one line of zeros. The test part has no labels.

Pixels count from 0. Left out: faces marked invalid (which still count as neighbors) and boxes without width or height.
There are no landmarks: a face has the box `detector`, its neighbors the corners of theirs. An image without faces is a
sample without a face. Splits: train, val.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.face_boxes import box_corners, box_of
from atpn.data.readers.folders import below, first_below, is_file
from atpn.data.readers.images import NO_IMAGE, ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from atpn.data.sample import Sample
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_text

COLUMNS = ("x", "y", "width", "height", "blur", "expression", "illumination", "invalid", "occlusion", "pose")


def recognize(root: Path) -> bool:
    """Return whether the folder holds the labels or one of the labeled parts."""
    return any(below(root, name) is not None for name in ("wider_face_split", "WIDER_train", "WIDER_val"))


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield a sample per face, and one per image without faces, in the order of the lists."""
    for split in ("train", "val"):
        name = f"wider_face_{split}_bbx_gt.txt"
        path = first_below(root, f"wider_face_split/{name}", name)
        if path is None:
            report(Issue(Severity.MISSING, f"{root / 'wider_face_split' / name}, the labels of split {split}", split))
            continue
        images = root / f"WIDER_{split}" / "images"
        invalid = sizeless = 0
        for photo, faces in _photos(path, split, report):
            image = ImageFile(images / photo)
            if not is_file(image.path):
                report(Issue(Severity.MISSING, str(image.path), split))
            attributes = {"split": split, "identity": photo}
            stem = key_of("wider", split, Path(photo).stem)
            if not len(faces):
                yield UnreadSample(Sample(NO_IMAGE, key=f"{stem}_empty", attributes=attributes), image)
                continue
            solid = (faces[:, 2:4] > 0).all(axis=1)
            invalid += int((solid & (faces[:, 7] == 1)).sum())
            sizeless += int((~solid).sum())
            boxes = [box_of(*face[:4].tolist()) for face in faces]
            corners = np.array([box_corners(box) for box in boxes])
            for index in np.flatnonzero(solid & (faces[:, 7] == 0)):
                others = solid & (np.arange(len(faces)) != index)
                flags = dict(zip(COLUMNS[4:], map(str, faces[index, 4:].tolist()), strict=True))
                yield unread_sample(
                    image,
                    boxes={"detector": boxes[index]},
                    neighbors=corners[others] if others.any() else None,
                    key=f"{stem}_{index:04d}",
                    attributes=attributes | flags,
                )
        if invalid or sizeless:
            note = f"{path.name}: faces marked invalid: {invalid}, boxes without width or height: {sizeless}"
            report(Issue(Severity.LEFT_OUT, note, split))


def _photos(path: Path, split: str, report: Report) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each image's path and its (K, 10) integers; report a malformed list and stop there."""
    lines = [line for line in read_text(path, MAX_LABEL_BYTES).splitlines() if line.strip()]
    at = 0
    while at < len(lines):
        photo = lines[at].strip()
        try:
            count = int(lines[at + 1])
            rows = np.array([line.split()[: len(COLUMNS)] for line in lines[at + 2 : at + 2 + count]], np.int64)
            rows = rows.reshape(count, len(COLUMNS))
            if not are_coordinates(rows):
                raise ValueError(f"expected numbers {IN_RANGE}")
        except (IndexError, OverflowError, ValueError) as error:
            what = f"{path} near line {at + 1}: {quote(repr(photo))} and its faces do not read ({quote(error)})"
            report(Issue(Severity.CORRUPT, what, split))
            return
        yield photo, rows
        at += 2 + count
        if not count and at < len(lines) and "/" not in lines[at]:
            at += 1  # the line of zeros of an image without faces
