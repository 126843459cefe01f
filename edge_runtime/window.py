"""A window for the overlay, opened only where one can be: OpenCV ends the process otherwise."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Self

import cv2
import numpy as np

from edge_runtime.errors import DisplayError

_QUIT_KEYS = (ord("q"), 27)  # 27: Esc


def check_display(
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform, build: str | None = None
) -> None:
    """DisplayError where no window can open; `build` is OpenCV's build information."""
    if platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise DisplayError("there is no display here (DISPLAY and WAYLAND_DISPLAY are empty): run with --headless")
    build = cv2.getBuildInformation() if build is None else build
    if re.search(r"^\s*GUI:\s*NONE\s*$", build, re.MULTILINE):
        raise DisplayError(
            "this OpenCV opens no windows: pip uninstall opencv-python-headless, then pip install 'opencv-python<5', "
            "or run with --headless"
        )


class Window:
    """A window that shows frames until q, Esc or its close button."""

    def __init__(self, title: str) -> None:
        check_display()
        self._title = title
        self._sized = False
        # Resizable, and without the toolbar that OpenCV's Qt build adds.
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL)

    def show(self, image: np.ndarray, wait_ms: int = 1) -> bool:
        """Show an (H, W, 3) uint8 BGR picture for at least `wait_ms` (0: until a key); False when the user quits."""
        if not self._sized:
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            self._sized = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(wait_ms) & 0xFF
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        return key not in _QUIT_KEYS and not closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        cv2.destroyAllWindows()
