"""Your own faces: a label file of your own, of COCO, LabelMe, or CVAT, beside the images.

`labels.json`: a list of images, or an object with that list as `images` and, for all of them, `scheme` and
`first_pixel`:

    {"scheme": "ibug68", "first_pixel": 0, "images": [
      {"image": "a/1.jpg", "split": "train", "faces": [
        {"landmarks": [[x, y], …], "visibility": [1, 0, …], "box": [left, top, right, bottom],
         "pose": [pitch, yaw, roll], "identity": "ann"}]}]}

Only `image` and `faces` are required; a face needs `landmarks` or a `box`, and an empty list is an image without a
face. An unknown landmark is null. `pose` is in degrees: looking up, turning to the image's right and tilting clockwise
are positive. Other entries are ignored.

`labels.csv`: a row per face with the columns `image`, `x0`, `y0`, `x1`, `y1` …, optionally `split` and `identity`. The
separator may be a comma, a semicolon, or a tab; with the latter two, numbers may have a decimal comma.

COCO keypoints (`annotations/*.json` or `*.json`), LabelMe (a `.json` per image), CVAT for images 1.1
(`annotations.xml`): as the tools write them. Name a file instead of the folder to read that file alone.

`scheme` is wflw98, ibug68, cofw29, celeba5, or a definition of your own (`--scheme FILE`, a `scheme.json` beside the
labels, or the definition itself in labels.json); the default follows from the number of landmarks. `first_pixel` is the
coordinate of the first pixel's center: 0 (default; COCO), 1 in labels from MATLAB, 0.5 if 0 is the image's outer edge
(LabelMe, CVAT). Coordinates are pixels; fractions of the width and height need `--normalized`.

A photograph with an Exif orientation is taken as viewers and labeling tools show it, turned, unless only its stored
pixels have the size that the file states, or hold all points; `--exif` decides otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.readers.coco import is_coco, parse_coco
from atpn.data.readers.cvat import parse_cvat
from atpn.data.readers.images import UnreadSample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from atpn.data.readers.label_file import (
    Complain,
    LabeledFace,
    LabeledImage,
    LabelError,
    LabelSet,
    list_of,
    load_json,
    numbers_of,
    text_of,
)
from atpn.data.readers.label_samples import SCHEME_FILE, LabelOptions, LabelReader
from atpn.data.readers.labelme import is_labelme, parse_labelme
from atpn.data.readers.table import parse_table
from edge_runtime.face import Pose
from edge_runtime.landmarks import LandmarkScheme

NAMES = ("labels.json", "labels.csv")
"""Label files that are read first, in this order."""
SUFFIXES = (".json", ".csv", ".tsv", ".txt", ".xml")
"""Suffixes of label files."""
_FOLDERS = ("", "annotations", "labels", "images", "train", "val", "valid", "test")
"""Where LabelMe's files and COCO's may lie."""
_HEAD = 65536
"""Bytes of a file by which its format is recognized; LabelMe stores the image as text behind them."""
_FORMATS = re.compile(r'"(shapes|imagePath|imageData|imageHeight)"|"(categories|annotations|file_name)"')


def recognize(root: Path) -> bool:
    """Return whether the folder holds a label file."""
    return has_own_names(root) or next(_tool_files(root), None) is not None


def has_own_names(root: Path) -> bool:
    """Return whether the folder holds a file of `NAMES`."""
    return any((root / name).is_file() for name in NAMES)


def read(
    root: Path, report: Report = raise_issue, options: LabelOptions | None = None, file: Path | None = None
) -> Iterator[UnreadSample]:
    """Yield the faces in the order of the labels; of several label files in a folder, those of the first format.

    `file` is the label file to read; None: those that are recognized.
    """
    options = options or LabelOptions()

    def complain(where: str, message: str) -> None:
        report(Issue(Severity.CORRUPT, f"{where}: {message}"))

    try:
        sets = _label_sets(root, file, complain)
        yield from LabelReader(root, report, complain, options, sets).samples()
    except LabelError as error:
        report(Issue(Severity.CORRUPT, str(error)))
    except OSError as error:
        report(Issue(Severity.CORRUPT, f"{error.filename}: {error.strerror}"))


def _tool_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield format and path of the label files of known tools in a folder."""
    for folder in dict.fromkeys(root / name for name in _FOLDERS):
        for path in sorted(folder.glob("*.json")) + sorted(folder.glob("annotations.xml")):
            if path.name.startswith(".") or not path.is_file() or path.name == SCHEME_FILE:
                continue
            with path.open("rb") as stream:
                head = stream.read(_HEAD).decode(errors="ignore")
            if path.suffix == ".xml" and "<annotations" in head:
                yield "cvat", path
            elif found := _FORMATS.search(head):
                yield "labelme" if found[1] else "coco", path


