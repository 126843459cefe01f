"""The overlay in a window, and what the window's keys do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge_runtime.draw import draw_faces, draw_lines
from edge_runtime.face import Face
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.tracker import FaceTracker

POLL_MS = 30
"""While a picture stands still the window is asked so often for keys, and whether it is still open."""
SMOOTHING = 0.5
"""What the key turns on in a run that began without any."""


class Screen(Protocol):
    """What a preview is shown on; `window.Window` is one."""

    def show(self, image: np.ndarray, wait_ms: int) -> str | None:
        """Show an (H, W, 3) uint8 BGR picture for so long; the key pressed, "" for none, None when it was closed."""


class Preview:
    """Shows frames with their faces, and obeys keys; `m` mirrors what is shown and nothing else.

    Keys change the tracker from the next frame on.
    """

    def __init__(self, screen: Screen, tracker: FaceTracker, scheme: LandmarkScheme | None, mirror: bool) -> None:
        self._screen, self._tracker, self._scheme = screen, tracker, scheme
        self._mirror = mirror
        self._smoothing = tracker.smoothing or SMOOTHING
        self._paused = self._help = False

    def show(self, image: np.ndarray, faces: Sequence[Face], hold: bool = False) -> bool:
        """Show an (H, W, 3) uint8 BGR picture; False when the user quits.

        Returns at once, or while paused when the user goes on. `hold` pauses at this picture.
        """
        self._paused = self._paused or hold
        wait_ms = 1
        while True:
            key = self._screen.show(self._drawn(image, faces), wait_ms)
            if key is None or key == "q":
                return False
            self._obey(key)
            if not self._paused:
                return True
            wait_ms = POLL_MS

    def _obey(self, key: str) -> None:
        if key == " ":
            self._paused = not self._paused
        elif key == "m":
            self._mirror = not self._mirror
        elif key == "r":
            self._tracker.reset()
        elif key == "s":
            self._tracker.smoothing = 0.0 if self._tracker.smoothing else self._smoothing
        elif key == "h":
            self._help = not self._help

    def _drawn(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        picture = draw_faces(image, faces, self._scheme, self._mirror, self._tracker.template)
        if self._help:
            draw_lines(
                picture,
                [
                    "q  quit (or Esc)",
                    f"space  {'go on' if self._paused else 'pause'}",
                    f"m  mirror this window ({_on(self._mirror)})",
                    f"s  smoothing ({_on(self._tracker.smoothing > 0)})",
                    "r  forget the faces, look anew",
                    "h  these keys",
                ],
            )
        return picture


def _on(state: bool) -> str:
    return "on" if state else "off"
