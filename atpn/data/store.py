"""A training set by index. Images stay encoded, in one buffer or in their shards; labels are arrays.

Loader processes are forked after loading. Large arrays stay shared between them, unlike many Python objects, whose
reference counts cause copies.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.sample import Sample
from atpn.data.shards import DENSE_FILE, DENSE_STEPS, SCHEME_FILE, StoredSample, list_shards, read_shard
from edge_runtime.decoding import ImageError, decode_image
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.geometry import Intrinsics
from edge_runtime.landmarks import SCHEMES, LandmarkScheme
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_json

NO_SCHEME = "none"
"""Name for points of no scheme, which are no training set."""
MIN_KNOWN_FRACTION = 0.5
"""Minimum fraction of known landmarks for a face to be used in training."""


class SampleStore:
    """Random access to decoded samples, by index in the order of reading."""

    def __init__(
        self,
        samples: Iterable[StoredSample],
        planes: Mapping[str, np.ndarray] | None = None,
        on_disk: bool = False,
        scheme: LandmarkScheme | None = None,
    ) -> None:
        """Collect samples.

        `planes` are (P, 2) query points of the dense points on the mean-face plane, by head model. `on_disk` leaves
        images in their shards, which must not change. `scheme` is the samples', if it is not a known one. ValueError
        for several schemes, or a label of the wrong shape.
        """
        buffer, places = bytearray(), []
        shards: dict[Path, int] = {}
        self._planes, self._heads = dict(planes or {}), []
        dense, self._dense_row = [], {}
        landmarks, visibility, rotation, intrinsics = [], [], [], []
        expressions, gaze = [], []
        self.keys: list[str] = []
        self._neighbors: dict[int, np.ndarray] = {}
        boxes: list[dict[str, list[float]]] = []
        self.identities: list[str] = []
        self.kinds: list[str] = []
        """Kind of each image, such as "clear"; empty if unknown."""
        subsets: list[str] = []
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
            expressions.append(labels.get("expressions"))
            gaze.append(labels.get("gaze"))
            if labels.get("neighbours"):
                self._neighbors[len(self.keys)] = np.array(labels["neighbours"], np.float32)
            boxes.append(labels.get("boxes", {}))
            head = labels["attributes"].get("head", "")
            packed = sample.packed_dense() if head in self._planes else None
            if packed is not None:
                if len(packed) != len(self._planes[head]):
                    raise ValueError(
                        f"sample {quote(repr(labels['key']))} has {len(packed)} dense points, but {DENSE_FILE} places "
                        f"{len(self._planes[head])}: it belongs to another render; render into a new folder"
                    )
                self._dense_row[len(self.keys)] = len(dense)
                dense.append(packed)
            self._heads.append(head)
            self.keys.append(labels["key"])
            self.identities.append(str(labels["attributes"].get("identity", labels["key"])))
            self.kinds.append(labels["attributes"].get("kind", ""))
            subsets.append(labels["attributes"].get("subsets", ""))
            if labels["landmarks"] is not None:
                schemes.add(labels["scheme"] or NO_SCHEME)
        if len(schemes) > 1:
            raise ValueError(f"one landmark scheme per training set, got {quote(', '.join(sorted(schemes)))}")
        self.scheme: LandmarkScheme = _scheme_of(next(iter(schemes), "wflw98"), scheme)
        self._dense = np.array(dense, np.int16)  # one array: see the module's docstring
        # Mapped files take no memory of their own: the system pages them in and out.
        self._files = [np.frombuffer(buffer, np.uint8), *(np.memmap(shard, np.uint8, "r") for shard in shards)]
        self._places = np.array(places, np.int64).reshape(-1, 3)
        count = self.scheme.count
        self.landmarks = self._stacked(landmarks, np.full((count, 2), np.nan, np.float32))
        """(n, N, 2) float32 pixels; NaN where unknown."""
        self.visibility = self._stacked(visibility, np.ones(count, bool))
        self.rotation = np.array(rotation, np.float64).reshape(-1, 3, 3)
        """(n, 3, 3) head to camera; NaN where unknown."""
        self.intrinsics = np.array(intrinsics, np.float64).reshape(-1, 4)
        """(n, 4) fx, fy, cx, cy in pixels; NaN where unknown."""
        self.expressions = self._stacked(_float32(expressions), np.full(len(EXPRESSIONS), np.nan, np.float32))
        """(n, 52) float32 ARKit coefficients; NaN where unknown."""
        self.gaze = self._stacked(_float32(gaze), np.full((2, 2), np.nan, np.float32))
        """(n, 2, 2) float32, see `Sample.gaze`; NaN where unknown."""
        kinds = sorted({kind for sides in boxes for kind in sides})
        self._boxes = {kind: np.array([b.get(kind, [np.nan] * 4) for b in boxes], np.float32) for kind in kinds}
        self.faces = np.flatnonzero(~np.isnan(self.landmarks).any(axis=(1, 2)))
        """Indices of the samples whose landmarks are all known."""
        known = (~np.isnan(self.landmarks).any(axis=2)).mean(axis=1)
        self.partly_known = np.flatnonzero((known >= MIN_KNOWN_FRACTION) & (known < 1))
        """Indices of the samples with some unknown landmarks, at least half of them known."""
        labeled = np.array([points is not None for points in landmarks], bool)
        self.boxed = np.array([i for i in np.flatnonzero(~labeled) if boxes[i]], np.int64)
        """Indices of the samples with boxes, but no landmarks."""
        self.backgrounds = np.setdiff1d(np.flatnonzero(~labeled), self.boxed)
        """Indices of the samples without a face."""
        parts = [text.split() for text in subsets]
        names = sorted({name for names in parts for name in names})
        self._subsets = {name: np.array([i for i, own in enumerate(parts) if name in own]) for name in names}

    @staticmethod
    def read(
        folder: Path, share: tuple[int, int] = (0, 1), on_disk: bool = False, boxes_suffice: bool = False
    ) -> SampleStore:
        """Read a folder's shards.

        A `share` (k, n) reads every n-th shard from the k-th on; `boxes_suffice` accepts data in which faces have boxes
        but no landmarks. FileNotFoundError without shards; ValueError if one is corrupt, or no face is labeled.
        """
        shards = list_shards(folder)
        first, step = share
        if len(shards) < step:
            raise ValueError(
                f"{folder} holds {len(shards)} shards, too few for {step} processes; start fewer or use smaller shards"
            )
        dense = folder / DENSE_FILE
        planes = _read_planes(dense) if dense.is_file() else {}
        samples = (sample for shard in shards[first::step] for sample in read_shard(shard))
        scheme = folder / SCHEME_FILE
        store = SampleStore(samples, planes, on_disk, LandmarkScheme.read(scheme) if scheme.is_file() else None)
        if len(store.faces) == 0 and not (boxes_suffice and len(store.boxed)):
            raise ValueError(
                f"{folder} holds {len(store)} samples but no face with landmarks, all of them known; add labeled faces"
            )
        return store

    def neighbors(self, index: int) -> np.ndarray | None:
        """Return (K, M, 2) points around the other faces of a sample's image (see `Sample`); None without."""
        return self._neighbors.get(index)

    def boxes(self, index: int) -> dict[str, tuple[float, float, float, float]]:
        """Return left, top, right, bottom in pixels by kind, of a sample's face; empty without one."""
        rows = {kind: rows[index].tolist() for kind, rows in self._boxes.items() if not np.isnan(rows[index]).any()}
        return {kind: (left, top, right, bottom) for kind, (left, top, right, bottom) in rows.items()}

    @property
    def with_dense(self) -> np.ndarray:
        """Indices of the samples whose dense points and their places on the plane are known."""
        return np.array(sorted(self._dense_row), np.int64)

    @property
    def dense_count(self) -> int:
        """Number of dense points of a sample that has them; 0 where none has."""
        return self._dense.shape[1] if len(self._dense) else 0

    def dense(self, index: int) -> np.ndarray:
        """Return the (P, 2) float32 pixels of a sample's dense points; KeyError for one without."""
        return self._dense[self._dense_row[index]][:, :2].astype(np.float32) / DENSE_STEPS

    def relabeled(self, faces: np.ndarray, landmarks: np.ndarray) -> SampleStore:
        """Return a view with (n, N, 2) other landmarks of all samples, of which `faces` are the labeled ones."""
        view = copy.copy(self)
        view.faces, view.landmarks, view.partly_known = faces, landmarks, np.zeros(0, np.int64)
        return view

    def plane(self, index: int) -> np.ndarray:
        """Return the (P, 2) places of a sample's dense points on the mean-face plane; KeyError for one without."""
        return self._planes[self._heads[index]]

    def subset(self, name: str) -> np.ndarray:
        """Return the indices of the samples of a protocol's subset; ValueError for an unknown one."""
        if name not in self._subsets:
            raise ValueError(f"no subset {name!r} in these data; there are: {', '.join(self._subsets) or 'none'}")
        return self._subsets[name]

    def __len__(self) -> int:
        return len(self.keys)

    def image(self, index: int) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; ValueError if the image does not decode."""
        file, start, stop = self._places[index]
        encoded = np.asarray(self._files[file][start:stop])
        try:
            return decode_image(encoded, cv2.IMREAD_COLOR_RGB)
        except ImageError as error:
            raise ValueError(f"the image of sample {quote(self.keys[index])} {error}; make its shard again") from error

    def __getitem__(self, index: int) -> Sample:
        has_face = not np.isnan(self.landmarks[index]).all()
        has_rotation = not np.isnan(self.rotation[index]).any()
        has_camera = not np.isnan(self.intrinsics[index]).any()
        packed = self._dense[self._dense_row[index]] if index in self._dense_row else None
        return Sample(
            image=self.image(index),
            landmarks=self.landmarks[index] if has_face else None,
            scheme=self.scheme,
            visibility=self.visibility[index] if has_face else None,
            rotation=self.rotation[index] if has_rotation else None,
            intrinsics=Intrinsics(*map(float, self.intrinsics[index])) if has_camera else None,
            expressions=None if np.isnan(self.expressions[index]).any() else self.expressions[index],
            gaze=None if np.isnan(self.gaze[index]).any() else self.gaze[index],
            dense=None if packed is None else self.dense(index),
            dense_visibility=None if packed is None else packed[:, 2].astype(bool),
            neighbors=self.neighbors(index),
            boxes=self.boxes(index),
            key=self.keys[index],
            attributes={"identity": self.identities[index]},
        )

    def split(
        self, indices: np.ndarray | None = None, validation_fraction: float = 0.03
    ) -> tuple[np.ndarray, np.ndarray]:
        """Split sample indices (default: `faces`) into training and validation; no person is in both.

        The identity's hash decides, so the split depends neither on a seed nor on the other samples.
        """
        indices = self.faces if indices is None else indices
        if len(indices) == 0:
            return indices, indices
        scores = np.array([_unit_hash(self.identities[i]) for i in indices])
        held_out = scores < validation_fraction
        if held_out.all() or not held_out.any():
            # Too few people: hold out the lowest hash, and none if there is a single person.
            held_out = (scores == scores.min()) & (scores != scores.max())
        return indices[~held_out], indices[held_out]

    def _stacked(self, rows: list[np.ndarray | None], missing: np.ndarray) -> np.ndarray:
        for key, row in zip(self.keys, rows, strict=True):
            if row is not None and row.shape != missing.shape:
                raise ValueError(
                    f"sample {quote(repr(key))}: a label of shape {row.shape}, but scheme {quote(self.scheme.name)} "
                    f"needs {missing.shape}"
                )
        return np.array([missing if row is None else row for row in rows]).reshape(-1, *missing.shape)


def _scheme_of(name: str, defined: LandmarkScheme | None) -> LandmarkScheme:
    """Return the scheme of samples: the one defined beside them, or a known one."""
    if name in SCHEMES:
        return SCHEMES[name]
    if defined is None or defined.name != name:
        has = f"defines {quote(defined.name)}" if defined else "is missing"
        raise ValueError(
            f"the samples have landmarks of scheme {quote(repr(name))}, but {SCHEME_FILE} beside their shards {has}; "
            "copy the whole folder again, or put the scheme's definition there"
        )
    return defined


def _read_planes(path: Path) -> dict[str, np.ndarray]:
    """Read the (P, 2) places of dense points by head model. ValueError if the file is damaged."""
    stored = read_json(path, limit=MAX_MODEL_BYTES)
    try:
        planes = {head: np.array(plane, np.float64) for head, plane in stored.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold lists of points by head model; copy it again") from error
    if wrong := [
        head for head, plane in planes.items() if plane.ndim != 2 or plane.shape[1] != 2 or not are_coordinates(plane)
    ]:
        raise ValueError(f"{path}: the points of {quote(wrong[0])} must be pairs of numbers {IN_RANGE}; copy it again")
    return {head: plane.astype(np.float32) for head, plane in planes.items()}


def _float32(rows: list[list[float] | None]) -> list[np.ndarray | None]:
    return [None if row is None else np.array(row, np.float32) for row in rows]


def _unit_hash(text: str) -> float:
    """Return a number in [0, 1) that depends on the text only."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
