"""Pictures whose faces are known: scenes put together from renders, and photographs."""

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
"""Pixels: a small webcam frame's height."""
EMPTY_SHARE = 0.3
"""Of the scenes hold no face, twice as many as in training: false alarms are rare."""
SMALLEST = 40.0
"""Pixels of the landmarks' longer extent below which a photograph's face need not be found."""


@dataclass(frozen=True)
class Picture:
    """A frame and its faces."""

    frame: np.ndarray
    """(H, W, 3) uint8 BGR."""
    faces: Sequence[ROI]
    """By the crop rule at roll 0, pixels."""
    wanted: Sequence[bool]
    """False for faces that are too small or cut off, where either answer is right."""

    @property
    def shares(self) -> list[float]:
        """The faces' sizes over the frame's longer side."""
        return [face.size / max(self.frame.shape[:2]) for face in self.faces]


def scenes(store: SampleStore, count: int) -> list[Picture]:
    """The same scenes from a store in every call. ValueError when it holds no face or no background."""
    config = replace(CompositeConfig(), empty_prob=EMPTY_SHARE, augment=NO_AUGMENT)
    gatherings = Compositor(store, store.faces, store.backgrounds, config)
    made = [gatherings.compose(SCENE_SIZE, np.random.default_rng([0, i])) for i in range(count)]
    pictures = []
    for each in made:
        # Regions count in picture sides, from the edge of the first pixel on.
        faces = [ROI(*map(float, region * SCENE_SIZE - (0.5, 0.5, 0.0))) for region in each.regions]
        pictures.append(Picture(np.ascontiguousarray(each.image[:, :, ::-1]), faces, each.required.tolist()))
    return pictures


def photographs(photos: Sequence[Photo]) -> list[Picture]:
    """AFW's; its labels leave out some faces, which count as false alarms for every detector alike."""
    return [
        Picture(
            np.ascontiguousarray(photo.image[:, :, ::-1]),
            [ROI.from_landmarks(face) for face in photo.faces],
            [float(np.ptp(face, axis=0).max()) >= SMALLEST for face in photo.faces],
        )
        for photo in photos
    ]
