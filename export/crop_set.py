"""Small committed sets of rendered crops: one to calibrate int8 with, one to check every file against."""

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

from atpn.data.crops import Crop, JitterConfig, compute_mean_shape, cut_crop, jittered_roi
from atpn.data.scenes import background_roi, negative_roi
from atpn.data.store import SampleStore
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.landmarks import LandmarkScheme, scheme_by_name
from export.config import CropSetConfig
from export.errors import ExportError

log = logging.getLogger(__name__)

JPEG_QUALITY = 85
"""A 112 px crop in about 4 KB; the network has seen far worse compression in training."""
JITTER = JitterConfig(
    center_sigma=0.03, scale_sigma=0.06, roll_sigma=5.0, wide_roll_prob=0.0, unrolled_prob=0.1, flip_prob=0.5
)
"""What a tracker that holds a face lets happen from frame to frame: less than training's jitter."""


@dataclass(frozen=True)
class CropSet:
    """Labelled crops; a crop without a face has NaN labels."""

    crops: np.ndarray
    """(n, S, S, 3) uint8 RGB."""
    landmarks: np.ndarray
    """(n, N, 2) float32 in [0, 1] of the crop."""
    pose: np.ndarray
    """(n, 3) float32 pitch, yaw, roll in radians, in the crop's frame."""
    scheme: LandmarkScheme
    origin: dict[str, Any]
    """Where the crops come from: data, seed, counts."""
    sha256: str
    """Of the file they were read from."""

    @property
    def has_face(self) -> np.ndarray:
        """(n,) bool."""
        found: np.ndarray = ~np.isnan(self.landmarks).any(axis=(1, 2))
        return found

    def of_size(self, size: int) -> CropSet:
        """The set itself; ExportError when its crops are not `size` pixels wide."""
        if self.crops.shape[1] != size:
            raise ExportError(
                f"the network takes {size} px crops, the crop set holds {self.crops.shape[1]} px ones; "
                f"make another with `python -m export calibration-set --crop-size {size}`"
            )
        return self


def make_crop_sets(config: CropSetConfig) -> None:
    """Write calibration.npz and heldout.npz; no person is in both. ValueError or OSError say what is missing."""
    store = SampleStore.read(config.data)
    calibration_faces, held_out_faces = store.split(validation_fraction=0.6)
    if len(calibration_faces) == 0 or len(held_out_faces) == 0:
        raise ExportError(f"{config.data} holds faces of one person only; two disjoint sets need more")
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    rng = np.random.default_rng(config.seed)
    for name, faces, count in (
        ("calibration", calibration_faces, config.calibration_crops),
        ("heldout", held_out_faces, config.held_out_crops),
    ):
        crops = _crops(store, faces, mean_shape, count, config, rng)
        origin = {"data": config.data.name, "seed": config.seed, "crops": len(crops)}
        path = config.out / f"{name}.npz"
        write_crop_set(path, crops, store.scheme, origin)
        log.info("%s: %d crops, %d KiB", path, len(crops), path.stat().st_size // 1024)


def _crops(
    store: SampleStore,
    faces: np.ndarray,
    mean_shape: np.ndarray,
    count: int,
    config: CropSetConfig,
    rng: np.random.Generator,
) -> list[Crop]:
    negatives = round(count * config.background_share)
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
            neighbours = store.neighbors(int(index))
            others = [ROI.from_landmarks(points) for points in ([] if neighbours is None else neighbours)]
            roi = negative_roi(ROI.from_landmarks(landmarks, upright_roll(landmarks, mean_shape)), rng, others)
        nothing = np.full_like(mean_shape, np.nan), np.full(3, np.nan, np.float32)
        crops.append(Crop(extract_crop(image, roi, config.crop_size), *nothing, roi))
    return crops


def write_crop_set(path: Path, crops: list[Crop], scheme: LandmarkScheme, origin: dict[str, Any]) -> None:
    """Write crops into one .npz, atomically."""
    content = io.BytesIO()
    jpeg, ends = packed([crop.image for crop in crops])
    np.savez_compressed(
        content,
        jpeg=jpeg,
        ends=ends,
        landmarks=np.stack([crop.landmarks for crop in crops]),
        pose=np.stack([crop.pose for crop in crops]),
        about=np.array(json.dumps({"scheme": scheme.name, "origin": origin})),
    )
    write_atomically(path, content.getvalue())


def read_crop_set(path: Path) -> CropSet:
    """Read what `write_crop_set` wrote; ExportError when the file is missing or damaged."""
    if not path.is_file():
        raise ExportError(
            f"no crop set at {path}; make one with `python -m export calibration-set --data FOLDER_OF_RENDERS`"
        )
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            crops = np.stack(unpacked(arrays["jpeg"], arrays["ends"]))
            about = json.loads(str(arrays["about"]))
            return CropSet(
                crops=crops,
                landmarks=arrays["landmarks"],
                pose=arrays["pose"],
                scheme=scheme_by_name(about["scheme"]),
                origin=about["origin"],
                sha256=hashlib.sha256(content).hexdigest(),
            )
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, cv2.error) as error:
        raise ExportError(
            f"{path} is not a crop set or is damaged ({error}); copy it again or make one with "
            "`python -m export calibration-set --data FOLDER_OF_RENDERS`"
        ) from error


def packed(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB pictures as JPEGs in one (bytes,) array, and where each ends."""
    encoded = []
    for image in images:
        _, jpeg = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        encoded.append(jpeg)
    return np.concatenate(encoded), np.cumsum([len(jpeg) for jpeg in encoded])


def unpacked(jpeg: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """The pictures of `packed`; ValueError for what is no picture."""
    images: list[np.ndarray] = []
    for part in np.split(jpeg, ends[:-1]):
        image = cv2.imdecode(part, cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise ValueError("a picture does not decode")
        images.append(image)
    return images
