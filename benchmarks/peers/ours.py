"""ATPN behind the interface of its peers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.peers.network import ALL_POINTS
from edge_runtime.backends import load_backend
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, convert, scheme_by_name


class AtpnNetwork:
    """An exported file."""

    points = ALL_POINTS
    box_is_fixed = True

    def __init__(self, path: Path) -> None:
        """The errors are those of `load_backend`."""
        self.name = path.name
        self.backend = load_backend(path)
        self.box_scale = 1 + 2 * self.backend.spec.crop_margin

    def prepare(self, frame: np.ndarray, region: ROI) -> np.ndarray:
        """See `LandmarkNetwork.prepare`."""
        return cv2.cvtColor(extract_crop(frame, region, self.backend.spec.input_size), cv2.COLOR_BGR2RGB)

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """(98, 2) in [0, 1] of the crop; the other outputs are made, too."""
        return self.backend.run(tensor)["landmarks"]

    def decode(self, output: np.ndarray, region: ROI) -> np.ndarray:
        """See `LandmarkNetwork.decode`."""
        return region.to_frame(output)

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """See `LandmarkNetwork.to_ibug`."""
        return convert(landmarks, scheme_by_name(self.backend.spec.scheme), IBUG_68)
