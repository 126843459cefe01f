"""Small committed sets of rendered crops: one to calibrate int8 with, one to evaluate files on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.crops import Crop, JitterConfig, compute_mean_shape, cut_crop, jittered_roi
from atpn.data.scenes import background_roi, negative_roi
from atpn.data.store import SampleStore
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.landmarks import LandmarkScheme
from export.config import CropSetConfig
from export.errors import ExportError
from export.image_archive import damage_named, read_archive, write_archive

COMMAND = "calibration-set"
"""Command that makes the files."""
JITTER = JitterConfig(
    center_sigma=0.03, scale_sigma=0.06, roll_sigma=5.0, wide_roll_prob=0.0, unrolled_prob=0.1, flip_prob=0.5
)
"""Jitter of the crops of a tracked face from frame to frame, less than training's."""
_OPTIONAL = {"expressions": (len(EXPRESSIONS),), "gaze": (2, 2)}
"""Labels that not all faces have, and their shapes."""


@dataclass(frozen=True)
class CropSet:
    """Labeled crops; a crop without a face has NaN labels."""

    crops: np.ndarray
    """(n, S, S, 3) uint8 RGB."""
    landmarks: np.ndarray
    """(n, N, 2) float32 in [0, 1] of the crop."""
    pose: np.ndarray
    """(n, 3) float32 pitch, yaw, roll in radians, in the crop's frame."""
    expressions: np.ndarray
    """(n, 52) float32 coefficients; NaN where unknown."""
    gaze: np.ndarray
    """(n, 2, 2) float32 yaw and pitch, radians, of the subject's left and right eye, in the crop's frame; NaN where
    unknown."""
    scheme: LandmarkScheme
    origin: dict[str, Any]
    """Where the crops come from: data, seed, counts."""
    sha256: str
    """Of the file they were read from."""

    @property
    def has_face(self) -> np.ndarray:
        """(n,) bool."""
        labeled: np.ndarray = ~np.isnan(self.landmarks).any(axis=(1, 2))
        return labeled


def make_crop_sets(config: CropSetConfig) -> None:
    """Write calibration.npz and heldout.npz; no person is in both. ValueError or OSError say what is missing."""
    store = SampleStore.read(config.data)
    calibration_faces, held_out_faces = store.split(validation_fraction=0.6)
    if len(calibration_faces) == 0 or len(held_out_faces) == 0:
        raise ExportError(f"{config.data} holds faces of one person only: two disjoint sets need at least two people")
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    rng = np.random.default_rng(config.seed)
    for name, faces, count in (
        ("calibration", calibration_faces, config.calibration_crops),
        ("heldout", held_out_faces, config.held_out_crops),
    ):
        crops = _crops(store, faces, mean_shape, count, config, rng)
        origin = {"data": config.data.name, "seed": config.seed, "crops": len(crops)}
        write_crop_set(config.out / f"{name}.npz", crops, store.scheme, origin)


def _crops(
    store: SampleStore,
    faces: np.ndarray,
    mean_shape: np.ndarray,
    count: int,
    config: CropSetConfig,
    rng: np.random.Generator,
) -> list[Crop]:
    negatives = round(count * config.background_fraction)
    # More crops than faces: a face may come twice, jittered differently.
    chosen = np.resize(rng.permutation(faces), count)
    crops = []
    for position, index in enumerate(chosen):
        landmarks = store.landmarks[index]
        if position >= negatives:
            flip = bool(rng.random() < JITTER.flip_prob)
            crops.append(
                cut_crop(store[int(index)], jittered_roi(landmarks, mean_shape, JITTER, rng), config.crop_size, flip)
            )
            continue
        if len(store.backgrounds) and position % 2:
            image = store.image(int(rng.choice(store.backgrounds)))
            roi = background_roi(image, rng)
        else:
            image = store.image(int(index))
            neighbors = store.neighbors(int(index))
            others = [ROI.from_landmarks(points) for points in ([] if neighbors is None else neighbors)]
            roi = negative_roi(ROI.from_landmarks(landmarks, upright_roll(landmarks, mean_shape)), rng, others)
        nothing = np.full_like(mean_shape, np.nan), np.full(3, np.nan, np.float32)
        crops.append(Crop(extract_crop(image, roi, config.crop_size), *nothing, roi))
    return crops


def write_crop_set(path: Path, crops: list[Crop], scheme: LandmarkScheme, origin: dict[str, Any]) -> None:
    """Write crops into one .npz, atomically."""
    unknown = {name: np.full(shape, np.nan, np.float32) for name, shape in _OPTIONAL.items()}
    labels = {"landmarks": np.stack([c.landmarks for c in crops]), "pose": np.stack([c.pose for c in crops])}
    for name, missing in unknown.items():
        found = [getattr(crop, name) for crop in crops]
        labels[name] = np.stack([missing if each is None else each for each in found])
    write_archive(path, [crop.image for crop in crops], labels, {"scheme": scheme.reference, "origin": origin})


def read_crop_set(path: Path, size: int | None = None) -> CropSet:
    """Read what `write_crop_set` wrote. ExportError when it is missing or damaged, or has crops of another size."""
    archive = read_archive(path, size, ("landmarks", "pose", *_OPTIONAL), COMMAND)
    with damage_named(path, COMMAND):
        scheme, count = LandmarkScheme.from_reference(archive.about["scheme"]), len(archive.images)
        shapes = {name: array.shape for name, array in archive.labels.items()}
        each = {"landmarks": (scheme.count, 2), "pose": (3,), **_OPTIONAL}
        if shapes != {name: (count, *shape) for name, shape in each.items()}:
            raise ValueError(f"labels of shapes {shapes} do not fit {count} images of scheme {scheme.name}")
        origin = archive.about["origin"]
        return CropSet(np.stack(archive.images), **archive.labels, scheme=scheme, origin=origin, sha256=archive.sha256)
