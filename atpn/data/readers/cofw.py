"""COFW (Burgos-Artizzu et al., "Robust Face Landmark Estimation under Occlusion", ICCV 2013): 29 landmarks, occlusion.

`COFW_train_color.mat` and `COFW_test_color.mat` are MATLAB 7.3 files, that is, HDF5 with reversed axes: images in the
cell array `IsTr` (test: `IsT`), boxes in `bboxesTr` (4, n: left, top, width, height), landmarks in `phisTr` (87, n):
29 x, 29 y, 29 flags of occlusion. The first 845 training images are from LFPW (subset `lfpw`), some of them gray; the
other 500 are COFW's own (subset `cofw`). The gray edition (`COFW_train.mat`) has the same arrays.

COFW68 (Ghiasi and Fowlkes, "Occlusion Coherence", 2015) has 68 landmarks of the test images:
`COFW68_Data/test_annotations/N_points.mat` with `Points` (68, 2) and `Occ`, N from 1 in the order of `IsT`: split
`test68`.

Pixels count from 1 and are shifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.face_boxes import box_of
from atpn.data.matlab_file import load_matrices
from atpn.data.readers.folders import first_below
from atpn.data.readers.images import HDF5Image, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from edge_runtime.landmarks import COFW_29, IBUG_68
from edge_runtime.reading import open_regular, quote

FROM_LFPW = 845
POINTS = 29
ANNOTATIONS_68 = tuple(f"{f}test_annotations" for f in ("COFW68_Data/", "", "cofw68-benchmark-master/COFW68_Data/"))


def recognize(root: Path) -> bool:
    """Return whether the folder holds one of the two MATLAB files."""
    return any(_file(root, split) is not None for split in ("train", "test"))


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces of the training file, of the test file, then the test faces with COFW68's labels."""
    for split, suffix in (("train", "Tr"), ("test", "T")):
        path = _file(root, split)
        if path is None:
            report(Issue(Severity.MISSING, f"{root / f'COFW_{split}_color.mat'}, the faces of split {split}", split))
            continue
        try:
            with open_regular(path), h5py.File(path, "r") as file:
                count = file[f"Is{suffix}"].size
                phis, boxes = file[f"phis{suffix}"][:].T, file[f"bboxes{suffix}"][:].T
        except (OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            report(Issue(Severity.CORRUPT, f"{path} is truncated or no MATLAB 7.3 file of COFW: {quote(error)}", split))
            continue
        if phis.shape != (count, 3 * POINTS) or boxes.shape != (count, 4):
            message = f"{path}: {count} images, but landmarks {phis.shape}, boxes {boxes.shape}"
            report(Issue(Severity.CORRUPT, message, split))
            continue
        for index in range(count):
            source = "lfpw" if split == "train" and index < FROM_LFPW else "cofw"
            x, y, occluded = phis[index].reshape(3, POINTS)
            left, top, width, height = boxes[index].tolist()
            if not are_coordinates(phis[index]) or not are_coordinates(boxes[index]):
                message = f"{path}: face {index + 1} has numbers that are not {IN_RANGE}"
                report(Issue(Severity.CORRUPT, message, split))
                continue
            yield unread_sample(
                HDF5Image(path, f"Is{suffix}", index),
                landmarks=np.column_stack([x - 1, y - 1]).astype(np.float32),
                scheme=COFW_29,
                visibility=occluded == 0,
                boxes={"detector": box_of(left - 1, top - 1, width, height)},
                key=key_of("cofw", split, f"{index + 1:04d}"),
                attributes={"split": split, "subsets": source},
            )
        if split == "test":
            yield from _read_68(root, path, count, report)


def _read_68(root: Path, path: Path, count: int, report: Report) -> Iterator[UnreadSample]:
    folder = first_below(root, *ANNOTATIONS_68)
    if folder is None:
        report(Issue(Severity.LEFT_OUT, f"COFW68's labels (split test68): no {root / ANNOTATIONS_68[0]}", "test68"))
        return
    for index in range(count):
        file = folder / f"{index + 1}_points.mat"
        if not file.is_file():
            report(Issue(Severity.MISSING, str(file), "test68"))
            continue
        try:
            content = load_matrices(file, ["Points", "Occ"])
            points, occluded = content["Points"], content["Occ"].ravel()
            if points.shape != (68, 2) or occluded.shape != (68,) or not are_coordinates(points):
                shapes = f"Points {points.shape}, Occ {occluded.shape}"
                raise ValueError(f"{shapes}, expected (68, 2) {IN_RANGE} and 68")
        except (OSError, ValueError) as error:
            report(Issue(Severity.CORRUPT, f"{file}: {quote(error)}", "test68"))
            continue
        yield unread_sample(
            HDF5Image(path, "IsT", index),
            landmarks=(points - 1).astype(np.float32),
            scheme=IBUG_68,
            visibility=occluded == 0,
            key=key_of("cofw68", f"{index + 1:04d}"),
            attributes={"split": "test68"},
        )


def _file(root: Path, split: str) -> Path | None:
    folders = ("", "COFW_color/", "common/xpburgos/behavior/code/pose/")
    return first_below(root, *(f"{f}COFW_{split}{kind}.mat" for kind in ("_color", "") for f in folders))
