"""Constants of the runtime by name, which ports must share."""

from __future__ import annotations

from types import ModuleType

from edge_runtime import expressions, geometry, identity, motion, neutral, observation, probation, smoothing, tracker
from edge_runtime.detector import detection, network
from edge_runtime.options import TrackerOptions

MODULES = (
    *(detection, network, geometry, identity, motion, observation, probation, smoothing, tracker),
    *(neutral, expressions),
)
OPTIONS = ("detection_interval", "detection_interval_tracked", "max_low_confidence_frames", "reid_seconds")
"""Options of the tracker whose defaults are constants of the ports."""
NOT_PORTED = {"LANDMARKS_HEIGHT", "EXPRESSION_MIRROR"}
"""Constants of other projects' detectors, and of training."""


def constants() -> dict[str, float | list[float] | list[str]]:
    """Return the numbers and tuples that the modules of the loop define, and the tracker's defaults."""
    defaults = TrackerOptions()
    found: dict[str, float | list[float] | list[str]] = {name.upper(): getattr(defaults, name) for name in OPTIONS}
    for module in MODULES:
        for name in sorted(_own(module) - NOT_PORTED):
            value = getattr(module, name)
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _own(module: ModuleType) -> set[str]:
    return {name for name, value in vars(module).items() if name.isupper() and isinstance(value, int | float | tuple)}
