"""iBUG's 68 points placed on the plane as if nobody had ever labelled them (thesis, section 6.3.7)."""

from __future__ import annotations

import numpy as np

from atpn.tufa.anchors import affine_onto
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert

COMMON = {
    "wflw98": (16, 60, 64, 68, 72, 76, 82),
    "cofw29": (28, 8, 10, 11, 9, 22, 23),
    "ibug68": (8, 36, 39, 42, 45, 48, 54),
}
"""Points that schemes share, in one order: chin, eye corners, mouth corners. What an affine alignment goes by."""


def zero_shot_plane(model: TUFA, reference: str, mean_shape: np.ndarray) -> np.ndarray:
    """(68, 2) places on the plane: a mean shape brought there by the affine map of seven points that it shares with
    a scheme that the network knows, `reference`.

    (98, 2) `mean_shape` gives the 68 points' own, which is taken out of its frame first.
    """
    shape = convert(mean_shape, WFLW_98, IBUG_68)
    low, high = shape.min(axis=0), shape.max(axis=0)
    shape = (shape - low) / (high - low)
    anchors = model.anchors(reference).cpu().numpy()
    return affine_onto(shape, shape[list(COMMON["ibug68"])], anchors[list(COMMON[reference])]).astype(np.float32)
