"""What a landmark network is to a comparison: crop rule, preparation, run, decoding, and its points in iBUG's order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from edge_runtime.geometry import ROI

ALL_POINTS = tuple(range(68))


class LandmarkNetwork(Protocol):
    """One network with all that its authors do around it. Frames are (H, W, 3) uint8 BGR, as OpenCV reads them."""

    @property
    def name(self) -> str:
        """In tables."""

    @property
    def box_scale(self) -> float:
        """Side of its crop over that of the landmarks' squared rectangle."""

    @property
    def box_is_fixed(self) -> bool:
        """The scale is part of the network rather than what suits it best."""

    @property
    def points(self) -> tuple[int, ...]:
        """Indices of iBUG's 68 points that it has."""

    def prepare(self, frame: np.ndarray, region: ROI) -> np.ndarray:
        """The network's input, cut out of a frame: everything between a frame and `run`."""

    def run(self, tensor: np.ndarray) -> Any:
        """The network alone."""

    def decode(self, output: Any, region: ROI) -> np.ndarray:
        """(N, 2) landmarks of its own scheme in pixels of the frame, pixel centres at integers."""

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """(N, 2) landmarks of its own scheme as (68, 2) in iBUG's order, NaN where it has no such point."""


def region_of(box: ROI, scale: float) -> ROI:
    """The crop of a network with this scale around a face's squared landmark rectangle."""
    return replace(box, size=box.size * scale)


def picked(landmarks: np.ndarray, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
    """(68, 2) in iBUG's order: point `target[i]` is landmark `source[i]`, all others NaN."""
    points = np.full((68, 2), np.nan)
    points[list(target)] = landmarks[list(source)]
    return points
