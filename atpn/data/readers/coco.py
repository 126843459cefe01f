"""COCO keypoints: one JSON file with `images`, `annotations`, and `categories`, as COCO and most tools write it.

An annotation's `keypoints` are x, y, v per point of its category; v is 0 (not labeled), 1 (labeled, hidden), or 2
(visible). Pixels count from 0 at the first pixel's center, as COCO documents it.
"""

from __future__ import annotations

from collections import defaultdict
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
    numbers_of,
    size_of,
    split_of,
    text_of,
)
from edge_runtime.reading import quote

IMAGE_FOLDERS = ("images", "data")


def is_coco(content: Any) -> bool:
    """Return whether a JSON file's content is COCO's."""
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def parse_coco(path: Path, content: dict[str, Any], root: Path, complain: Complain) -> LabelSet:
    """Read the content of a file; complain about entries that cannot be used."""
    categories = _categories(path, content)
    by_image: dict[Any, list[LabeledFace]] = defaultdict(list)
    described = {_id_of(image) for image in list_of(content, "images") if isinstance(image, dict)}
    crowds, seen = 0, set()
    for number, annotation in enumerate(list_of(content, "annotations"), 1):
        known = isinstance(annotation, dict) and "id" in annotation
        where = f"{path} annotation {quote(annotation['id']) if known else f'number {number}'}"
        try:
            if not isinstance(annotation, dict) or _id_of(annotation, "image_id") not in described:
                raise LabelError("its image_id is of none of the images; export the file again")
            if known and _id_of(annotation) in seen:
                raise LabelError("another annotation has the same id; remove one")
            seen.add(_id_of(annotation))
            if annotation.get("iscrowd"):
                crowds += 1
                continue
            by_image[_id_of(annotation, "image_id")].append(_face(annotation, categories, where))
        except LabelError as error:
            complain(where, str(error))
    # Some tools write a file per split, others a folder.
    split = split_of(path.stem)
    if split == "all" and path.parent != root:
        split = split_of(path.parent.name)
    folders = tuple(
        folder / sub
        for folder in dict.fromkeys((path.parent, root, path.parent.parent))
        for sub in ("", *IMAGE_FOLDERS, split, *(f"{name}/{split}" for name in IMAGE_FOLDERS), "images/default")
    )
    images, ids, empty = [], set(), 0
    for number, entry in enumerate(content["images"], 1):
        where = f"{path} image {number}"
        try:
            name = text_of(entry, "file_name")
            if _id_of(entry) in ids:
                raise LabelError(
                    f"{quote(name)}: another image has the id {quote(_id_of(entry))}; export the file again"
                )
            ids.add(_id_of(entry))
        except LabelError as error:
            complain(where, str(error))
            continue
        if faces := by_image.get(_id_of(entry)):
            images.append(LabeledImage(where, name, folders, tuple(faces), size_of(entry), split))
        else:
            empty += 1
    notes = [f"{path}: {empty} images without annotations, which may show faces"] if empty else []
    notes += [f"{path}: {crowds} crowds (iscrowd)"] if crowds else []
    return LabelSet(images, notes=tuple(notes))


def _categories(path: Path, content: dict[str, Any]) -> dict[Any, tuple[str, tuple[str, ...]]]:
    """Return name and keypoints of each category by its id."""
    listed = content.get("categories")
    found = {}
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            keypoints = entry.get("keypoints")
            labels = tuple(map(str, keypoints)) if isinstance(keypoints, list) else ()
            found[_id_of(entry)] = str(entry.get("name", "")), labels
    if not any(keypoints for _, keypoints in found.values()):
        names = ", ".join(name for name, _ in found.values()) or "none"
        raise LabelError(
            f"{path}: no category has keypoints (categories: {quote(names)}); export as COCO keypoints, not as boxes "
            "or masks"
        )
    return found


def _id_of(entry: dict[str, Any], key: str = "id") -> str | float | None:
    """Return an id; of a list or object its text, which compares as well."""
    value = entry.get(key)
    return value if isinstance(value, str | int | float | None) else repr(value)


def _face(annotation: dict[str, Any], categories: dict[Any, tuple[str, tuple[str, ...]]], where: str) -> LabeledFace:
    if _id_of(annotation, "category_id") not in categories:
        raise LabelError(f"category_id {quote(_id_of(annotation, 'category_id'))} is of none of the categories")
    name, labels = categories[_id_of(annotation, "category_id")]
    if not labels:
        raise LabelError(f"its category {quote(name)} has no keypoints; remove it, or export the keypoints alone")
    values = numbers_of(list_of(annotation, "keypoints"), 3 * len(labels), f"keypoints of {quote(name)} (x, y, v each)")
    rows = np.array(values).reshape(-1, 3)
    if not np.isin(rows[:, 2], (0, 1, 2)).all():
        wrong = next(v for v in rows[:, 2] if v not in (0, 1, 2))
        raise LabelError(f"a keypoint's v is {wrong:g}, expected 0 (not labeled), 1 (hidden), or 2 (visible)")
    labeled = rows[:, 2] > 0
    if not labeled.any():
        located = "although they have coordinates; write 1 or 2" if rows[:, :2].any() else "; remove the annotation"
        raise LabelError(f"v is 0 (not labeled) for all {len(labels)} keypoints {located}".replace(" ;", ";"))
    attributes = annotation.get("attributes")
    identity = attributes.get("identity", "") if isinstance(attributes, dict) else ""
    points = np.where(labeled[:, None], rows[:, :2], np.nan)
    return LabeledFace(where, points, labels, visibility=rows[:, 2] == 2, identity=str(identity))
