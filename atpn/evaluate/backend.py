"""One interface for a network in PyTorch and as an exported file."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from torch import Tensor

from atpn.evaluate.inference import Predictions, predict, predictions
from edge_runtime.backends import Backend
from edge_runtime.landmarks import LandmarkScheme, scheme_by_name
from edge_runtime.spec import ModelSpec, standard_outputs


class CropPredictor(Protocol):
    """A network as seen by the evaluation."""

    @property
    def spec(self) -> ModelSpec:
        """What it takes and gives."""

    def predict(self, crops: np.ndarray) -> Predictions:
        """Return finite results for (n, S, S, 3) uint8 RGB crops, but NaN for pose and confidence without heads."""


def scheme_of(network: CropPredictor) -> LandmarkScheme:
    """Return the scheme of a network's landmarks; ValueError for a file that does not define its scheme."""
    return network.spec.landmark_scheme or scheme_by_name(network.spec.scheme)


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
        return _finite(predictions([self._backend.run(crop) for crop in crops]), self._spec)


class LandmarkNetwork(Protocol):
    """A network whose `forward` gives `ATPNOutput`: an ATPN, or one without heads for pose and confidence."""

    config: Any
    """With `scheme` and `input_size`."""
    mean_shape: Tensor
    """(N, 2) in [0, 1] of the crop."""


class CheckpointBackend:
    """A checkpoint as `CropPredictor` and as `edge_runtime.backends.Backend`: no export needed."""

    def __init__(self, model: LandmarkNetwork, with_heads: bool = True) -> None:
        """Take a network, and whether it gives pose and confidence."""
        config = model.config
        self._model = model
        self._spec = ModelSpec(
            name="checkpoint",
            scheme=config.scheme.name,
            scheme_definition=config.scheme,
            mean_shape=model.mean_shape.numpy(),
            outputs=standard_outputs(config.scheme.count, with_heads),
            input_size=config.input_size,
        )

    @property
    def spec(self) -> ModelSpec:
        """The spec that an export of the checkpoint would have."""
        return self._spec

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Run one (S, S, 3) uint8 RGB crop; the outputs are those named in the spec."""
        result = predict(self._model, crop[None])
        return {name: np.reshape(getattr(result, name)[0], shape) for name, shape in self._spec.outputs.items()}

    def predict(self, crops: np.ndarray) -> Predictions:
        """See `CropPredictor.predict`."""
        return _finite(predict(self._model, crops), self._spec)


def _finite(results: Predictions, spec: ModelSpec) -> Predictions:
    """Return the results themselves. ValueError if any is not finite: means of errors would leave it out."""
    for name, values in results._asdict().items():
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if name in spec.outputs and bad.any():
            raise ValueError(
                f"model {spec.name!r} gives {name} that are not finite for {bad.sum()} of {len(bad)} crops: "
                "its file is damaged or its training diverged; export or train it again"
            )
    return results
