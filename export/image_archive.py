"""JPEGs with labels in one .npz file, as committed sets of images are stored."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.files import write_atomically
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
    advice = f"make one with `python -m export {command} --data FOLDER_OF_RENDERS`"
    if not path.is_file():
        raise ExportError(f"no file {path}: {advice}")
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            archive = ImageArchive(
                images=[_decode(jpeg) for jpeg in np.split(arrays["jpeg"], arrays["ends"][:-1])],
                labels={name: arrays[name] for name in labels},
                about=json.loads(str(arrays["about"])),
                sha256=hashlib.sha256(content).hexdigest(),
            )
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, cv2.error) as error:
        raise ExportError(f"{path} is damaged or not made by {command} ({error}): copy it again or {advice}") from error
    if size is not None and (found := archive.images[0].shape[0]) != size:
        raise ExportError(f"the network takes {size} px images, {path} holds {found} px ones: {advice} at {size} px")
    return archive


def _decode(jpeg: np.ndarray) -> np.ndarray:
    image: np.ndarray | None = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError("an image cannot be decoded")
    return image
