"""Positive and negative crops for the tracking branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from atpn.data.augment import AugmentConfig, augment
from atpn.data.crops import JitterConfig, jittered_roi
from atpn.data.face_boxes import box_corners, landmarks_rectangle
from atpn.data.scenes import (
    MINED,
    NEGATIVE_IOU,
    THESIS_NEGATIVES,
    NegativeConfig,
    SceneConfig,
    background_roi,
    cut,
    displaced_roi,
    make_scene,
    mined_roi,
    negative_roi,
)
from atpn.data.store import SampleStore
from atpn.data.textures import texture
from edge_runtime.geometry import ROI, extract_crop, upright_roll

UPRIGHT_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
"""In the order of `box_corners`."""


@dataclass(frozen=True)
class TrackingCrop:
    """One example."""

    image: np.ndarray
    """(S, S, 3) uint8 RGB."""
    landmarks: np.ndarray | None = None
    """(N, 2) true landmarks in crop coordinates of a displaced face, which is a face if they can be read."""


@dataclass(frozen=True)
class TrackingGroups:
    """Groups of one face crop and `negatives` crops around it or from elsewhere."""

    store: SampleStore
    backgrounds: np.ndarray
    """Indices into the store of images without a face; may be empty."""
    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: the reference for upright crops."""
    crop_size: int
    negatives: int
    jitter: JitterConfig
    scenes: SceneConfig
    augment: AugmentConfig
    kinds: NegativeConfig = THESIS_NEGATIVES

    @cached_property
    def mined(self) -> np.ndarray:
        """Indices into the store of the images without a face that a network took for one."""
        return np.array([i for i in self.backgrounds if self.store.kinds[i] == MINED], np.int64)

    def draw(self, index: int, rng: np.random.Generator) -> list[TrackingCrop]:
        """Return a face, then the others."""
        store, kinds = self.store, self.kinds
        background = store.image(int(rng.choice(self.backgrounds))) if len(self.backgrounds) else None
        scene, (landmarks, mean_shape) = store.image(index), self.outline(index)
        neighbors = store.neighbors(index)
        if neighbors is None:
            # Faces are on textures, too, so that a texture does not tell that there is none.
            around = self._texture(background, rng) if rng.random() < kinds.texture_prob else background
            scene, landmarks = make_scene(scene, landmarks, around, self.scenes, rng)
        others = [ROI.from_landmarks(points) for points in ([] if neighbors is None else neighbors)]
        face = ROI.from_landmarks(landmarks, upright_roll(landmarks, mean_shape))
        labeled = mean_shape is self.mean_shape
        probabilities = (
            kinds.background_prob,
            kinds.mined_prob,
            kinds.texture_prob,
            kinds.displaced_prob,
            kinds.cut_prob,
        )
        limits = np.cumsum(probabilities)
        crops = [self._crop(scene, jittered_roi(landmarks, mean_shape, self.jitter, rng), rng)]
        for _ in range(self.negatives):
            kind = int(np.searchsorted(limits, rng.random(), side="right"))
            if kind == 0 and background is not None:
                crops.append(self._crop(background, background_roi(background, rng), rng))
            elif kind == 1 and background is not None:
                crops.append(self._mined(rng))
            elif kind == 2:
                image = self._texture(background, rng)
                crops.append(self._crop(image, background_roi(image, rng), rng))
            elif kind == 3 and labeled and (roi := self._displaced(landmarks, face.roll, others, rng)):
                crops.append(self._crop(scene, roi, rng, landmarks))
            elif kind == 4 and labeled:
                rest, moved = cut(scene, landmarks, rng)
                crops.append(self._crop(rest, jittered_roi(moved, mean_shape, self.jitter, rng), rng))
            else:
                crops.append(self._crop(scene, negative_roi(face, rng, others), rng))
        return crops

    def outline(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the points (pixels) that the crop rule uses, and their upright shape.

        For a face without landmarks these are the corners of its landmarks' rectangle, upright as the image.
        """
        landmarks = self.store.landmarks[index]
        if not np.isnan(landmarks).any():
            return landmarks, self.mean_shape
        box = landmarks_rectangle(next(iter(self.store.boxes(index).values())))
        return box_corners(box), UPRIGHT_CORNERS

    def _mined(self, rng: np.random.Generator) -> TrackingCrop:
        if not len(self.mined):
            image = self.store.image(int(rng.choice(self.backgrounds)))
            return self._crop(image, background_roi(image, rng), rng)
        image = self.store.image(int(rng.choice(self.mined)))
        return self._crop(image, mined_roi(image, rng), rng)

    def _crop(
        self, image: np.ndarray, roi: ROI, rng: np.random.Generator, landmarks: np.ndarray | None = None
    ) -> TrackingCrop:
        """Cut, mirror at random, and augment a crop, with its landmarks if they are given."""
        crop = extract_crop(image, roi, self.crop_size)
        placed = None if landmarks is None else roi.to_crop(landmarks)
        if rng.random() < self.jitter.flip_prob:
            crop = np.ascontiguousarray(crop[:, ::-1])
            if placed is not None:
                placed = (placed * (-1, 1) + (1, 0))[self.store.scheme.mirror]
        return TrackingCrop(augment(crop, self.augment, rng), placed)

    def _displaced(
        self, landmarks: np.ndarray, upright: float, others: Sequence[ROI], rng: np.random.Generator
    ) -> ROI | None:
        """Return a displaced ROI, or None if it may show another face."""
        roi = displaced_roi(landmarks, upright, rng)
        return roi if all(roi.iou(other) < NEGATIVE_IOU for other in others) else None

    def _texture(self, background: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        image = texture(2 * self.crop_size, rng)
        if background is None or rng.random() < 0.5:
            return image
        photograph = cv2.resize(background, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return cv2.addWeighted(image, share := rng.uniform(0.3, 0.9), photograph, 1 - share, 0)
