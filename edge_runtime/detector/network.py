"""Face detection by the project's detector network."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector.detection import MAX_DETECTIONS, suppress_overlaps
from edge_runtime.geometry import ROI
from edge_runtime.spec import DetectorSpec

LARGE_FRAME_RATIO = 2.5
"""Ratio of a frame's longer side to the network's input from which the frame is searched in tiles, too; likewise, tiles
are divided again. Lower it to find smaller faces, for four times the runs."""
MAX_TILE_LEVELS = 2
"""Maximum number of divisions: bounds the time of a large picture. The smallest face that can be found has a fiftieth
of its longer side."""
TILE_FRACTION = 0.5
"""Side of a tile, as a fraction of the longer side of what it divides."""
TILE_OVERLAP = 0.25
"""Minimum overlap of adjacent tiles, as a fraction of their side."""
TILES_PER_SEARCH = 4
"""Number of tiles per search of a stream: bounds its cost. Of 640 x 480 px, all are seen within two searches; of 1280 x
720, within six."""
MAX_SCORE = 1.001
"""Maximum score: 1, and what rounding adds."""
MAX_COORDINATE = 1e6
"""Maximum magnitude of an ROI's center and size, pixels: beyond any frame."""
PAD_VALUE = 127
"""Gray level of the letterbox's padding: the middle of the range."""


class NetworkDetector:
    """Detector network of this project. Large frames are also searched in overlapping tiles, for small faces."""

    def __init__(self, model: Path | str | Backend, engine: str = "auto", threads: int = 1) -> None:
        """Load a .tflite or .onnx file, or use a loaded backend. ModelFileError if the model is not a detector."""
        self._backend = load_backend(model, engine, threads) if isinstance(model, Path | str) else model
        self._spec = DetectorSpec.check_kind(self._backend.spec)

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """Search the frame and all its tiles; see `Detector.detect`."""
        return self._detect(frame, self._tiles(frame))

    def search(self, frame: np.ndarray, turn: int) -> list[ROI]:
        """Search the frame and the next `TILES_PER_SEARCH` of its tiles; see `StreamDetector.search`."""
        parts = self._tiles(frame)
        first = turn * TILES_PER_SEARCH
        return self._detect(
            frame, [parts[i % len(parts)] for i in range(first, first + min(TILES_PER_SEARCH, len(parts)))]
        )

    def _tiles(self, frame: np.ndarray) -> list[tuple[int, int, int]]:
        return tiles(frame.shape[1], frame.shape[0], self._spec.input_size)

    def _detect(self, frame: np.ndarray, parts: list[tuple[int, int, int]]) -> list[ROI]:
        threshold = self._spec.track_threshold
        found = self.scored(frame, threshold)
        for x, y, side in parts:
            for score, roi in self.scored(np.ascontiguousarray(frame[y : y + side, x : x + side]), threshold):
                found.append((score, ROI(roi.cx + x, roi.cy + y, roi.size, roi.roll)))
        return [roi for _, roi in suppress_overlaps(sorted(found, key=lambda pair: -pair[0]))]

    def scored(self, frame: np.ndarray, threshold: float) -> list[tuple[float, ROI]]:
        """Return (score, ROI) pairs of the whole frame with at least this score, best first."""
        image, square = letterbox(frame, self._spec.input_size)
        outputs = self._backend.run(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        # In sides of the input, from the outer edge of the first pixel.
        with np.errstate(over="ignore"):  # left out by the decoder
            rois = outputs["rois"] * square.size + (square.cx - square.size / 2, square.cy - square.size / 2, 0.0)
        return decode_detections(outputs["scores"], rois, threshold, outputs.get("roll"))


def tiles(width: int, height: int, input_size: int) -> list[tuple[int, int, int]]:
    """Return (x, y, side) of overlapping square tiles that cover a frame, larger ones first; none for a small frame."""
    found: list[tuple[int, int, int]] = []
    side = max(width, height)
    for _ in range(MAX_TILE_LEVELS):
        if side < LARGE_FRAME_RATIO * input_size:
            break
        side = round(TILE_FRACTION * side)
        found += [(x, y, side) for y in _starts(height, side) for x in _starts(width, side)]
    return found


def _starts(extent: int, side: int) -> list[int]:
    steps = math.ceil(max(extent - side, 0) / (side * (1 - TILE_OVERLAP)))
    return [round(step * (extent - side) / steps) for step in range(steps + 1)] if steps else [0]


def letterbox(frame: np.ndarray, size: int) -> tuple[np.ndarray, ROI]:
    """Scale an (H, W, 3) uint8 frame into a padded square of `size` pixels; return it and its square in the frame."""
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    image = np.full((size, size, 3), PAD_VALUE, np.uint8)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image[top : top + inner[1], left : left + inner[0]] = cv2.resize(frame, inner, interpolation=interpolation)
    # Pixel centers at integers: the frame's edges are half a pixel outside the outermost centers.
    x0, y0 = -left / scale - 0.5, -top / scale - 0.5
    side = size / scale
    return image, ROI(x0 + side / 2, y0 + side / 2, side)


def decode_detections(
    scores: np.ndarray, rois: np.ndarray, threshold: float, roll: np.ndarray | None = None
) -> list[tuple[float, ROI]]:
    """Decode the outputs of a detector network to (score, ROI) pairs, best first, after NMS.

    Cells with a number that no network that works gives are left out. Of many detections, `MAX_DETECTIONS` are decoded.

    Args:
        scores: (G, G) scores of the cells in [0, 1]. A detection is a local maximum of 3 x 3 cells.
        rois: (G, G, 3) center x, center y, and size per cell, in the unit of the result.
        threshold: Minimum score.
        roll: (G, G, 2) sine and cosine of the roll, times any positive factor; None: 0.
    """
    possible = (scores <= MAX_SCORE) & (np.abs(rois) <= MAX_COORDINATE).all(axis=-1) & (rois[..., 2] > 0)
    if roll is not None:
        possible &= np.isfinite(roll).all(axis=-1)
    scores = np.where(possible, scores, np.float32(0))
    peaks = possible & (scores >= threshold) & (scores >= cv2.dilate(scores, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-scores[rows, columns], kind="stable")[:MAX_DETECTIONS]
    cells = list(zip(rows[order], columns[order], strict=True))
    rolls = [0.0 if roll is None else math.atan2(*roll[cell].tolist()) for cell in cells]
    return suppress_overlaps(
        [(float(scores[cell]), ROI(*(*rois[cell].tolist(), angle))) for cell, angle in zip(cells, rolls, strict=True)]
    )
