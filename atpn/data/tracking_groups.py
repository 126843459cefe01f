"""Positive and negative crops for the tracking branch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.data.augment import AugmentConfig, augment
from atpn.data.crops import JitterConfig, jittered_roi
from atpn.data.face_boxes import box_corners, landmarks_rectangle
from atpn.data.scenes import SceneConfig, background_roi, make_scene, negative_roi
from atpn.data.store import SampleStore
from edge_runtime.geometry import ROI, extract_crop, upright_roll

BACKGROUND_PROB = 0.2
"""Fraction of the negatives that are crops of background-only samples."""
UPRIGHT_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
"""In the order of `box_corners`."""


@dataclass(frozen=True)
class TrackingGroups:
    """Groups of one face crop and `negatives` crops around it or from backgrounds."""

    store: SampleStore
    backgrounds: np.ndarray
    """Indices into the store; may be empty."""
    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: the reference for upright crops."""
    crop_size: int
    negatives: int
    jitter: JitterConfig
    scenes: SceneConfig
    augment: AugmentConfig

    def draw(self, index: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Return (S, S, 3) crops: a face, then its negatives."""
        store = self.store
        background = store.image(int(rng.choice(self.backgrounds))) if len(self.backgrounds) else None
        scene, (landmarks, mean_shape) = store.image(index), self.outline(index)
        neighbors = store.neighbors(index)
        if neighbors is None:
            scene, landmarks = make_scene(scene, landmarks, background, self.scenes, rng)
        others = [ROI.from_landmarks(points) for points in ([] if neighbors is None else neighbors)]
        roi = jittered_roi(landmarks, mean_shape, self.jitter, rng)
        face = ROI.from_landmarks(landmarks, upright_roll(landmarks, mean_shape))
        crops = [extract_crop(scene, roi, self.crop_size)]
        for _ in range(self.negatives):
            if background is not None and rng.random() < BACKGROUND_PROB:
                crops.append(extract_crop(background, background_roi(background, rng), self.crop_size))
            else:
                crops.append(extract_crop(scene, negative_roi(face, rng, others), self.crop_size))
        flips = rng.random(len(crops)) < self.jitter.flip_prob
        crops = [crop[:, ::-1] if flip else crop for crop, flip in zip(crops, flips, strict=True)]
        return [augment(np.ascontiguousarray(crop), self.augment, rng) for crop in crops]

    def outline(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the points (pixels) that the crop rule uses, and their upright shape.

        For a face without landmarks these are the corners of its landmarks' rectangle, upright as the image.
        """
        landmarks = self.store.landmarks[index]
        if not np.isnan(landmarks).any():
            return landmarks, self.mean_shape
        box = landmarks_rectangle(next(iter(self.store.boxes(index).values())))
        return box_corners(box), UPRIGHT_CORNERS
