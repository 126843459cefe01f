"""Networks that regress points in [0, 1] of a square crop: PFLD with Ghost blocks, and Peppa Pig's slim one.

All take BGR, as OpenCV reads. PFLD's demonstration feeds RGB, but its files err less on BGR: by 0.15 to 0.3 points of
NME on the photographs that boxes are chosen on.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.peers.engines import OnnxNetwork
from benchmarks.peers.network import ALL_POINTS
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, LandmarkScheme, convert

HALF_PIXEL = 0.5
"""Pixels of the frame. Both cut frames at whole pixels and count from the first one's centre, half a pixel inside the
edge that `ROI.to_frame` counts from."""


class CropRegressor:
    """See the module."""

    points = ALL_POINTS
    box_is_fixed = False
    box_scale = 1.2
    """Their training boxes are 1.1 to 1.2 times the landmarks' rectangle."""

    def __init__(
        self,
        name: str,
        path: Path,
        size: int,
        scheme: LandmarkScheme,
        centre: float,
        spread: float,
    ) -> None:
        """Input: (value - centre) / spread of a BGR crop `size` pixels wide. The errors are those of `OnnxNetwork`."""
        self.name = name
        self._network = OnnxNetwork(path)
        self._size, self._scheme = size, scheme
        self._centre, self._spread = centre, spread

    def prepare(self, frame: np.ndarray, region: ROI) -> np.ndarray:
        """(1, 3, S, S) float32; see `LandmarkNetwork.prepare`."""
        crop = extract_crop(frame, region, self._size)
        mean = (self._centre,) * 3
        return np.asarray(cv2.dnn.blobFromImage(crop, 1 / self._spread, mean=mean))

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """The points first, head pose and openings behind them where there are any."""
        return self._network(tensor)

    def decode(self, output: np.ndarray, region: ROI) -> np.ndarray:
        """See `LandmarkNetwork.decode`."""
        return region.to_frame(output[: 2 * self._scheme.count].reshape(-1, 2)) + HALF_PIXEL

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """See `LandmarkNetwork.to_ibug`."""
        return convert(landmarks, self._scheme, IBUG_68)
