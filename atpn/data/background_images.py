"""Images to blend into training crops, as the thesis does with those of WIDER FACE (section 3.3.2, figure 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.data.scenes import background_roi, negative_roi
from atpn.data.store import SampleStore
from edge_runtime.geometry import ROI, extract_crop


@dataclass(frozen=True)
class BackgroundImages:
    """Images of a store, with or without faces."""

    store: SampleStore
    indices: np.ndarray
    """(n,) indices into the store."""

    @classmethod
    def all_of(cls, store: SampleStore) -> BackgroundImages:
        """Return all images of the store's training part."""
        parts = [store.split(kind)[0] for kind in (store.faces, store.boxed, store.backgrounds)]
        return cls(store, np.sort(np.concatenate(parts)))

    def __len__(self) -> int:
        return len(self.indices)

    def crop(self, crop_size: int, rng: np.random.Generator) -> np.ndarray:
        """Return a random (S, S, 3) uint8 crop; of an image with faces, one that overlaps each by less than 0.3."""
        sample = self.store[int(rng.choice(self.indices))]
        if sample.outline is None:
            return extract_crop(sample.image, background_roi(sample.image, rng), crop_size)
        others = [ROI.from_landmarks(points) for points in ([] if sample.neighbors is None else sample.neighbors)]
        return extract_crop(sample.image, negative_roi(ROI.from_landmarks(sample.outline), rng, others), crop_size)
