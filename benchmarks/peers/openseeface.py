"""OpenSeeFace: 66 heatmaps of 28 x 28, and how far each point lies off its cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.engines import OnnxNetwork
from benchmarks.peers.network import picked
from edge_runtime.geometry import ROI, extract_crop

POINTS = 66
SIZE, CELLS = 224, 28
OFFSET_SHARPNESS = 16.0
"""Offsets come as sigmoids of this many times the offset in crop widths."""
# ImageNet's statistics of RGB in [0, 1].
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_SCALE, _SHIFT = (1 / (255 * _DEVIATION)).astype(np.float32), (_MEAN / _DEVIATION).astype(np.float32)

# Jaw, brows, nose and eyes are iBUG's first 48 points. The outer lip follows without its corners, then the inner one,
# whose two ends lie where iBUG has the outer corners (48, 54); there are no inner corners (60, 64).
IBUG_INDICES = (*range(48), *range(49, 54), *range(55, 60), 48, 61, 62, 63, 54, 65, 66, 67)


class OpenSeeFaceNetwork:
    """The landmark network of OpenSeeFace, one of its sizes (`lm_model0` to `lm_model3`)."""

    name = "OpenSeeFace"
    box_is_fixed = False
    box_scale = 1.2
    """Its tracker adds a tenth of the last landmarks' width at each side."""
    points = tuple(sorted(IBUG_INDICES))

    def __init__(self, path: Path) -> None:
        """The errors are those of `OnnxNetwork`."""
        self._network = OnnxNetwork(path)

    def prepare(self, frame: np.ndarray, region: ROI) -> np.ndarray:
        """(1, 3, 224, 224) float32 RGB; see `LandmarkNetwork.prepare`."""
        crop = extract_crop(frame, region, SIZE)[:, :, ::-1] * _SCALE - _SHIFT
        return np.ascontiguousarray(crop.transpose(2, 0, 1)[None])

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """(198, 28, 28): heatmaps, offsets in y, offsets in x."""
        return self._network(tensor)

    def decode(self, output: np.ndarray, region: ROI) -> np.ndarray:
        """The most probable cell and the offset stored there; see `LandmarkNetwork.decode`."""
        maps = output.reshape(3, POINTS, CELLS * CELLS)
        cells = maps[0].argmax(axis=1)
        offsets = np.clip(maps[1:, np.arange(POINTS), cells].astype(np.float64), 1e-7, 1 - 1e-7)
        rows_columns = np.stack(np.divmod(cells, CELLS)) / (CELLS - 1)
        y, x = rows_columns + np.log(offsets / (1 - offsets)) / OFFSET_SHARPNESS
        # Cell 0 is the middle of the crop's first pixel, cell 27 of its last.
        return region.to_frame((np.stack([x, y], axis=1) * (SIZE - 1) + 0.5) / SIZE)

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """See `LandmarkNetwork.to_ibug`."""
        return picked(landmarks, tuple(range(POINTS)), IBUG_INDICES)
