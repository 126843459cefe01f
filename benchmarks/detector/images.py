"""Images with labeled faces: scenes composed from renders, and photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from atpn.data.afw import Photo
from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import CompositeConfig, Compositor
from atpn.data.store import SampleStore
from edge_runtime.geometry import ROI

SCENE_SIZE = 480
"""Side of a scene, pixels: the height of a small webcam frame."""
EMPTY_FRACTION = 0.3
"""Fraction of scenes without a face: twice that in training, because false alarms are rare."""
MIN_FACE_SIZE = 40.0
"""Longer extent of the landmarks, pixels, below which a photograph's face need not be found."""


@dataclass(frozen=True)
class LabeledImage:
    """A frame and its faces."""

    frame: np.ndarray
    """(H, W, 3) uint8 BGR."""
    faces: Sequence[ROI]
    """ROIs by the crop rule at roll 0, pixels."""
    required: Sequence[bool]
    """False for faces that are too small or cut off: they may be found or not."""

    @property
    def size_fractions(self) -> list[float]:
        """Sizes of the faces over the frame's longer side."""
        return [face.size / max(self.frame.shape[:2]) for face in self.faces]


def scenes(store: SampleStore, count: int) -> list[LabeledImage]:
    """Return scenes, the same for a store in every call. Raise ValueError for no face or no background."""
    config = replace(CompositeConfig(), empty_prob=EMPTY_FRACTION, augment=NO_AUGMENT)
    composites = Compositor(store, store.faces, store.backgrounds, config)
    images = []
    for i in range(count):
        scene = composites.compose(SCENE_SIZE, np.random.default_rng([0, i]))
        # Regions are fractions of the image, from the edge of the first pixel.
        faces = [
            ROI(*map(float, (*(region[:3] * SCENE_SIZE - (0.5, 0.5, 0.0)), region[3]))) for region in scene.regions
        ]
        images.append(LabeledImage(np.ascontiguousarray(scene.image[:, :, ::-1]), faces, scene.required.tolist()))
    return images


def photographs(photos: Sequence[Photo]) -> list[LabeledImage]:
    """Return AFW's photographs; faces without labels count as false alarms for every detector alike."""
    return [
        LabeledImage(
            np.ascontiguousarray(photo.image[:, :, ::-1]),
            [ROI.from_landmarks(face) for face in photo.faces],
            [float(np.ptp(face, axis=0).max()) >= MIN_FACE_SIZE for face in photo.faces],
        )
        for photo in photos
    ]
