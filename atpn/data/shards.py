"""Samples on disk: WebDataset tar shards, each sample a `KEY.jpg` (or `.png`) and a `KEY.json`.

Where dense points are known, a `KEY.dense.npy` between them holds (P, 3) int16: x and y in sixteenths of a pixel, and
whether the point is seen.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from atpn.data.field_names import with_new_field_names
from atpn.data.sample import Sample
from atpn.data.stored_labels import parse_labels
from atpn.data.tar_file import TarMember, read_tar, write_tar
from edge_runtime.arrays import parse_array
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.reading import quote, read_json

JPEG_QUALITY = 95
"""High, so that storage adds little to the renderer's own degradations."""


DENSE_FILE = "dense.json"
"""File beside the shards: the dense points' places on the mean-face plane by head model (`attributes["head"]`)."""
DENSE_STEPS = 16
"""Fixed-point steps of dense coordinates per pixel; ±2048 px fit into 16 bits."""
SCHEME_FILE = "scheme.json"
"""File beside the shards: definition of the samples' landmark scheme, unless it is a known one."""


def write_shard(path: Path, samples: Iterable[Sample]) -> int:
    """Write samples into one tar file and return their number; the file appears only once it is complete."""
    count = 0

    def members() -> Iterator[tuple[str, bytes]]:
        nonlocal count
        for sample in samples:
            ok, jpeg = cv2.imencode(".jpg", sample.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            if not ok:
                raise ValueError(f"sample {sample.key!r}: an image of shape {sample.image.shape} cannot be encoded")
            yield f"{sample.key}.jpg", jpeg.tobytes()
            if sample.dense is not None:
                yield f"{sample.key}.dense.npy", _packed(sample.dense, sample.dense_visibility)
            yield f"{sample.key}.json", json.dumps(_labels(sample)).encode()
            count += 1

    write_tar(path, members())
    return count


@dataclass(frozen=True)
class StoredSample:
    """A sample whose image is still encoded, so that a whole training set fits in memory."""

    encoded: bytes
    labels: dict[str, Any]
    dense: bytes | None = None
    """The dense points as stored."""
    shard: Path | None = None
    """File of the sample."""
    offset: int = 0
    """Position of the encoded image in the file, bytes."""

    def packed_dense(self) -> np.ndarray | None:
        """Return (P, 3) int16 dense points: x and y in `DENSE_STEPS` per pixel, and visibility; None without.

        ValueError if they are damaged.
        """
        if self.dense is None:
            return None
        dense = parse_array(self.dense)
        if dense.dtype != np.int16 or dense.ndim != 2 or dense.shape[1] != 3:
            raise ValueError(
                f"{self.shard}: sample {quote(self.labels['key'])} has dense points of {dense.dtype} {dense.shape}, "
                "expected int16 (P, 3); make the shard again"
            )
        return dense


def list_shards(folder: Path) -> list[Path]:
    """Return the sorted shards of a folder; FileNotFoundError if there are none."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder; make it with `python -m atpn render` or `python -m atpn datasets convert`"
        )
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise FileNotFoundError(f"no .tar shards in {folder}; `python -m atpn render --out {folder}` makes some")
    return shards


def claim_folder(manifest: Path, setup: Mapping[str, Any]) -> None:
    """Record in a JSON file what the shards of its folder are made from; make the folder.

    ValueError if the folder holds shards made from something else.
    """
    text = json.dumps(setup, indent=1) + "\n"
    folder, new = manifest.parent, json.loads(text)
    if manifest.is_file():
        old = with_new_field_names(read_json(manifest))
        if not isinstance(old, dict):
            raise ValueError(f"{manifest} is not a JSON object; choose another --out or delete the folder")
        changed = [f"{key} was {old.get(key)}, got {value}" for key, value in new.items() if old.get(key) != value]
        if changed:
            raise ValueError(
                f"{folder} holds shards of another setup: {'; '.join(changed)}; choose another --out or delete it"
            )
    elif any(folder.glob("*.tar")):
        raise ValueError(f"{folder} holds shards but no {manifest.name}; choose another --out")
    write_atomically(manifest, text.encode())


def write_scheme(folder: Path, scheme: LandmarkScheme | None) -> None:
    """Write the definition of the shards' scheme, unless it is a known one; ValueError if the folder has another."""
    if scheme is None or isinstance(scheme.reference, str):
        return
    path = folder / SCHEME_FILE
    if path.is_file() and LandmarkScheme.read(path) != scheme:
        raise ValueError(f"{path} defines another scheme than {scheme.name}; choose another --out")
    write_atomically(path, (json.dumps(scheme.to_dict()) + "\n").encode())


def read_shard(path: Path) -> Iterator[StoredSample]:
    """Yield the samples of a shard, once all of it was checked.

    A shard of an earlier version has no checksum, which is logged; only its headers and its end are checked.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is cut, changed, or not a shard.
    """
    images: dict[str, TarMember] = {}
    dense: dict[str, bytes] = {}
    try:
        for member in read_tar(path):
            key, _, extension = member.name.partition(".")
            if extension in {"jpg", "png"}:
                images[key] = member
            elif extension == "dense.npy":
                dense[key] = member.content
            elif extension == "json":
                labels = parse_labels(member.content, member.name)
                if key not in images:
                    raise ValueError(f"{quote(member.name)} has no image before it")
                image = images.pop(key)
                yield StoredSample(image.content, labels, dense.pop(key, None), path, image.offset)
        if images or dense:
            raise ValueError(f"{quote(next(iter({**images, **dense})))} has no labels")
    except ValueError as error:
        raise ValueError(
            f"{path} is not a complete shard: {error}; delete it and make it again, or copy it again"
        ) from error


def _labels(sample: Sample) -> dict[str, Any]:
    return {
        "key": sample.key,
        "scheme": None if sample.scheme is None else sample.scheme.name,
        "landmarks": _rounded(sample.landmarks, 3),
        "visibility": None if sample.visibility is None else sample.visibility.astype(int).tolist(),
        "rotation": _rounded(sample.rotation, 6),
        "intrinsics": asdict(sample.intrinsics) if sample.intrinsics else None,
        "neighbours": _rounded(sample.neighbors, 2),
        "boxes": {kind: [round(side, 2) for side in box] for kind, box in sample.boxes.items()},
        "attributes": sample.attributes,
        **({} if sample.expressions is None else {"expressions": _rounded(sample.expressions, 4)}),
        **({} if sample.gaze is None else {"gaze": _rounded(sample.gaze, 5)}),
    }


def _packed(dense: np.ndarray, visibility: np.ndarray | None) -> bytes:
    seen = np.ones(len(dense), bool) if visibility is None else visibility
    steps = np.clip(np.round(dense * DENSE_STEPS), -32768, 32767)
    stream = io.BytesIO()
    np.save(stream, np.column_stack([steps, seen]).astype(np.int16))
    return stream.getvalue()


def _rounded(array: np.ndarray | None, digits: int) -> list[Any] | None:
    """Return nested lists, with null for NaN."""
    if array is None:
        return None
    rounded = array.astype(np.float64).round(digits)
    return np.where(np.isnan(rounded), None, rounded).tolist()
