"""A training set by index: images stay encoded, in one buffer or in their shards, labels in plain arrays.

Loader processes are forked after loading. Python objects would be copied page by page as their reference counts
change; a handful of large arrays stays shared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from atpn.data.sample import Sample
from atpn.data.shards import DENSE_FILE, DENSE_STEPS, StoredSample, read_shard
from edge_runtime.geometry import Intrinsics
from edge_runtime.landmarks import LandmarkScheme, scheme_by_name


class SampleStore:
    """Random access to decoded samples, by index in the order of reading."""

    def __init__(
        self, samples: Iterable[StoredSample], planes: Mapping[str, np.ndarray] | None = None, on_disk: bool = False
    ) -> None:
        """`planes` gives the (P, 2) dense points' places on the mean-face plane by head model; a head without has none.

        `on_disk` leaves the images of samples that know their shard where they are; the shards must stay, unchanged.

        ValueError when samples disagree about the landmarks' scheme or a label has the wrong shape.
        """
        buffer, places = bytearray(), []
        shards: dict[Path, int] = {}
        self._planes, self._heads = dict(planes or {}), []
        dense, self._dense_row = [], {}
        landmarks, visibility, rotation, intrinsics = [], [], [], []
        self.keys: list[str] = []
        self._neighbours: dict[int, np.ndarray] = {}
        self.identities: list[str] = []
        schemes: set[str] = set()
        for sample in samples:
            labels = sample.labels
            if on_disk and sample.shard is not None:
                file, start = shards.setdefault(sample.shard, len(shards) + 1), sample.offset
            else:
                file, start = 0, len(buffer)
                buffer += sample.encoded
            places.append((file, start, start + len(sample.encoded)))
            landmarks.append(None if labels["landmarks"] is None else np.array(labels["landmarks"], np.float32))
            visibility.append(None if labels["visibility"] is None else np.array(labels["visibility"], bool))
            rotation.append(labels["rotation"] or np.full((3, 3), np.nan))
            camera = labels["intrinsics"]
            intrinsics.append([camera[k] for k in ("fx", "fy", "cx", "cy")] if camera else [np.nan] * 4)
            if labels.get("neighbours"):
                self._neighbours[len(self.keys)] = np.array(labels["neighbours"], np.float32)
            head = labels["attributes"].get("head", "")
            packed = sample.packed_dense() if head in self._planes else None
            if packed is not None:
                if len(packed) != len(self._planes[head]):
                    raise ValueError(
                        f"sample {labels['key']!r} has {len(packed)} dense points, but {DENSE_FILE} places "
                        f"{len(self._planes[head])}: it belongs to another render; render into a new folder"
                    )
                self._dense_row[len(self.keys)] = len(dense)
                dense.append(packed)
            self._heads.append(head)
            self.keys.append(labels["key"])
            self.identities.append(str(labels["attributes"].get("identity", labels["key"])))
            if labels["landmarks"] is not None:
                schemes.add(labels["scheme"])
        if len(schemes) > 1:
            raise ValueError(f"one landmark scheme per training set, got {', '.join(sorted(schemes))}")
        self.scheme: LandmarkScheme = scheme_by_name(next(iter(schemes), "wflw98"))
        self._dense = np.array(dense, np.int16)  # one array: see the module's first lines
        # What is mapped takes no memory of its own: the system reads it when touched and drops it when short.
        self._files = [np.frombuffer(buffer, np.uint8), *(np.memmap(shard, np.uint8, "r") for shard in shards)]
        self._places = np.array(places, np.int64).reshape(-1, 3)
        count = self.scheme.count
        self.landmarks = self._stacked(landmarks, np.full((count, 2), np.nan, np.float32))
        """(n, N, 2) float32 pixels; NaN where a sample has no face."""
        self.visibility = self._stacked(visibility, np.ones(count, bool))
        self.rotation = np.array(rotation, np.float64).reshape(-1, 3, 3)
        """(n, 3, 3) head to camera; NaN where unknown."""
        self._intrinsics = np.array(intrinsics, np.float64).reshape(-1, 4)
        has_face = ~np.isnan(self.landmarks).any(axis=(1, 2))
        self.faces = np.flatnonzero(has_face)
        """Indices of the samples with a face."""
        self.backgrounds = np.flatnonzero(~has_face)
        """Indices of the samples without."""

    @staticmethod
    def read(folder: Path, share: tuple[int, int] = (0, 1), on_disk: bool = False) -> SampleStore:
        """All shards of a folder, or with a `share` (k, n) every n-th from the k-th on; `on_disk` as when making one.

        FileNotFoundError or ValueError says what is missing or broken.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder; `python -m atpn render --out {folder}` makes one")
        shards = sorted(folder.glob("*.tar"))
        if not shards:
            raise FileNotFoundError(f"no .tar shards in {folder}; `python -m atpn render --out {folder}` makes some")
        first, step = share
        if len(shards) < step:
            raise ValueError(
                f"{folder} holds {len(shards)} shards, which {step} processes cannot share; start fewer, or write the "
                "data in smaller shards"
            )
        dense = folder / DENSE_FILE
        planes = json.loads(dense.read_bytes()) if dense.is_file() else {}
        planes = {head: np.array(plane, np.float32) for head, plane in planes.items()}
        samples = (sample for shard in shards[first::step] for sample in read_shard(shard))
        store = SampleStore(samples, planes, on_disk)
        if len(store.faces) == 0:
            raise ValueError(f"{folder} holds {len(store)} samples but no face with landmarks; nothing to learn from")
        return store

    def neighbours(self, index: int) -> np.ndarray | None:
        """(K, N, 2) landmarks of the other faces in a sample's image; None without."""
        return self._neighbours.get(index)

    @property
    def with_dense(self) -> np.ndarray:
        """Indices of the samples whose dense points and their places on the plane are known."""
        return np.array(sorted(self._dense_row), np.int64)

    @property
    def dense_count(self) -> int:
        """Number of dense points of a sample that has them; 0 where none has."""
        return self._dense.shape[1] if len(self._dense) else 0

    def plane(self, index: int) -> np.ndarray:
        """(P, 2) places on the mean-face plane of a sample's dense points; KeyError for one without."""
        return self._planes[self._heads[index]]

    def __len__(self) -> int:
        return len(self.keys)

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB; ValueError names a sample whose image does not decode."""
        file, start, stop = self._places[index]
        encoded = np.asarray(self._files[file][start:stop])
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise ValueError(f"the image of sample {self.keys[index]!r} does not decode; render its shard again")
        return image

    def __getitem__(self, index: int) -> Sample:
        has_face = not np.isnan(self.landmarks[index]).any()
        has_rotation = not np.isnan(self.rotation[index]).any()
        has_camera = not np.isnan(self._intrinsics[index]).any()
        packed = self._dense[self._dense_row[index]] if index in self._dense_row else None
        return Sample(
            image=self.image(index),
            landmarks=self.landmarks[index] if has_face else None,
            scheme=self.scheme.name,
            visibility=self.visibility[index] if has_face else None,
            rotation=self.rotation[index] if has_rotation else None,
            intrinsics=Intrinsics(*map(float, self._intrinsics[index])) if has_camera else None,
            dense=None if packed is None else packed[:, :2].astype(np.float32) / DENSE_STEPS,
            dense_visibility=None if packed is None else packed[:, 2].astype(bool),
            neighbours=self.neighbours(index),
            key=self.keys[index],
            attributes={"identity": self.identities[index]},
        )

    def split(self, validation_share: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
        """Indices of faces for training and for validation; one person is never in both.

        The identity's hash decides, so the split neither moves when data are added nor depends on a seed.
        """
        return self._split(self.faces, validation_share)

    def split_backgrounds(self, validation_share: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
        """Indices of samples without a face for training and for validation, by the same rule as `split`."""
        return self._split(self.backgrounds, validation_share)

    def _split(self, indices: np.ndarray, validation_share: float) -> tuple[np.ndarray, np.ndarray]:
        if len(indices) == 0:
            return indices, indices
        scores = np.array([_unit_hash(self.identities[i]) for i in indices])
        held_out = scores < validation_share
        if held_out.all() or not held_out.any():
            # Too few people for a share: the lowest hash is held out, and with a single person nobody is.
            held_out = (scores == scores.min()) & (scores != scores.max())
        return indices[~held_out], indices[held_out]

    def _stacked(self, rows: list[np.ndarray | None], missing: np.ndarray) -> np.ndarray:
        for key, row in zip(self.keys, rows, strict=True):
            if row is not None and row.shape != missing.shape:
                raise ValueError(
                    f"sample {key!r}: a label of shape {row.shape}, but scheme {self.scheme.name} needs {missing.shape}"
                )
        return np.array([missing if row is None else row for row in rows]).reshape(-1, *missing.shape)


def _unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
