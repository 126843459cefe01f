"""Constants of the runtime by name, which ports must share."""

from __future__ import annotations

from types import ModuleType

from edge_runtime import detector, geometry, identity, motion, smoothing, tracker

MODULES = (detector, geometry, identity, motion, smoothing, tracker)
NOT_PORTED = {
    *("SEARCH_SIZE", "MIN_FACE_SIZE", "SCALE_STEP", "MIN_NEIGHBORS", "CONFIDENT_NEIGHBORS"),
    *("FRONTAL_TO_LANDMARKS", "PROFILE_TO_LANDMARKS"),
}
"""Constants of OpenCV's cascades."""


def constants() -> dict[str, float | list[float]]:
    """Return the numbers and pairs of numbers that the modules of the loop define."""
    found: dict[str, float | list[float]] = {}
    for module in MODULES:
        for name in sorted(_own(module) - NOT_PORTED):
            value = getattr(module, name)
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _own(module: ModuleType) -> set[str]:
    return {name for name, value in vars(module).items() if name.isupper() and isinstance(value, int | float | tuple)}
