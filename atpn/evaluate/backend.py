"""One interface for a network in PyTorch and as an exported file."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from atpn.evaluate.inference import Predictions, predict, predictions
from atpn.model import ATPN
from edge_runtime.backends import Backend
from edge_runtime.spec import ModelSpec, standard_outputs


class CropPredictor(Protocol):
    """A network as seen by the evaluation."""

    @property
    def spec(self) -> ModelSpec:
        """What it takes and gives."""

    def predict(self, crops: np.ndarray) -> Predictions:
        """Return results for (n, S, S, 3) uint8 RGB crops; pose and confidence are NaN for a file without heads."""


class FilePredictor:
    """An exported file, run crop by crop as on the device."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._spec = backend, ModelSpec.check_kind(backend.spec)

    @property
    def spec(self) -> ModelSpec:
        """The file's own."""
        return self._spec

    def predict(self, crops: np.ndarray) -> Predictions:
        """See `CropPredictor.predict`."""
        return predictions([self._backend.run(crop) for crop in crops])


class CheckpointBackend:
    """A checkpoint as `CropPredictor` and as `edge_runtime.backends.Backend`: no export needed."""

    def __init__(self, model: ATPN) -> None:
        config = model.config
        self._model = model
        self._spec = ModelSpec(
            name="checkpoint",
            scheme=config.scheme,
            mean_shape=model.mean_shape.numpy(),
            outputs=standard_outputs(config.landmark_count),
            input_size=config.input_size,
        )

    @property
    def spec(self) -> ModelSpec:
        """The spec that an export of the checkpoint would have."""
        return self._spec

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """Run one (S, S, 3) uint8 RGB crop; the outputs are those named in the spec."""
        result = self.predict(crop[None])
        return {name: np.reshape(getattr(result, name)[0], shape) for name, shape in self._spec.outputs.items()}

    def predict(self, crops: np.ndarray) -> Predictions:
        """See `CropPredictor.predict`."""
        return predict(self._model, crops)
