"""Training sets on one plane: datasets that label different landmarks, or the same ones by different conventions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atpn.data.crops import NO_JITTER, Crop, JitterConfig, compute_mean_shape, cut_crop, filled, jittered_roi
from atpn.data.store import SampleStore
from atpn.train.mixing import MAX_SIZE_DIFFERENCE, split_batch
from atpn.tufa.anchors import DENSE, affine_onto, converted
from atpn.tufa.spline import median_on_plane
from edge_runtime.geometry import ROI, upright_roll
from edge_runtime.landmarks import SCHEMES, WFLW_98

MEAN_FACES = 4000
"""Maximum number of faces of a mean shape; more make no difference."""
PLACED_FACES = 200
"""Maximum number of faces that place a scheme of one's own on the plane."""

FindLandmarks = Callable[[np.ndarray, np.ndarray], np.ndarray | None]
"""Function of an (H, W, 3) uint8 RGB image and (N, 2) pixels on a face: the face's (98, 2); None if not found."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The crop rule for landmarks of any part of the face, so that all sets' faces fill their crops alike."""

    shape: np.ndarray
    """(N, 2) mean shape of the landmarks on the plane."""
    outline: np.ndarray
    """(K, 2) further points of the mean face on the plane that a crop contains; (0, 2) if the landmarks span a face."""

    @classmethod
    def of(cls, shape: np.ndarray, mean_face: np.ndarray) -> Frame:
        """Return the frame of (N, 2) landmarks on the plane; `mean_face` are the (98, 2) of a whole face there."""
        spans = np.ptp(shape, axis=0).max() >= (1 - MAX_SIZE_DIFFERENCE) * np.ptp(mean_face, axis=0).max()
        return cls(shape, mean_face[: 0 if spans else None])

    def roi(self, landmarks: np.ndarray, jitter: JitterConfig, rng: np.random.Generator) -> ROI:
        """Return the region around the face of (N, 2) pixel landmarks (NaN: unknown), with random errors.

        Unknown points and the outline are those of the mean face, fitted to the known landmarks.
        """
        return jittered_roi(*self._extended(landmarks), jitter, rng)

    def region(self, landmarks: np.ndarray, roll: float | None = None) -> ROI:
        """Return the region around the face at a roll in radians, by default upright."""
        points, mean = self._extended(landmarks)
        points = filled(points, mean)
        return ROI.from_landmarks(points, upright_roll(points, mean) if roll is None else roll)

    def _extended(self, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (N + K, 2) landmarks with the unknown outline (NaN), and their mean shape."""
        points = np.concatenate([landmarks, np.full_like(self.outline, np.nan)]).astype(np.float32)
        return points, np.concatenate([self.shape, self.outline])


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Labeled faces, and what a crop of one may be asked for."""

    store: SampleStore
    sources: tuple[str, ...]
    """Names of anchors, and `DENSE`."""
    frame: Frame

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return indices of training faces, also of those with some unknown landmarks, and of validation faces."""
        store = self.store
        held_out = store.split()[1]
        if all(source == DENSE for source in self.sources):
            return np.intersect1d(store.split()[0], store.with_dense), held_out
        return store.split(np.union1d(store.faces, store.partly_known))[0], held_out

    def crop(self, index: int, size: int, jitter: JitterConfig, rng: np.random.Generator) -> Crop:
        """Return a jittered, randomly mirrored crop of a face."""
        sample = self.store[index]
        roi = self.frame.roi(self.store.landmarks[index], jitter, rng)
        return cut_crop(sample, roi, size, flip=bool(rng.random() < jitter.flip_prob))

    def labeled_crops(self, indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (n, S, S, 3) uint8 RGB upright crops and their (n, N, 2) landmarks in [0, 1] of them."""
        rng = np.random.default_rng(0)
        crops = [self.crop(int(index), size, NO_JITTER, rng) for index in indices]
        return np.stack([crop.image for crop in crops]), np.stack([crop.landmarks for crop in crops])


def single_set(store: SampleStore, sources: Sequence[str]) -> TrainingSet:
    """Return a set of 98 landmarks that teaches several schemes, which its labels are converted to."""
    mean = mean_shape_of(store)
    return TrainingSet(store, tuple(sources), Frame.of(mean, mean))


def several_sets(
    stores: Sequence[SampleStore], names: Sequence[str], mean_face: np.ndarray, find_landmarks: FindLandmarks
) -> list[TrainingSet]:
    """Return a set per store, with its own anchors and, where it has them, dense points.

    The plane is that of the first store of 98 landmarks, or of `mean_face` (98, 2). Mean shapes are placed on it by
    the affine map that fits best (section 6.3.8); those of a scheme of one's own, by what ATPN finds on the faces.
    """
    reference = next((mean_shape_of(store) for store in stores if store.scheme == WFLW_98), mean_face)
    sets = []
    for store, name in zip(stores, names, strict=True):
        shape = place_on_plane(store, reference, find_landmarks)
        sources = (name, DENSE) if len(store.with_dense) else (name,)
        sets.append(TrainingSet(store, sources, Frame.of(shape, reference)))
    return sets


def place_on_plane(store: SampleStore, mean_face: np.ndarray, find_landmarks: FindLandmarks) -> np.ndarray:
    """Return the (N, 2) float32 mean shape of a store's landmarks on the plane of (98, 2) landmarks of the mean face.

    ValueError if the scheme does not convert from 98 landmarks and no face is found.
    """
    if store.scheme.name in SCHEMES:
        mean = mean_shape_of(store)
        return affine_onto(mean, mean, converted(mean_face, store.scheme.name)).astype(np.float32)
    faces = store.split()[0]
    points, landmarks = [], []
    for index in faces[:: math.ceil(len(faces) / PLACED_FACES)]:
        found = find_landmarks(store.image(int(index)), store.landmarks[index])
        if found is not None:
            points.append(store.landmarks[index])
            landmarks.append(found)
    if not points:
        raise ValueError(f"cannot place {store.scheme.name} on the plane: found no face in its images")
    shape = median_on_plane(points, landmarks, mean_face)
    return (shape + shape[store.scheme.mirror] * (-1, 1) + (1, 0)).astype(np.float32) / 2


def mean_shape_of(store: SampleStore) -> np.ndarray:
    """Return the (N, 2) mean shape of a store's training faces, in coordinates of their own crops."""
    return compute_mean_shape(store.landmarks[store.split()[0][:MEAN_FACES]], store.scheme)


def epoch_order(sets: Sequence[np.ndarray], weights: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return the (n, 2) order of an epoch of several sets: index of the set, index of its face.

    `sets` are the faces of each. An epoch has as many faces as there are; each set's part of them is in proportion to
    its weight, so that faces of some sets are repeated, and of others left out.
    """
    parts = []
    for number, (faces, count) in enumerate(zip(sets, split_batch(sum(map(len, sets)), weights), strict=True)):
        repeats = [rng.permutation(faces) for _ in range(math.ceil(count / len(faces)))]
        parts.append(np.column_stack([np.full(count, number), np.concatenate(repeats)[:count]]))
    return rng.permutation(np.concatenate(parts))
