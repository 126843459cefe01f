"""Window for the overlay. Without a display, OpenCV would end the process."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Self

import cv2
import numpy as np

from edge_runtime.errors import DisplayError

_ESCAPE = 27


def check_display(
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform, build: str | None = None
) -> None:
    """Raise DisplayError if no window can be opened; `build` is OpenCV's build information."""
    if platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise DisplayError("no display: DISPLAY and WAYLAND_DISPLAY are empty; run with --headless")
    build = cv2.getBuildInformation() if build is None else build
    if re.search(r"^\s*GUI:\s*NONE\s*$", build, re.MULTILINE):
        raise DisplayError(
            "this OpenCV build has no GUI: pip uninstall opencv-python-headless, then pip install 'opencv-python<5', "
            "or run with --headless"
        )


class Window:
    """Window that shows frames and returns key presses; Esc closes it."""

    def __init__(self, title: str) -> None:
        check_display()
        self._title = title
        self._sized = False
        # Resizable, and without the toolbar that OpenCV's Qt build adds.
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL)

    def show(self, image: np.ndarray, wait_ms: int) -> str | None:
        """Show an (H, W, 3) uint8 BGR image for `wait_ms` (1 or more) or until a key is pressed.

        Returns:
            The key in lower case, "" for none, None if the window was closed.
        """
        if not self._sized:
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            self._sized = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(wait_ms)
        if key == _ESCAPE or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            return None
        return chr(key & 0xFF).lower() if key >= 0 else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        cv2.destroyAllWindows()
