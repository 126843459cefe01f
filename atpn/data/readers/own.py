"""Your own faces: a `labels.json` or a `labels.csv` in a folder, with image paths relative to it.

JSON: a list of images, or an object with that list as `images` and, for all of them, `scheme` and `first_pixel`:

    {"scheme": "ibug68", "first_pixel": 0, "images": [
      {"image": "a/1.jpg", "split": "train", "faces": [
        {"landmarks": [[x, y], …], "visibility": [1, 0, …], "box": [left, top, right, bottom],
         "pose": [pitch, yaw, roll], "identity": "ann"}]}]}

Only `image` and `faces` are required; a face needs `landmarks` or a `box`, and an empty list is an image without a
face. An unknown landmark is null. `pose` is in degrees: looking up, turning to the image's right and tilting clockwise
are positive. Other entries are ignored.

CSV: a row per face with the columns `image`, `x0`, `y0`, `x1`, `y1` …, optionally `split` and `identity`.

`scheme` is wflw98, ibug68, cofw29 or celeba5; the default follows from the number of landmarks. `first_pixel` is the
coordinate of the first pixel's center: 0 (default), 1 in labels from MATLAB, 0.5 if 0 is the image's outer edge. Exif
orientation is ignored: labels are in the pixels as stored.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.face_boxes import box_corners
from atpn.data.readers.images import NO_IMAGE, ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from atpn.data.sample import Sample
from edge_runtime.face import Pose
from edge_runtime.landmarks import SCHEMES

NAMES = ("labels.json", "labels.csv")


def recognize(root: Path) -> bool:
    """Return whether the folder holds one of the two files."""
    return any((root / name).is_file() for name in NAMES)


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces in the order of the file; of both files the JSON one is read."""
    path = next(root / name for name in NAMES if (root / name).is_file())
    try:
        content = json.loads(path.read_text()) if path.suffix == ".json" else _table(path)
        head = {"images": content} if isinstance(content, list) else content
        scheme, first, images = head.get("scheme"), float(head.get("first_pixel", 0)), head["images"]
        if scheme is not None and scheme not in SCHEMES:
            raise ValueError(f"unknown scheme {scheme!r}; known: {', '.join(SCHEMES)}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        report(Issue(Severity.CORRUPT, f"{path} is not in the format of `python -m atpn datasets list own`: {error!r}"))
        return
    for number, entry in enumerate(images):
        try:
            image = root / entry["image"]
            faces = [_face(face, scheme, first) for face in entry["faces"]]
        except (KeyError, TypeError, ValueError) as error:
            report(Issue(Severity.CORRUPT, f"{path}, image {number + 1}: {error!r}"))
            continue
        attributes = {"split": str(entry.get("split", "all")), "identity": str(entry["image"])}
        if not image.is_file():
            report(Issue(Severity.MISSING, str(image), attributes["split"]))
        stem = key_of("own", f"{number:06d}", image.stem)
        if not faces:
            yield UnreadSample(Sample(NO_IMAGE, key=stem, attributes=attributes), ImageFile(image))
        outlines = [f["landmarks"] if "landmarks" in f else box_corners(f["boxes"]["detector"]) for f in faces]
        for index, (face, raw) in enumerate(zip(faces, entry["faces"], strict=True)):
            others = [outline for i, outline in enumerate(outlines) if i != index]
            alike = len({outline.shape for outline in others}) == 1
            identity = {"identity": str(raw["identity"])} if raw.get("identity") else {}
            yield unread_sample(
                ImageFile(image),
                **face,
                neighbors=np.array(others, np.float32) if alike else None,
                key=f"{stem}_{index}",
                attributes=attributes | identity,
            )


def _face(face: dict[str, Any], scheme: str | None, first: float) -> dict[str, Any]:
    """Return the fields of a sample; ValueError for a face without landmarks or box, or with an unexpected count."""
    fields: dict[str, Any] = {}
    if face.get("landmarks") is not None:
        rows = [(np.nan, np.nan) if row is None else row for row in face["landmarks"]]
        landmarks = np.array(rows, np.float32).reshape(-1, 2) - np.float32(first)
        named = scheme or next((name for name, s in SCHEMES.items() if s.count == len(landmarks)), None)
        if named is None or SCHEMES[named].count != len(landmarks):
            expected = named or " or ".join(f"{s.count} ({name})" for name, s in SCHEMES.items())
            raise ValueError(f"{len(landmarks)} landmarks, expected {expected}")
        fields |= {"landmarks": landmarks, "scheme": named}
        if face.get("visibility") is not None:
            fields["visibility"] = np.array(face["visibility"], bool).reshape(len(landmarks))
    if face.get("box") is not None:
        left, top, right, bottom = (float(side) - first for side in face["box"])
        fields["boxes"] = {"detector": (left, top, right, bottom)}
    if not fields:
        raise ValueError("a face with neither landmarks nor a box")
    if face.get("pose") is not None:
        pitch, yaw, roll = map(float, np.radians(face["pose"]))
        fields["rotation"] = Pose.from_angles(pitch, yaw, roll).matrix
    return fields


def _table(path: Path) -> list[dict[str, Any]]:
    """Read a CSV file as the JSON file's list of images; an empty cell is an unknown landmark."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    images: dict[str, dict[str, Any]] = {}
    for row in rows:
        count = sum(name.startswith("x") and name[1:].isdigit() for name in row)
        cells = [(row[f"x{i}"], row[f"y{i}"]) for i in range(count)]
        landmarks = [None if "" in cell else [float(cell[0]), float(cell[1])] for cell in cells]
        entry = images.setdefault(row["image"], {"image": row["image"], "faces": []})
        if row.get("split"):
            entry["split"] = row["split"]
        entry["faces"].append({"landmarks": landmarks, "identity": row.get("identity")})
    return list(images.values())
