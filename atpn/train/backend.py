"""A checkpoint behind the runtime's own interface, so that the device's loop can be measured without an export."""

from __future__ import annotations

import numpy as np

from atpn.model import ATPN
from atpn.train.inference import predict
from edge_runtime.spec import ModelSpec, standard_outputs


class CheckpointBackend:
    """See `edge_runtime.backends.Backend`."""

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
        """What an export of the checkpoint would say of itself."""
        return self._spec

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """One (S, S, 3) uint8 RGB crop to the outputs named in the spec."""
        made = predict(self._model, crop[None])
        return {name: np.reshape(getattr(made, name)[0], shape) for name, shape in self._spec.outputs.items()}
