"""Label files of every supported dataset, and of every labeling tool."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from atpn.data.readers.issues import Issue
from atpn.data.readers.registry import find_datasets
from tests.atpn.conftest import draw_sample
from tests.atpn.data.conftest import WRITERS, DrawnFaces
from tests.fuzz.mutations import Mutate, of_bytes, of_json, of_text
from tests.fuzz.outcome import MAX_MESSAGE, check
from tests.fuzz.target import Target

FACE = ((20.0, 10.0), (40.0, 10.0), (30.0, 18.0), (22.0, 28.0), (38.0, 28.0))
"""Five landmarks in a 60 x 40 image."""


def _read(name: str, folder: Path) -> None:
    """Read all labels and the first images; issues are reported, with bounded messages."""
    issues: list[Issue] = []
    for found in find_datasets(folder, name):
        for sample in itertools.islice(found.read(issues.append), 50):
            labels = sample.labels
            check(labels.landmarks is None or labels.landmarks.dtype == np.float32, f"landmarks are {labels.landmarks}")
            check(labels.landmarks is None or not np.isinf(labels.landmarks).any(), "a landmark is infinite")
            check(labels.rotation is None or np.isfinite(labels.rotation).all(), "a rotation is not finite")
    longest = max((len(issue.message) for issue in issues), default=0)
    check(longest <= MAX_MESSAGE, f"an issue of {longest} characters")


def _dataset(name: str, writer: str, files: str, mutate: Mutate = of_text) -> Target:
    """Return the target of a dataset: a few drawn faces in its layout, and the glob of its label files."""
    return Target(
        f"dataset-{name}",
        lambda folder: WRITERS[writer](DrawnFaces(draw_sample), folder) and None,
        lambda folder, _: _read(name, folder),
        (ValueError, OSError),
        mutate,
        files,
        weight=0.5,
    )


def _own(name: str, file: str, content: Callable[[], str], mutate: Mutate) -> Target:
    """Return the target of one format of own labels."""

    def make(folder: Path) -> None:
        cv2.imwrite(str(folder / "a.png"), np.zeros((40, 60, 3), np.uint8))
        (folder / file).write_text(content())

    return Target(
        f"labels-{name}", make, lambda folder, _: _read("own", folder), (ValueError, OSError), mutate, file, weight=0.5
    )


def _labels_json() -> str:
    face = {
        "landmarks": FACE,
        "visibility": [1, 0, 1, 1, 1],
        "box": [15, 5, 45, 35],
        "pose": [5, -10, 2],
        "identity": "ann",
    }
    images = [{"image": "a.png", "split": "train", "faces": [face]}]
    return json.dumps({"scheme": "celeba5", "first_pixel": 0, "images": images})


def _labels_csv() -> str:
    names = ",".join(f"x{i},y{i}" for i in range(len(FACE)))
    values = ",".join(f"{x},{y}" for x, y in FACE)
    return f"image,split,identity,{names}\na.png,train,ann,{values}\n"


def _coco() -> str:
    annotation: dict[str, Any] = {
        "id": 7,
        "image_id": 3,
        "category_id": 1,
        "bbox": [20.0, 10.0, 20.0, 18.0],
        "iscrowd": 0,
        "keypoints": [value for x, y in FACE for value in (x, y, 2)],
        "num_keypoints": len(FACE),
    }
    category = {"id": 1, "name": "face", "keypoints": list("abcde"), "skeleton": [[1, 2]]}
    image = {"id": 3, "width": 60, "height": 40, "file_name": "a.png"}
    return json.dumps({"categories": [category], "images": [image], "annotations": [annotation]})


def _labelme() -> str:
    shapes = [
        {"label": str(i), "points": [xy], "group_id": None, "shape_type": "point", "flags": {}}
        for i, xy in enumerate(FACE)
    ]
    size = {"imageHeight": 40, "imageWidth": 60}
    return json.dumps(
        {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.png", "imageData": None} | size
    )


def _cvat() -> str:
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in FACE)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        '<image id="0" name="a.png" subset="Test" width="60" height="40">\n'
        f'<points label="face" source="manual" occluded="0" points="{points}" z_order="0">\n</points>\n'
        "</image>\n</annotations>\n"
    )


TARGETS = (
    _dataset("wflw", "wflw", "WFLW_annotations/**/*.txt"),
    _dataset("300w", "ibug300w", "**/*.pts"),
    _dataset("cofw", "cofw", "*.mat", of_bytes),
    _dataset("merl-rav", "merl_rav", "**/*.pts"),
    _dataset("300w-lp", "w300lp", "AFW/*.mat", of_bytes),
    _dataset("aflw2000-3d", "aflw2000", "*.mat", of_bytes),
    _dataset("biwi", "biwi", "01/*[lt]"),
    _dataset("wider-face", "wider_face", "wider_face_split/*.txt"),
    _dataset("300vw", "w300vw", "001/annot/*.pts"),
    _dataset("celeba", "celeba", "**/*.txt"),
    _dataset("london", "london", "**/*.tem"),
    _own("json", "labels.json", _labels_json, of_json),
    _own("csv", "labels.csv", _labels_csv, of_text),
    _own("coco", "instances.json", _coco, of_json),
    _own("labelme", "a.json", _labelme, of_json),
    _own("cvat", "annotations.xml", _cvat, of_text),
)