def _label_sets(root: Path, file: Path | None, complain: Complain) -> list[LabelSet]:
    if file is None:
        file = next((root / name for name in NAMES if (root / name).is_file()), None)
    if file is not None:
        return [_read_file(file, root, complain)]
    found = list(_tool_files(root))
    if not found:
        raise LabelError(f"no label file in {root}; expected {' or '.join(NAMES)}, or one of COCO, LabelMe, or CVAT")
    kind = found[0][0]
    paths = [path for other, path in found if other == kind]
    if kind == "labelme":
        return [parse_labelme(paths, root, complain)]
    return [_read_file(path, root, complain) for path in paths]


def _read_file(path: Path, root: Path, complain: Complain) -> LabelSet:
    if path.suffix == ".xml":
        return parse_cvat(path, root, complain)
    if path.suffix != ".json":
        return parse_table(path, complain)
    content = load_json(path)
    if is_coco(content):
        return parse_coco(path, content, root, complain)
    return parse_labelme([path], root, complain) if is_labelme(content) else _parse_own(path, content, complain)


def _parse_own(path: Path, content: Any, complain: Complain) -> LabelSet:
    head = {"images": content} if isinstance(content, list) else content
    if not isinstance(head, dict) or not isinstance(head.get("images"), list):
        keys = f"the keys {', '.join(map(str, head)) or 'none'}" if isinstance(head, dict) else type(head).__name__
        raise LabelError(
            f"{path} has {keys}, expected a list of images, or an object with `images`; see `python -m atpn datasets "
            "list own` for the formats that are read"
        )
    (first_pixel,) = numbers_of(head.get("first_pixel", 0), 1, f"{path}: first_pixel")
    try:
        scheme = None if head.get("scheme") is None else LandmarkScheme.from_reference(head["scheme"])
    except ValueError as error:
        raise LabelError(f"{path}: {error}; define your own in a JSON file and give it as --scheme FILE") from error
    images = []
    for number, entry in enumerate(head["images"], 1):
        where = f"{path} image {number}"
        try:
            name, faces, split = text_of(entry, "image"), list_of(entry, "faces"), str(entry.get("split", "all"))
        except LabelError as error:
            complain(where, str(error))
            continue
        read = []
        for index, face in enumerate(faces, 1):
            place = f"{where} ({name}) face {index}"
            try:
                read.append(_own_face(face, place))
            except LabelError as error:
                complain(place, str(error))
        if read or not faces:
            images.append(LabeledImage(where, name, (path.parent,), tuple(read), split=split))
    return LabelSet(images, scheme, first_pixel)


def _own_face(face: Any, where: str) -> LabeledFace:
    if not isinstance(face, dict) or not (face.get("landmarks") or face.get("box")):
        raise LabelError("a face with neither landmarks nor a box; give one of them, or remove it")
    landmarks = visibility = box = rotation = None
    if face.get("landmarks"):
        rows = list_of(face, "landmarks")
        if three := next((row for row in rows if isinstance(row, list) and len(row) == 3), None):
            raise LabelError(
                f"a landmark is {three}, expected two numbers, x and y; give the visibility of all landmarks as a list "
                "of its own, `visibility`"
            )
        points = [[np.nan] * 2 if row is None else numbers_of(row, 2, f"landmark {i}") for i, row in enumerate(rows)]
        landmarks = np.array(points)
        if face.get("visibility") is not None:
            flags = face["visibility"]
            if not isinstance(flags, list) or len(flags) != len(rows) or any(v not in (0, 1) for v in flags):
                raise LabelError(f"visibility must be {len(rows)} numbers, 0 or 1, one per landmark")
            visibility = np.array(flags, bool)
    if face.get("box") is not None:
        left, top, right, bottom = numbers_of(face["box"], 4, "box (left, top, right, bottom)")
        if right <= left or bottom <= top:
            raise LabelError(f"box is {face['box']}, expected left < right and top < bottom, not a width and a height")
        box = left, top, right, bottom
    if face.get("pose") is not None:
        pitch, yaw, roll = np.radians(numbers_of(face["pose"], 3, "pose (pitch, yaw, roll)")).tolist()
        rotation = Pose.from_angles(pitch, yaw, roll).matrix
    identity = str(face["identity"]) if face.get("identity") else ""
    return LabeledFace(where, landmarks, visibility=visibility, box=box, rotation=rotation, identity=identity)
