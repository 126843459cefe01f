"""CVAT for images 1.1: one XML file with an `image` element per image.

A face is a `points` element with all its points, in the scheme's order, or a `skeleton` whose points' labels are names
in the scheme, or numbers. A skeleton's point that is `outside` is not labeled, an `occluded` one is hidden. CVAT shows
photographs turned upright by their Exif orientation, and counts pixels from 0 at the image's outer edge.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.readers.label_file import (
    Complain,
    LabeledFace,
    LabeledImage,
    LabelError,
    LabelSet,
    split_of,
)
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_bytes

FIRST_PIXEL = 0.5
_AS_COCO = "export the task as COCO Keypoints instead"


def parse_cvat(path: Path, root: Path, complain: Complain) -> LabelSet:
    """Read a file; complain about images and faces that cannot be used."""
    try:
        tree = ElementTree.fromstring(read_bytes(path, MAX_LABEL_BYTES, LabelError))
    except LabelError:
        raise
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:  # also for its encoding's name
        raise LabelError(f"{path} is not XML: {quote(error)}; export it again") from error
    if tree.tag != "annotations" or not (tree.findtext("version") or "").startswith("1."):
        raise LabelError(f"{path} is not an XML file of CVAT for images 1.1; {_AS_COCO}")
    if tree.find("track") is not None:
        raise LabelError(f"{path} holds tracks, of CVAT for video; export the task as CVAT for images 1.1")
    folders = tuple(f / sub for f in dict.fromkeys((root, path.parent)) for sub in ("", "images", "images/default"))
    images, ignored, empty = [], Counter(), 0
    for number, element in enumerate(tree.iter("image"), 1):
        name = element.get("name") or ""
        where = f"{path} image {number}" + f" ({name})" * bool(name)
        faces = []
        for child in element:
            if child.tag not in ("points", "skeleton"):
                ignored[child.tag] += 1
                continue
            place = f"{where} {child.tag} {len(faces) + 1}"
            try:
                faces.append(_skeleton(child, place) if child.tag == "skeleton" else _points(child, place))
            except LabelError as error:
                complain(place, str(error))
        if not name:
            complain(where, "no name; export the file again")
            continue
        empty += not len(element)
        if faces:
            size = element.get("width", ""), element.get("height", "")
            stated = (int(size[0]), int(size[1])) if all(s.isdecimal() and len(s) < 10 for s in size) else None
            split = split_of(element.get("subset") or "")
            images.append(LabeledImage(where, name, folders, tuple(faces), stated, split))
    notes = [f"{path}: {empty} images without annotations, which may show faces"] if empty else []
    notes += [f"{path}: {count} elements {tag}" for tag, count in ignored.items()]
    return LabelSet(images, first_pixel=FIRST_PIXEL, notes=tuple(notes))


def _points(element: ElementTree.Element, where: str) -> LabeledFace:
    points = _coordinates(element)
    if len(points) == 1:
        raise LabelError(
            f"a single point, labeled {element.get('label')!r}: which face it belongs to is unknown; label a face by "
            f"one points element or a skeleton, or {_AS_COCO}"
        )
    return LabeledFace(where, points)


def _skeleton(element: ElementTree.Element, where: str) -> LabeledFace:
    rows, labels, visible = [], [], []
    for child in element.iter("points"):
        label, points = child.get("label") or "", _coordinates(child)
        if len(points) != 1 or not label:
            raise LabelError(f"a skeleton's point {label!r} with {len(points)} points, expected one and a label")
        if label in labels:
            raise LabelError(f"two points are labeled {label!r}")
        labels.append(label)
        rows.append(points[0] if child.get("outside") != "1" else (np.nan, np.nan))
        visible.append(child.get("outside") != "1" and child.get("occluded") != "1")
    if not np.isfinite(rows).any():
        raise LabelError("a skeleton without a point inside the image; remove it")
    return LabeledFace(where, np.array(rows), tuple(labels), complete=False, visibility=np.array(visible))


def _coordinates(element: ElementTree.Element) -> np.ndarray:
    text = element.get("points") or ""
    try:
        points = np.array([pair.split(",") for pair in text.split(";")], np.float64)
    except ValueError:
        points = np.empty((0, 0))
    if points.ndim != 2 or points.shape[1] != 2 or not are_coordinates(points):
        raise LabelError(f"points are {text[:60]!r}, expected x,y;x,y and so on, {IN_RANGE}")
    return points
