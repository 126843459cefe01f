"""JPEGs with labels in one .npz file, as committed sets of images are stored."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.arrays import read_arrays
from edge_runtime.decoding import decode_image
from edge_runtime.files import write_atomically
from edge_runtime.reading import MAX_MODEL_BYTES, parse_json, quote, read_bytes
from export.errors import ExportError

log = logging.getLogger(__name__)

JPEG_QUALITY = 85
"""A 112 px crop takes about 4 KB; the network has seen stronger compression in training."""


@dataclass(frozen=True)
class ImageArchive:
    """The content of a file."""

    images: list[np.ndarray]
    """(S, S, 3) uint8 RGB."""
    labels: dict[str, np.ndarray]
    about: dict[str, Any]
    sha256: str
    """Of the file."""


def write_archive(path: Path, images: Sequence[np.ndarray], labels: dict[str, Any], about: dict[str, Any]) -> None:
    """Write (S, S, 3) uint8 RGB images, arrays of labels, and a description, atomically."""
    encoded = [cv2.imencode(".jpg", i[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1] for i in images]
    ends = np.cumsum([len(jpeg) for jpeg in encoded])
    content = io.BytesIO()
    np.savez_compressed(content, jpeg=np.concatenate(encoded), ends=ends, about=np.array(json.dumps(about)), **labels)
    write_atomically(path, content.getvalue())
    log.info("%s: %d images, %d KiB", path, len(images), len(content.getvalue()) // 1024)


def read_archive(path: Path, size: int | None, labels: Sequence[str], command: str) -> ImageArchive:
    """Read what `write_archive` wrote by a command of `python -m export`.

    ExportError when the file is missing or damaged, lacks an array of `labels`, or has images of another `size`.
    """
    advice = _advice(command)
    if not path.exists():
        raise ExportError(f"no file {path}: {advice}")
    content = read_bytes(path, MAX_MODEL_BYTES, ExportError)
    with damage_named(path, command):
        arrays = read_arrays(io.BytesIO(content), path.name, ["jpeg", "ends", "about", *labels])
        archive = ImageArchive(
            images=[decode_image(jpeg, cv2.IMREAD_COLOR_RGB) for jpeg in _split(arrays["jpeg"], arrays["ends"])],
            labels={name: arrays[name] for name in labels},
            about=_object(str(arrays["about"])),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        if len({image.shape for image in archive.images}) != 1:
            raise ValueError("its images have different sizes")
    if size is not None and (found := archive.images[0].shape[0]) != size:
        raise ExportError(f"the network takes {size} px images, {path} holds {found} px ones: {advice} at {size} px")
    return archive


@contextlib.contextmanager
def damage_named(path: Path, command: str) -> Iterator[None]:
    """Turn errors of a file's content into an ExportError that names the file and what makes it."""
    try:
        yield
    except (LookupError, OverflowError, TypeError, ValueError) as error:
        what = f"{path} is damaged or not made by {command} ({quote(error)})"
        raise ExportError(f"{what}: copy it again or {_advice(command)}") from error


def _advice(command: str) -> str:
    return f"make one with `python -m export {command} --data FOLDER_OF_RENDERS`"


def _split(encoded: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """Return the images' files, of which the last one ends at the end. ValueError if the ends are no such places."""
    if encoded.dtype != np.uint8 or encoded.ndim != 1 or ends.ndim != 1 or ends.dtype.kind not in "iu" or not len(ends):
        raise ValueError("its images are not bytes with their ends")
    if ends[0] <= 0 or (np.diff(ends.astype(np.int64)) <= 0).any() or ends[-1] != len(encoded):
        raise ValueError("the ends of its images do not ascend to the last byte")
    return np.split(encoded, ends[:-1].astype(np.int64))


def _object(text: str) -> dict[str, Any]:
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError("its description is not a JSON object")
    return value
