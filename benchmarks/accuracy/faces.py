"""Labeled faces of one dataset, the ROIs to crop, and a network's predictions for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atpn.data.crops import cut_crop
from atpn.data.sample import Sample
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.backend import CropPredictor
from atpn.evaluate.detectors import detect_rois
from atpn.evaluate.passes import run_passes
from atpn.evaluate.reports import CLOSED_EYES
from atpn.evaluate.tracking import photograph_crops, tracking_crops
from edge_runtime.detector import Detector
from edge_runtime.geometry import ROI, upright_roll
from edge_runtime.landmarks import WFLW_98, LandmarkScheme
from edge_runtime.spec import ModelSpec

MAX_TRACKING_FACES = 100
"""Number of faces per dataset for the tracking branch; each comes with ten background crops."""
TRUE_BOX, SETTLED, DETECTOR_BOX = "true box", "settled", "detector box"
"""ROIs of the landmarks: the labels'; the last that the tracker derives from it; the same from a detector's."""
MAX_YAW = 60
"""Yaw in degrees beyond which the eye distance vanishes; such faces count only for errors over the rectangle."""
FACING_YAW = 30
"""Yaw in degrees within which a head hides few of its own landmarks, so that hidden ones mean an occluder."""
MIN_OCCLUSION = 0.3
"""Fraction of hidden landmarks from which such a face counts as occluded."""


@dataclass(frozen=True)
class FaceSet:
    """Faces, ROIs, and crops of one dataset."""

    name: str
    samples: Sequence[Sample]
    """One sample per face, all of one scheme."""
    rois: Sequence[ROI]
    """ROIs of the labels."""
    detected: Sequence[ROI | None]
    """The detector's ROIs; None for a missed face."""
    tracking: tuple[np.ndarray, np.ndarray]
    """(m, S, S, 3) crops for the tracking branch, and (m,) bool: whether they contain a face."""

    @staticmethod
    def of_samples(name: str, samples: Sequence[Sample], detector: Detector, spec: ModelSpec) -> FaceSet:
        """Return the faces of any dataset: the labels' ROIs at roll 0, random ROIs around the faces as background."""
        rois = [ROI.from_landmarks(sample.landmarks) for sample in samples]
        crops = photograph_crops(samples[:: -(-len(samples) // MAX_TRACKING_FACES)], spec.input_size)
        return FaceSet(name, samples, rois, detect_rois(samples, detector), crops)

    @staticmethod
    def of_store(name: str, store: SampleStore, limit: int, detector: Detector, spec: ModelSpec) -> FaceSet:
        """Return the first `limit` renders with upright ROIs, and backgrounds as in `python -m atpn evaluate`.

        Raise ValueError if their scheme is not the networks'.
        """
        if store.scheme != spec.landmark_scheme:
            raise ValueError(f"the files predict {spec.scheme}, but the data are labeled {store.scheme.name}")
        indices = store.faces[:limit]
        samples = [store[int(index)] for index in indices]
        rois = [ROI.from_landmarks(s.landmarks, upright_roll(s.landmarks, spec.mean_shape)) for s in samples]
        faces = indices[:MAX_TRACKING_FACES]
        crops = tracking_crops(store, faces, store.backgrounds, spec.mean_shape, spec.input_size)
        return FaceSet(name, samples, rois, detect_rois(samples, detector), crops)

    @property
    def scheme(self) -> LandmarkScheme:
        """Scheme of the labels."""
        return self.samples[0].scheme or WFLW_98

    @cached_property
    def landmarks(self) -> np.ndarray:
        """(n, N, 2) pixels."""
        return np.stack([sample.landmarks for sample in self.samples])

    @cached_property
    def pose(self) -> np.ndarray:
        """(n, 3) radians in the frame of the labels' ROI; NaN where unknown."""
        return np.stack([cut_crop(sample, roi, 1).pose for sample, roi in zip(self.samples, self.rois, strict=True)])

    @cached_property
    def has_pose(self) -> np.ndarray:
        """(n,) bool: faces with known pose."""
        return ~np.isnan(self.pose).any(axis=1)

    @cached_property
    def counted(self) -> np.ndarray:
        """(n,) bool: faces whose error over the eye distance is meaningful, as far as the labels have pose."""
        return ~self.has_pose | (np.degrees(np.abs(self.pose[:, 1])) <= MAX_YAW)

    @property
    def is_face(self) -> np.ndarray:
        """(m,) bool: whether the tracking crops contain a face."""
        return self.tracking[1]

    @cached_property
    def hidden(self) -> np.ndarray | None:
        """(n, N) bool: landmarks that are not visible; None if the labels have no visibility."""
        visible = [sample.visibility for sample in self.samples if sample.visibility is not None]
        return ~np.stack(visible) if len(visible) == len(self.samples) else None

    def errors(self, landmarks: np.ndarray) -> np.ndarray:
        """Return (n, N) errors in % of the eye distance; NaN where there is no landmark."""
        return 100 * metrics.point_errors(landmarks, self.landmarks, self.scheme.inter_ocular(self.landmarks))

    def rectangle_errors(self, landmarks: np.ndarray) -> np.ndarray:
        """Return (n,) mean errors in % of the longer side of the face's rectangle."""
        sizes = metrics.rectangle_size(self.landmarks)
        return 100 * metrics.point_errors(landmarks, self.landmarks, sizes).mean(axis=1)

    def subsets(self, yaw: np.ndarray) -> dict[str, np.ndarray]:
        """Return subsets of the faces as (n,) bool, as far as the labels allow; `yaw` is (n,) absolute degrees."""
        groups = {}
        if self.scheme.name in metrics.OPENINGS:
            opening = metrics.openings(self.landmarks, self.scheme, "eyes") / self.scheme.inter_ocular(self.landmarks)
            groups |= {"closed eyes": (opening < CLOSED_EYES) & self.counted}
            groups |= {"open eyes": (opening >= CLOSED_EYES) & self.counted}
        if self.hidden is not None:
            occluded, facing = self.hidden.mean(axis=1) >= MIN_OCCLUSION, yaw <= FACING_YAW
            groups |= {"occluded": occluded & facing, "unoccluded": ~occluded & facing}
        return groups


@dataclass(frozen=True)
class FacePredictions:
    """Predictions of one network for a `FaceSet`."""

    landmarks: dict[str, np.ndarray]
    """By box: (n, N, 2) pixels in the labels' scheme; NaN for a face without an ROI."""
    pose: np.ndarray
    """(n, 3) radians, from the labels' ROIs."""
    confidence: np.ndarray
    """(m,) confidence of the tracking crops."""


def predict(network: CropPredictor, faces: FaceSet) -> FacePredictions:
    """Run a network on all ROIs and crops."""
    images = [sample.image for sample in faces.samples]
    passes = run_passes(network, images, list(faces.rois), faces.scheme)
    landmarks = {TRUE_BOX: passes["first"].landmarks, SETTLED: passes["settled"].landmarks}
    landmarks[DETECTOR_BOX] = np.full_like(landmarks[SETTLED], np.nan)
    found = [(i, roi) for i, roi in enumerate(faces.detected) if roi is not None]
    if found:
        indices, rois = map(list, zip(*found, strict=True))
        detected = run_passes(network, [images[i] for i in indices], rois, faces.scheme)
        landmarks[DETECTOR_BOX][indices] = detected["settled"].landmarks
    confidence = network.predict(faces.tracking[0]).confidence
    return FacePredictions(landmarks, passes["first"].predicted.pose, confidence)
