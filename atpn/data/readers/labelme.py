"""LabelMe: a JSON file per image with `shapes` and `imagePath`.

Each landmark is a shape of type `point` whose label is its name in the scheme, or its number. Points of one face share
a `group_id`, which may be null if the image shows one face. A `rectangle` of the group is the face's box. LabelMe shows
photographs turned upright by their Exif orientation, and counts pixels from 0 at the image's outer edge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.readers.label_file import (
    Complain,
    LabeledFace,
    LabeledImage,
    LabelError,
    LabelSet,
    list_of,
    load_json,
    numbers_of,
    size_of,
    split_of,
    text_of,
)

FIRST_PIXEL = 0.5


def is_labelme(content: Any) -> bool:
    """Return whether a JSON file's content is LabelMe's."""
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def parse_labelme(paths: Sequence[Path], root: Path, complain: Complain) -> LabelSet:
    """Read the files of a folder; complain about those that cannot be used."""
    images, ignored, empty = [], Counter(), 0
    for path in paths:
        try:
            content = load_json(path)
            if not is_labelme(content):
                raise LabelError("no shapes and imagePath, as LabelMe's files have; move the file elsewhere")
            # Paths are written on any system.
            name = text_of(content, "imagePath").replace("\\", "/")
            faces = _faces(path, list_of(content, "shapes"), ignored)
        except LabelError as error:
            complain(str(path), str(error))
            continue
        empty += not faces
        if faces:
            folders = (path.parent, root, root / "images")
            size = size_of(content, "imageWidth", "imageHeight")
            split = split_of(path.parent.name) if path.parent != root else "all"
            images.append(LabeledImage(str(path), name, folders, tuple(faces), size, split))
    notes = [f"{root}: {empty} images without labeled points, which may show faces"] if empty else []
    notes += [f"{root}: {count} shapes of type {kind}" for kind, count in ignored.items()]
    return LabelSet(images, first_pixel=FIRST_PIXEL, notes=tuple(notes))


def _faces(path: Path, shapes: list[Any], ignored: Counter[str]) -> list[LabeledFace]:
    groups: dict[Any, dict[str, list[float]]] = defaultdict(dict)
    boxes: dict[Any, tuple[float, float, float, float]] = {}
    for number, shape in enumerate(shapes, 1):
        label, kind = text_of(shape, "label"), shape.get("shape_type", "polygon")
        group = shape.get("group_id")
        if not isinstance(group, int | str | None):
            raise LabelError(f"shape {number}: group_id is {group!r}, expected a number or null")
        if kind == "rectangle":
            corners = [numbers_of(p, 2, f"a corner of shape {number}") for p in list_of(shape, "points")]
            if len(corners) != 2:
                raise LabelError(f"shape {number}: a rectangle with {len(corners)} corners, expected 2")
            (left, top), (right, bottom) = np.min(corners, axis=0).tolist(), np.max(corners, axis=0).tolist()
            boxes[group] = left, top, right, bottom
        elif kind != "point":
            ignored[str(kind)] += 1
        else:
            if label in groups[group]:
                which = "with no group_id" if group is None else f"of group_id {group}"
                raise LabelError(
                    f"two points {which} are labeled {label!r}; give the points of each face a group_id of their own, "
                    "or correct the label"
                )
            points = list_of(shape, "points")
            groups[group][label] = numbers_of(points[0] if len(points) == 1 else points, 2, f"shape {number} ({label})")
    faces = []
    for group, points in groups.items():
        where = str(path) if group is None else f"{path} group_id {group}"
        faces.append(
            LabeledFace(where, np.array(list(points.values())), tuple(points), complete=False, box=boxes.get(group))
        )
    return faces
