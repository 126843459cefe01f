"""Motion blur kernels."""

from __future__ import annotations

import cv2
import numpy as np


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Return a (K, K) float32 line of `length` pixels at `angle` radians through the center, of sum 1."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1,) * 2, np.uint8)
    reach = 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    start, end = (tuple(int(v) for v in np.round((half + sign * reach) * 16)) for sign in (-1, 1))
    cv2.line(kernel, start, end, 255, 1, cv2.LINE_AA, 4)
    return kernel.astype(np.float32) / max(float(kernel.sum()), 1.0)
