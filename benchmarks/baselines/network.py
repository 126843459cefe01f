"""Interface of a landmark network for the comparison: crop rule, preparation, inference, decoding, iBUG's order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert

ALL_POINTS = tuple(range(68))
WFLW_OF_IBUG = convert(np.arange(98.0).repeat(2).reshape(98, 2), WFLW_98, IBUG_68)[:, 0].round().astype(int)
"""(68,) indices of iBUG's points among WFLW's 98."""


class LandmarkNetwork(Protocol):
    """A network with its authors' pre- and postprocessing. Frames are (H, W, 3) uint8 BGR."""

    name: str
    points: tuple[int, ...] = ALL_POINTS
    """Indices of iBUG's 68 points that the network predicts."""
    box_scale: float
    """Side of the crop over that of the landmarks' squared rectangle."""
    box_is_fixed: bool = False
    """Whether the scale is part of the network; otherwise the best is chosen."""

    def prepare(self, frame: np.ndarray, roi: ROI) -> np.ndarray:
        """Return the network's input from a frame: everything before `run`."""

    def run(self, tensor: np.ndarray) -> Any:
        """Run the network alone."""

    def decode(self, output: Any, roi: ROI) -> np.ndarray:
        """Return (N, 2) landmarks of the network's own scheme in frame pixels, pixel centers at integers."""

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """Return the network's own (N, 2) landmarks as (68, 2) in iBUG's order, NaN for missing points."""

    def to_wflw(self, landmarks: np.ndarray) -> np.ndarray:
        """Return the network's own (N, 2) landmarks as (98, 2) in WFLW's order, NaN for missing points."""
        points = np.full((98, 2), np.nan)
        points[WFLW_OF_IBUG] = self.to_ibug(landmarks)
        return points


def scaled(box: ROI, scale: float) -> ROI:
    """Return an ROI around the same center with its side multiplied by `scale`."""
    return replace(box, size=box.size * scale)


def select_points(landmarks: np.ndarray, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
    """Return (68, 2) in iBUG's order: point `target[i]` is landmark `source[i]`, all others NaN."""
    points = np.full((68, 2), np.nan)
    points[list(target)] = landmarks[list(source)]
    return points
