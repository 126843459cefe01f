"""Conversion of frames to BGR uint8."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edge_runtime.errors import FrameError

MAX_SIDE = 32766
"""Maximum side of a frame, pixels: the limit of `cv2.warpAffine`."""


def as_bgr(frame: np.ndarray) -> np.ndarray:
    """Convert a frame to an (H, W, 3) uint8 BGR image.

    Args:
        frame: Gray (H, W) or (H, W, 1), BGR or BGRA; uint8, uint16, or float in [0, 1]. A uint8 BGR image is returned
            as it is.

    Raises:
        FrameError: The shape, dtype, or value range is not supported, or a side exceeds `MAX_SIDE`.
    """
    given: Any = frame  # callers without a type checker pass anything
    if not isinstance(given, np.ndarray):
        hint = ": was the file read?" if given is None else ""
        raise FrameError(f"a frame must be a numpy array, got {type(given).__name__}{hint}")
    channels = frame.shape[2] if frame.ndim == 3 else 1
    if frame.ndim not in (2, 3) or channels not in (1, 3, 4) or frame.size == 0:
        raise FrameError(f"a frame must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) and not empty, got {frame.shape}")
    if max(frame.shape[:2]) > MAX_SIDE:
        raise FrameError(f"a frame's sides must not exceed {MAX_SIDE} px, got {frame.shape}: downscale it")
    frame = _as_uint8(frame)
    if channels == 1:
        return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    if channels == 4:
        return cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)
    return frame


def _as_uint8(frame: np.ndarray) -> np.ndarray:
    if frame.dtype == np.uint8:
        return frame
    if frame.dtype == np.uint16:
        return (frame >> 8).astype(np.uint8)
    if np.issubdtype(frame.dtype, np.floating):
        low, high = float(frame.min()), float(frame.max())
        # Not "low < 0 or high > 1": NaN must fail too.
        if not (low >= 0 and high <= 1):
            raise FrameError(f"a float frame must lie in [0, 1], got values from {low} to {high}")
        return np.asarray(np.rint(frame * 255), np.uint8)
    raise FrameError(f"a frame must be uint8, uint16 or float, got {frame.dtype}")
