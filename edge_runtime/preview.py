"""Preview window: shows the overlay and handles keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge_runtime.draw import draw_faces, draw_lines
from edge_runtime.face import Face
from edge_runtime.tracker import FaceTracker

POLL_MS = 30
"""Interval of polling for keys while paused, milliseconds."""
DEFAULT_SMOOTHING = 0.5
"""Smoothing that the key turns on if the run started without."""


class Screen(Protocol):
    """Output of a preview; see `window.Window`."""

    def show(self, image: np.ndarray, wait_ms: int) -> str | None:
        """Show an (H, W, 3) uint8 BGR image; return the key pressed, "" for none, None if closed."""


class Preview:
    """Shows frames with their faces. Keys change the tracker from the next frame on."""

    def __init__(self, screen: Screen, tracker: FaceTracker, mirror: bool, expressions: bool = False) -> None:
        self._screen, self._tracker = screen, tracker
        self._mirror, self._expressions = mirror, expressions
        self._smoothing = tracker.smoothing or DEFAULT_SMOOTHING
        self._paused = self._help = False

    def show(
        self, image: np.ndarray, faces: Sequence[Face], pause: bool = False, overlay: np.ndarray | None = None
    ) -> bool:
        """Show an (H, W, 3) uint8 BGR image with its faces, and return whether to continue.

        While paused, return when the user resumes or quits. `pause` pauses at this image. `overlay` is the image with
        its faces drawn, if the caller has drawn them already.
        """
        self._paused = self._paused or pause
        wait_ms = 1
        drawn = {} if overlay is None else {(False, self._expressions): overlay}  # by what the keys change
        while True:
            looks = self._mirror, self._expressions
            if looks not in drawn:
                drawn[looks] = draw_faces(image, faces, *looks)
            key = self._screen.show(self._add_help(drawn[looks]), wait_ms)
            if key is None or key == "q":
                return False
            self._handle_key(key)
            if not self._paused:
                return True
            wait_ms = POLL_MS

    def _handle_key(self, key: str) -> None:
        if key == " ":
            self._paused = not self._paused
        elif key == "m":
            self._mirror = not self._mirror
        elif key == "e":
            self._expressions = not self._expressions
        elif key == "n" and self._tracker.spec.has_expressions:
            self._tracker.calibrate_neutral()
        elif key == "r":
            self._tracker.reset()
        elif key == "s":
            self._tracker.smoothing = 0.0 if self._tracker.smoothing else self._smoothing
        elif key == "h":
            self._help = not self._help

    def _add_help(self, overlay: np.ndarray) -> np.ndarray:
        if not self._help:
            return overlay
        helped = overlay.copy()
        draw_lines(
            helped,
            [
                "q  quit (or Esc)",
                f"space  {'resume' if self._paused else 'pause'}",
                f"m  mirror this window ({_on(self._mirror)})",
                f"s  smoothing ({_on(self._tracker.smoothing > 0)})",
                "r  reset the tracker",
                *self._expression_help(),
                "h  help",
            ],
        )
        return helped

    def _expression_help(self) -> Sequence[str]:
        if not self._tracker.spec.has_expressions:
            return ()
        state = "look at the camera, relaxed" if self._tracker.calibrating else "from a resting face"
        return f"e  expressions ({_on(self._expressions)})", f"n  calibrate expressions ({state})"


def _on(state: bool) -> str:
    return "on" if state else "off"
