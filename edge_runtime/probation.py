"""Whether a track is a face: probation of new tracks, doubt about later ones, and places of false alarms.

A single crop may pass for a face by chance; in the frames after it, a false alarm's confidence varies and its points
stay uncertain. So the means over a track's last frames decide, by stricter limits than a single frame's. A new track
that fails them is dropped, and its place is rejected for some seconds: only a sure face starts there. An older track
that fails them is doubtful: it keeps its slot until a sure face needs it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge_runtime.geometry import ROI

PROBATION_FRAMES = 10
"""Number of frames of a track's probation, and of the running means. Raise it to drop later false alarms; an occlusion
then ends more young tracks."""
MIN_EVIDENCE_FRAMES = 3
"""Number of frames from which the means decide. Raise it to forgive single bad frames at the start."""
DOUBT_CONFIDENCE_MARGIN = 1 / 3
"""Mean confidence below which a track is in doubt: the fraction of the way from the tracking threshold to 1. Raise it
for fewer false alarms and more dropped faces. On renders, 0.8 with the next limit keeps 98 % of the faces."""
DOUBT_UNCERTAINTY_FACTOR = 0.83
"""Mean uncertainty above which a track is in doubt, relative to a new face's threshold. If the mean confidence is
a sure face's, the threshold itself holds."""
SURE_CONFIDENCE_MARGIN = 5 / 6
"""The same as `DOUBT_CONFIDENCE_MARGIN` for the one crop of a sure face: 0.95."""
SURE_UNCERTAINTY_FACTOR = 0.8
"""The same as `DOUBT_UNCERTAINTY_FACTOR` for a sure face. 92 % of a face's crops pass, 3 % of a false alarm's."""
REJECTED_SECONDS = 5.0
"""Time for which a place is rejected. Raise it to take up the same false alarm less often."""
REJECTED_IOU_THRESHOLD = 0.3
"""IoU from which a face is at a rejected place."""
MAX_REJECTED = 8
"""Maximum number of rejected places; the oldest is forgotten."""


@dataclass(frozen=True)
class Limits:
    """Minimum confidence and maximum mean uncertainty, crop widths."""

    confidence: float
    uncertainty: float

    def stricter(self, margin: float, factor: float) -> Limits:
        """Return limits whose confidence is a fraction of the way to 1, and whose uncertainty is scaled."""
        return Limits(self.confidence + margin * (1 - self.confidence), factor * self.uncertainty)

    def accept(self, confidence: float, uncertainty: float) -> bool:
        """Return whether both are within the limits."""
        return confidence >= self.confidence and uncertainty <= self.uncertainty


class Evidence:
    """Running means of a track's confidence and uncertainty."""

    def __init__(self, confidence: float, uncertainty: float) -> None:
        self.frames, self.confidence, self.uncertainty = 1, confidence, uncertainty

    def add(self, confidence: float, uncertainty: float) -> None:
        """Add the next frame: means of all frames at first, then exponential ones over `PROBATION_FRAMES`."""
        self.frames += 1
        weight = 1 / min(self.frames, PROBATION_FRAMES)
        self.confidence += weight * (confidence - self.confidence)
        self.uncertainty += weight * (uncertainty - self.uncertainty)

    @property
    def on_probation(self) -> bool:
        """Whether the track is new."""
        return self.frames <= PROBATION_FRAMES

    def supports(self, *limits: Limits) -> bool:
        """Return whether the means are within any of the limits."""
        return any(each.accept(self.confidence, self.uncertainty) for each in limits)


class RejectedPlaces:
    """Places of a stream's false alarms, each for `REJECTED_SECONDS`."""

    def __init__(self) -> None:
        self._places: deque[tuple[ROI, float]] = deque(maxlen=MAX_REJECTED)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, roi: ROI) -> bool:
        return any(roi.iou(place) >= REJECTED_IOU_THRESHOLD for place, _ in self._places)

    def add(self, roi: ROI, timestamp: float) -> None:
        """Reject a place from `timestamp` (seconds) on."""
        self._places.append((roi, timestamp))

    def remove_expired(self, timestamp: float) -> None:
        """Forget places rejected too long before `timestamp`, or after it if the clock was set back."""
        fresh = [place for place in self._places if 0 <= timestamp - place[1] < REJECTED_SECONDS]
        self._places = deque(fresh, MAX_REJECTED)
