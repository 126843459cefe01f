"""Counts and times of a tracker."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrackerStats:
    """Counts and times since the tracker was created; `reset` keeps them."""

    frames: int = 0
    """Frames of streams and pictures."""
    detector_runs: int = 0
    detections: int = 0
    """Tracks started, and faces found in pictures."""
    lost_count: int = 0
    """Tracks lost; `reset` is not counted."""
    rejected_count: int = 0
    """Tracks lost as false alarms soon after their start."""
    network_runs: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "crop": 0.0, "network": 0.0})
    """Total time per stage."""
