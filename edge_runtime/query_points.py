"""Points of the mean-face plane as a model's second input."""

from __future__ import annotations

import numpy as np

from edge_runtime.errors import TemplateError
from edge_runtime.spec import ModelSpec


class QueryPoints:
    """The plane points that go into a model beside each crop: always as many as the file takes."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self.plane: np.ndarray | None = None
        """(1, prompts, 2) float32; None before `set`."""
        self.count = 0
        """How many of them were asked for."""

    def set(self, points: np.ndarray) -> None:
        """See `Backend.prompt`."""
        points = np.asarray(points, np.float32)
        if not self._spec.prompts:
            raise TemplateError(f"the model {self._spec.name} takes no points of the plane")
        if points.ndim != 2 or points.shape[1] != 2 or not 0 < len(points) <= self._spec.prompts:
            raise TemplateError(
                f"the model {self._spec.name} takes (K, 2) points of the plane, up to {self._spec.prompts}, got "
                f"{points.shape}; export it with more --prompts, or with a --template of its own"
            )
        # The file's number is fixed: what is left over asks for the same points again.
        self.plane, self.count = np.resize(points, (1, self._spec.prompts, 2)), len(points)

    def feed(self) -> np.ndarray:
        """What the file's second input gets."""
        if self.plane is None:
            raise TemplateError(f"the model {self._spec.name} must be told which points to find: call prompt first")
        return self.plane

    def cut(self, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs without the points that nobody asked for."""
        asked = {name: outputs[name][: self.count] for name in ("points", "points_uncertainty")}
        return outputs | asked
