"""Landmarks' places on the mean-face plane, as learned by a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.model import ATPN, CheckpointError, load_network
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED
from edge_runtime.landmarks import SCHEMES, WFLW_98, LandmarkScheme, convert
from edge_runtime.reading import MAX_MODEL_BYTES, read_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnchoredNetwork:
    """A network and its schemes' anchors: the landmarks' places on the plane."""

    network: TUFA | ATPN
    anchors: Mapping[str, np.ndarray]
    """(N, 2) float32 by the scheme's name."""

    @staticmethod
    def read(path: Path) -> AnchoredNetwork:
        """Read a TUFA, or an ATPN whose metadata has `anchors`; fallback: the ATPN's mean shape, their initial value.

        CheckpointError if the file is damaged, or its anchors are malformed.
        """
        if _is_tufa(path):
            tufa, _ = load_network(path, TUFA)
            return AnchoredNetwork(tufa, {name: tufa.anchors(name).numpy() for name, _ in tufa.config.schemes})
        atpn, metadata = load_network(path, ATPN)
        if "anchors" not in metadata:
            log.warning("%s has no learned anchors: using its mean shape, which is less accurate", path)
            return AnchoredNetwork(atpn, {atpn.config.scheme.name: atpn.mean_shape.numpy()})
        return AnchoredNetwork(atpn, _checked(metadata["anchors"], path))

    def of(self, scheme: LandmarkScheme) -> np.ndarray:
        """Return (N, 2) anchors of a scheme, converted from wflw98 if needed; ValueError if neither is known."""
        if scheme.name in self.anchors:
            return self.anchors[scheme.name]
        if WFLW_98.name not in self.anchors:
            known = ", ".join(self.anchors) or "none"
            raise ValueError(f"these weights have no anchors of {scheme.name} or {WFLW_98.name}, only of {known}")
        return convert(self.anchors[WFLW_98.name], WFLW_98, scheme)


def landmark_network(anchored: AnchoredNetwork) -> ATPN:
    """Return the ATPN that locates 98 landmarks: the given one, or the shipped one for a TUFA."""
    network = anchored.network
    return network if isinstance(network, ATPN) else load_network(SHIPPED, ATPN)[0]


def _is_tufa(path: Path) -> bool:
    try:
        return bool(read_json(path.with_suffix(".json"), limit=MAX_MODEL_BYTES)["architecture"] == TUFA.__name__)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # reading it as an ATPN reports the error


def _checked(anchors: Any, path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = {str(name): np.array(places, np.float32) for name, places in dict(anchors).items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path.with_suffix('.json')}: anchors must be {{scheme: [[x, y], …]}}: {error}"
        ) from error
    for name, places in arrays.items():
        count = SCHEMES[name].count if name in SCHEMES else len(places)
        if places.shape != (count, 2) or not np.isfinite(places).all():
            raise CheckpointError(
                f"{path.with_suffix('.json')}: anchors of {name} must be ({count}, 2) finite, got {places.shape}"
            )
    return arrays
