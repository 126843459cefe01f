"""WFLW (Wu et al., "Look at Boundary", CVPR 2018): 10,000 faces of WIDER FACE's photographs with 98 landmarks.

`WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt` has a line per face: 98 x and y,
a box (x and y of two corners), six flags (pose, expression, illumination, make-up, occlusion, blur: 1 is the hard case)
and the image's path below `WFLW_images/`. A photograph may come several times, with another face each time.

Pixels count from 0. Splits: train, test; the six flags name the protocol's subsets (the seventh is all of the test).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.readers.folders import below, is_file
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from edge_runtime.landmarks import WFLW_98
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_text

FLAGS = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
COLUMNS = 2 * 98 + 4 + len(FLAGS)
"""Numbers before the image's path."""
LISTS = "list_98pt_rect_attr_train_test"


def recognize(root: Path) -> bool:
    """Return whether the folder holds WFLW's annotations or images."""
    return below(root, "WFLW_annotations") is not None or below(root, "WFLW_images") is not None


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces in the order of the lists, train first."""
    images = root / "WFLW_images"
    for split in ("train", "test"):
        path = root / "WFLW_annotations" / LISTS / f"list_98pt_rect_attr_{split}.txt"
        if not path.is_file():
            report(Issue(Severity.MISSING, f"{path}, the labels of split {split}", split))
            continue
        faces: list[tuple[int, np.ndarray, str]] = []
        photos: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
        for number, line in enumerate(read_text(path, MAX_LABEL_BYTES).splitlines(), 1):
            *columns, name = line.split(maxsplit=COLUMNS) or [""]
            try:
                values = np.array(columns, np.float64)
                if len(values) != COLUMNS or not are_coordinates(values):
                    expected = f"expected {COLUMNS} {IN_RANGE}"
                    raise ValueError(f"{len(values)} numbers before the image's path, {expected}")
            except ValueError as error:
                report(Issue(Severity.CORRUPT, f"{path} line {number}: {quote(error)}", split))
                continue
            faces.append((number, values, name.strip()))
            photos[name.strip()][number] = values[:196].reshape(98, 2)
        for number, values, name in faces:
            if not is_file(images / name):
                report(Issue(Severity.MISSING, str(images / name), split))
            flags = {flag: str(int(value)) for flag, value in zip(FLAGS, values[200:], strict=True)}
            others = [points for other, points in photos[name].items() if other != number]
            subsets = " ".join(flag for flag, value in flags.items() if value == "1")
            yield unread_sample(
                ImageFile(images / name),
                landmarks=photos[name][number].astype(np.float32),
                scheme=WFLW_98,
                boxes={"detector": tuple(values[196:200].tolist())},
                neighbors=np.array(others, np.float32) if others else None,
                key=key_of("wflw", split, f"{number:05d}", Path(name).stem),
                attributes={"split": split, "subsets": subsets, "identity": name, **flags},
            )
