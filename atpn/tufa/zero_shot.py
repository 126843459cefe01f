"""Landmarks that a network has not learned, placed on the plane by their mean shape alone (thesis, section 6.3.7)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from atpn.tufa.anchors import WFLW_WITHOUT_IBUG, affine_onto, shared_points
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import SCHEMES


def can_place(model: TUFA, scheme: str, without: Collection[str] = ()) -> bool:
    """Return whether `place_unseen` can place a scheme: whether it shares three points with known anchors."""
    return scheme in SCHEMES and sum(len(own) for own, _ in _shared(model, scheme, without)) >= 3


def place_unseen(model: TUFA, scheme: str, mean: np.ndarray, without: Collection[str] = ()) -> np.ndarray:
    """Place a scheme's (N, 2) mean shape on the plane by an affine map, without any label of a face.

    The map is fitted to the points that the scheme shares with the anchors that the network knows, except those called
    one of `without`. ValueError if there are fewer than three, or they are on a line.
    """
    pairs = _shared(model, scheme, without)
    if not pairs:
        raise ValueError(f"cannot place {scheme} on the plane: it shares no point with a scheme of the network")
    source = np.concatenate([mean[own] for own, _ in pairs])
    return affine_onto(mean, source, np.concatenate([anchors for _, anchors in pairs])).astype(np.float32)


def _shared(model: TUFA, scheme: str, without: Collection[str]) -> list[tuple[list[int], np.ndarray]]:
    """Return indices of the scheme's points that known anchors mark as well, and the (k, 2) anchors, by set."""
    pairs = []
    for name, _ in model.config.schemes:
        other = model.scheme_of(name)
        if name not in without and other in (*SCHEMES, WFLW_WITHOUT_IBUG):
            own, theirs = shared_points(scheme, other)
            if own:
                pairs.append((own, model.anchors(name).cpu().numpy()[theirs]))
    return pairs
