"""Labelled faces of one dataset with the regions to look at: the same for every network that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atpn.data.crops import cut_crop
from atpn.data.sample import Sample
from atpn.data.store import SampleStore
from atpn.evaluate.backend import CropPredictor
from atpn.evaluate.detectors import detect_rois
from atpn.evaluate.passes import run_passes
from atpn.evaluate.tracking import photograph_crops, tracking_crops
from edge_runtime.detector import Detector
from edge_runtime.geometry import ROI, upright_roll
from edge_runtime.landmarks import LandmarkScheme, scheme_by_name
from edge_runtime.spec import ModelSpec

TRACKED_FACES = 100
"""Of a set; each brings ten crops of background along."""
TRUE_BOX, SETTLED, DETECTOR_BOX = "true box", "settled", "detector box"
"""Where the measured landmarks come from: the labels' own region; the last of the regions that the tracker makes from
it at a detection; the same from a detector's region."""


@dataclass(frozen=True)
class FaceSet:
    """Faces, regions and crops; see `of_samples` for a dataset that a reader gives."""

    name: str
    samples: Sequence[Sample]
    """One per face, all of one scheme."""
    rois: Sequence[ROI]
    """By the labels."""
    found: Sequence[ROI | None]
    """The detector's; None for a face that it misses."""
    tracking: tuple[np.ndarray, np.ndarray]
    """(m, S, S, 3) crops for the tracking branch, and (m,) whether they hold a face."""

    @staticmethod
    def of_samples(name: str, samples: Sequence[Sample], detector: Detector, spec: ModelSpec) -> FaceSet:
        """Any dataset: the labels' regions at roll 0, and random regions around the faces as background."""
        rois = [ROI.from_landmarks(sample.landmarks) for sample in samples]
        crops = photograph_crops(samples[:: -(-len(samples) // TRACKED_FACES)], spec.input_size)
        return FaceSet(name, samples, rois, detect_rois(samples, detector), crops)

    @staticmethod
    def of_store(name: str, store: SampleStore, limit: int, detector: Detector, spec: ModelSpec) -> FaceSet:
        """The first so many renders, regions upright; backgrounds as `python -m atpn evaluate` draws them.

        ValueError when they are labelled by another scheme than the networks'.
        """
        if store.scheme.name != spec.scheme:
            raise ValueError(f"the files predict {spec.scheme}, but the data are labelled {store.scheme.name}")
        chosen = store.faces[:limit]
        samples = [store[int(index)] for index in chosen]
        rois = [ROI.from_landmarks(s.landmarks, upright_roll(s.landmarks, spec.mean_shape)) for s in samples]
        crops = tracking_crops(store, chosen[:TRACKED_FACES], store.backgrounds, spec.mean_shape, spec.input_size)
        return FaceSet(name, samples, rois, detect_rois(samples, detector), crops)

    @property
    def scheme(self) -> LandmarkScheme:
        """Of the labels."""
        return scheme_by_name(self.samples[0].scheme)

    @property
    def landmarks(self) -> np.ndarray:
        """(n, N, 2) pixels."""
        return np.stack([sample.landmarks for sample in self.samples])

    @property
    def pose(self) -> np.ndarray:
        """(n, 3) radians in the frame of the labels' region; NaN where unknown."""
        return np.stack([cut_crop(sample, roi, 1).pose for sample, roi in zip(self.samples, self.rois, strict=True)])

    @property
    def hidden(self) -> np.ndarray | None:
        """(n, N) bool: landmarks that are not seen; None for labels that do not tell."""
        seen = [sample.visibility for sample in self.samples if sample.visibility is not None]
        return ~np.stack(seen) if len(seen) == len(self.samples) else None


@dataclass(frozen=True)
class Measured:
    """One network on a `FaceSet`."""

    landmarks: dict[str, np.ndarray]
    """By box: (n, N, 2) pixels in the labels' scheme; NaN for a face without a region."""
    pose: np.ndarray
    """(n, 3) radians, from the labels' regions."""
    confidence: np.ndarray
    """(m,) of the tracking crops."""


def measure(network: CropPredictor, faces: FaceSet) -> Measured:
    """Run a network over all regions and crops."""
    images = [sample.image for sample in faces.samples]
    passes = run_passes(network, images, list(faces.rois), faces.scheme)
    landmarks = {TRUE_BOX: passes["first"].landmarks, SETTLED: passes["settled"].landmarks}
    landmarks[DETECTOR_BOX] = np.full_like(landmarks[SETTLED], np.nan)
    held = [i for i, roi in enumerate(faces.found) if roi is not None]
    if held:
        regions = [roi for roi in faces.found if roi is not None]
        passed = run_passes(network, [images[i] for i in held], regions, faces.scheme)
        landmarks[DETECTOR_BOX][held] = passed["settled"].landmarks
    confidence = network.predict(faces.tracking[0]).confidence
    return Measured(landmarks, passes["first"].predicted.pose, confidence)
