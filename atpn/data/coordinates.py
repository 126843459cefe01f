"""Range of coordinates in label files that nobody has checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

MAX_COORDINATE = 1e6
"""Maximum magnitude of a coordinate, pixels. No image is that large, and a larger number may be infinite in float32."""
IN_RANGE = f"within {MAX_COORDINATE:.0f}"
"""The range as messages give it."""


def are_coordinates(values: ArrayLike) -> bool:
    """Return whether all values are numbers within `MAX_COORDINATE`; NaN is none."""
    return bool((np.abs(np.asarray(values, np.float64)) <= MAX_COORDINATE).all())
