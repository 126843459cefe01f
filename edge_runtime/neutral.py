"""Resting faces: what their expression coefficients read is subtracted, as programs for virtual characters do.

Faces at rest differ: narrow eyes read as half a blink, full lips as a pucker.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_runtime.errors import is_finite, require

MAX_CALIBRATION_SECONDS = 60.0
"""Maximum time for which a resting face is watched."""
MAX_NEUTRAL = 0.8
"""Maximum that is subtracted of a coefficient, so that the rest of its range can still be reached."""


class RestingFaces:
    """Coefficients of resting faces, each the median over the time of a calibration: a blink does not count."""

    def __init__(self) -> None:
        self._neutral: dict[int, np.ndarray] = {}
        self._seconds: float | None = None
        """Length of the calibration; None if there is none."""
        self._start: float | None = None
        """Time of its first frame with a face."""
        self._samples: dict[int, list[np.ndarray]] = {}

    @property
    def calibrating(self) -> bool:
        """Whether a calibration is under way, or waits for a face."""
        return self._seconds is not None

    def begin(self, seconds: float) -> None:
        """Begin a calibration with the next frame that has a face. What was subtracted before stays until it ends."""
        valid = is_finite(seconds) and 0 < seconds <= MAX_CALIBRATION_SECONDS
        require(valid, f"seconds must lie in (0, {MAX_CALIBRATION_SECONDS:g}], got {seconds!r}")
        self._seconds, self._start, self._samples = float(seconds), None, {}

    def watch(self, faces: Mapping[int, np.ndarray], timestamp: float) -> None:
        """Take the (52,) coefficients of one frame's faces, by their keys; `timestamp` in seconds."""
        if self._seconds is None:
            return
        if faces and (self._start is None or timestamp < self._start):  # timestamps may decrease
            self._start = timestamp
        for key, coefficients in faces.items():
            self._samples.setdefault(key, []).append(coefficients)
        if self._start is not None and timestamp - self._start >= self._seconds:
            for key, samples in self._samples.items():
                self._neutral[key] = np.median(samples, axis=0).clip(0.0, MAX_NEUTRAL)
            self._seconds, self._samples = None, {}

    def subtract(self, key: int, coefficients: np.ndarray) -> np.ndarray:
        """Return (52,) coefficients that are 0 for this face at rest; unchanged if it was not calibrated."""
        neutral = self._neutral.get(key)
        return coefficients if neutral is None else ((coefficients - neutral) / (1.0 - neutral)).clip(0.0, 1.0)
