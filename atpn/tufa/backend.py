"""A TUFA with one set of anchors in the place of a landmark network, for published protocols."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from atpn.evaluate.inference import Predictions
from atpn.tufa.inference import predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.training_set import Frame
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.spec import ModelSpec, standard_outputs

PROTOCOL_ANCHORS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "wflw": ("wflw", "wflw98"),
        "300w": ("300w", "ibug68"),
        "300w-private": ("300w", "ibug68"),
        "masked-300w": ("300w", "ibug68"),
        "cofw": ("cofw", "cofw29"),
        "cofw68": ("300w", "ibug68"),
        "merl-rav": ("merl-rav", "ibug68"),
    }
)
"""By protocol of landmarks: training set whose convention it follows, and landmark scheme of its labels."""


class AnchorPredictor:
    """A TUFA that answers with the landmarks of one scheme; see `atpn.evaluate.backend.CropPredictor`."""

    def __init__(self, model: TUFA, scheme: LandmarkScheme, anchors: np.ndarray, mean_face: np.ndarray) -> None:
        """Take the scheme's (N, 2) anchors on the plane, and the (98, 2) landmarks of the mean face there."""
        self._model, self._anchors, self._frame = model, anchors.astype(np.float32), Frame.of(anchors, mean_face)
        self.spec = ModelSpec(
            name="tufa",
            scheme=scheme.name,
            scheme_definition=scheme,
            mean_shape=self._anchors,
            outputs=standard_outputs(scheme.count, with_heads=False),
            input_size=model.config.input_size,
        )

    def region(self, landmarks: np.ndarray, roll: float) -> ROI:
        """Return the region around the face of (N, 2) landmarks, also of those that span a part of it."""
        return self._frame.region(landmarks, roll)

    def predict(self, crops: np.ndarray) -> Predictions:
        """See `CropPredictor.predict`; uncertainty, pose, and confidence are NaN."""
        landmarks = predict_plane(self._model, crops, self._anchors)
        unknown = np.full((len(crops), len(self._anchors)), np.nan, np.float32)
        return Predictions(landmarks, unknown, unknown[:, :3], unknown[:, 0])


def protocol_anchors(model: TUFA, protocol: str, given: str | None = None) -> str:
    """Return the name of the anchors that answer in a protocol: those given, or else the dataset's own.

    Without a set of the dataset's name, the only anchors of its scheme. ValueError if there are none or several.
    """
    dataset, scheme = PROTOCOL_ANCHORS[protocol]
    known = [name for name, _ in model.config.schemes if model.scheme_of(name) == scheme]
    name = given or (dataset if dataset in known else None)
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        of_scheme = (
            f"its anchors of {scheme} are {', '.join(known)}; choose with --anchors"
            if known
            else (f"it has no anchors of {scheme}; train with a set of them, or fit it to a few faces (few-shot)")
        )
        raise ValueError(f"this network cannot answer in {protocol}{f' with {given!r}' if given else ''}: {of_scheme}")
    return name
