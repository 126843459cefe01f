"""ATPN and the baselines behind the interface of the comparison. Methods are documented in `LandmarkNetwork`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.baselines.engines import OnnxNetwork, TFLiteNetwork
from benchmarks.baselines.network import ALL_POINTS, LandmarkNetwork, select_points
from edge_runtime.arrays import MALFORMED, read_member
from edge_runtime.backends import load_backend
from edge_runtime.errors import EdgeRuntimeError, ModelFileError
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, WFLW_98, LandmarkScheme, convert, scheme_by_name
from edge_runtime.reading import MAX_MODEL_BYTES, open_regular, read_bytes
from edge_runtime.spec import ModelSpec


class AtpnNetwork(LandmarkNetwork):
    """An exported file of ours."""

    box_is_fixed = True

    def __init__(self, path: Path) -> None:
        """Load a file; the errors are those of `load_backend`."""
        self.name = path.name
        self.backend = load_backend(path)
        self.spec = ModelSpec.check_kind(self.backend.spec)
        self.box_scale = 1 + 2 * self.spec.crop_margin
        self._scheme = self.spec.landmark_scheme or scheme_by_name(self.spec.scheme)

    def prepare(self, frame: np.ndarray, roi: ROI) -> np.ndarray:
        """Return (S, S, 3) uint8 RGB."""
        return cv2.cvtColor(extract_crop(frame, roi, self.spec.input_size), cv2.COLOR_BGR2RGB)

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Return (98, 2) in [0, 1] of the crop; the other outputs are computed, too."""
        return self.backend.run(tensor)["landmarks"]

    def decode(self, output: np.ndarray, roi: ROI) -> np.ndarray:
        """Return (98, 2) frame pixels."""
        return roi.to_frame(output)

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """Convert from our scheme."""
        return convert(landmarks, self._scheme, IBUG_68)

    def to_wflw(self, landmarks: np.ndarray) -> np.ndarray:
        """Return them as they are if they are WFLW's."""
        return landmarks if self._scheme == WFLW_98 else super().to_wflw(landmarks)


class CropRegressor(LandmarkNetwork):
    """A network that regresses points in [0, 1] of a square BGR crop: PFLD with Ghost blocks, Peppa Pig's slim one.

    PFLD's demonstration feeds RGB, but its files have a lower NME on BGR, by 0.15 to 0.3 points on the photographs that
    boxes are chosen on.
    """

    box_scale = 1.2
    """Their training boxes are 1.1 to 1.2 times the landmarks' rectangle."""
    half_pixel = 0.5
    """Both crop at whole pixels and count from the center of the first, while `ROI.to_frame` counts from its edge."""

    def __init__(self, path: Path, name: str, size: int, scheme: LandmarkScheme, center: float) -> None:
        """Load a file whose input is value / center - 1 of a crop `size` pixels wide."""
        self.name, self.run = name, OnnxNetwork(path)
        self._size, self._scheme, self._center = size, scheme, center

    def prepare(self, frame: np.ndarray, roi: ROI) -> np.ndarray:
        """Return (1, 3, S, S) float32."""
        crop = extract_crop(frame, roi, self._size)
        return np.asarray(cv2.dnn.blobFromImage(crop, 1 / self._center, mean=(self._center,) * 3))

    def decode(self, output: np.ndarray, roi: ROI) -> np.ndarray:
        """Decode the points; pose and openings follow them in some files."""
        return roi.to_frame(output[: 2 * self._scheme.count].reshape(-1, 2)) + self.half_pixel

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """Convert from the network's scheme."""
        return convert(landmarks, self._scheme, IBUG_68)

    def to_wflw(self, landmarks: np.ndarray) -> np.ndarray:
        """Return them as they are if they are WFLW's."""
        return landmarks if self._scheme == WFLW_98 else super().to_wflw(landmarks)


# Jaw, brows, nose, and eyes are iBUG's first 48 points. The outer lip follows without its corners, then the inner one,
# whose two ends lie where iBUG has the outer corners (48, 54); there are no inner corners (60, 64).
OPENSEEFACE_TO_IBUG = (*range(48), *range(49, 54), *range(55, 60), 48, 61, 62, 63, 54, 65, 66, 67)


class OpenSeeFaceNetwork(LandmarkNetwork):
    """OpenSeeFace's `lm_model0` to `lm_model3`: 66 heatmaps of 28 x 28, and each point's offset from its cell."""

    name = "OpenSeeFace"
    box_scale = 1.2
    """Its tracker adds a tenth of the last landmarks' width at each side."""
    points = tuple(sorted(OPENSEEFACE_TO_IBUG))
    size, cells, count = 224, 28, 66
    offset_sharpness = 16.0
    """Offsets are sigmoids of this many times the offset in crop widths."""

    def __init__(self, path: Path) -> None:
        """Load a file; the errors are those of `OnnxNetwork`."""
        self.run = OnnxNetwork(path)
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet's, RGB in [0, 1]
        self._scale, self._shift = (1 / (255 * deviation)).astype(np.float32), (mean / deviation).astype(np.float32)

    def prepare(self, frame: np.ndarray, roi: ROI) -> np.ndarray:
        """Return (1, 3, 224, 224) float32 RGB."""
        crop = extract_crop(frame, roi, self.size)[:, :, ::-1] * self._scale - self._shift
        return np.ascontiguousarray(crop.transpose(2, 0, 1)[None])

    def decode(self, output: np.ndarray, roi: ROI) -> np.ndarray:
        """Decode (198, 28, 28) heatmaps, y offsets, and x offsets: the most probable cell plus its offset."""
        maps = output.reshape(3, self.count, self.cells**2)
        cells = maps[0].argmax(axis=1)
        offsets = np.clip(maps[1:, np.arange(self.count), cells].astype(np.float64), 1e-7, 1 - 1e-7)
        rows_columns = np.stack(np.divmod(cells, self.cells)) / (self.cells - 1)
        y, x = rows_columns + np.log(offsets / (1 - offsets)) / self.offset_sharpness
        # Cell 0 is the center of the crop's first pixel, cell 27 of its last.
        return roi.to_frame((np.stack([x, y], axis=1) * (self.size - 1) + 0.5) / self.size)

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """Reorder the 66 points."""
        return select_points(landmarks, tuple(range(66)), OPENSEEFACE_TO_IBUG)


# The mesh's vertices nearest to iBUG's points, the same on both sides of the face. Its oval runs higher along the cheek
# than annotators' jaws, and its brows are their upper edges.
MEDIAPIPE_VERTICES = (
    *(127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356),  # jaw
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),  # lips
)
MEDIAPIPE_FILE = "mediapipe/modules/face_landmark/face_landmark.tflite"


class MediaPipeNetwork(LandmarkNetwork):
    """MediaPipe's face mesh, 192 pixels: 468 surface points, of which 68 lie close to iBUG's.

    The last wheel that contains the model is 0.10.21. It runs in LiteRT, so the package is not installed;
    `face_landmark_with_attention` beside it needs operators of MediaPipe's own.
    """

    name = "MediaPipe"
    box_scale = 1.5
    """Its graph uses 1.5 times the rectangle of all points, forehead included."""

    def __init__(self, path: Path) -> None:
        """Load a wheel or the .tflite file from one. Raise ModelFileError for another file."""
        self.run = TFLiteNetwork(_model_content(path), str(path))

    def prepare(self, frame: np.ndarray, roi: ROI) -> np.ndarray:
        """Return (1, S, S, 3) float32 RGB in [0, 1]."""
        crop = cv2.cvtColor(extract_crop(frame, roi, self.run.input_size), cv2.COLOR_BGR2RGB)
        return np.multiply(crop, np.float32(1 / 255), dtype=np.float32)[None]

    def decode(self, output: np.ndarray, roi: ROI) -> np.ndarray:
        """Decode (1404,): x, y, and depth of each point in crop pixels."""
        return roi.to_frame((output.reshape(-1, 3)[:, :2] + 0.5) / self.run.input_size)

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """Select 68 of the 468 points."""
        return select_points(landmarks, MEDIAPIPE_VERTICES, ALL_POINTS)


def _model_content(path: Path) -> bytes:
    if path.suffix != ".whl":
        return read_bytes(path, MAX_MODEL_BYTES, ModelFileError)
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as wheel:
            return read_member(wheel, wheel.getinfo(MEDIAPIPE_FILE))
    except MALFORMED as error:
        raise ModelFileError(
            f"{path} contains no {MEDIAPIPE_FILE}: give mediapipe 0.10.21, the last with it"
        ) from error


_PFLD = {"size": 112, "scheme": WFLW_98, "center": 127.5}
BASELINES: dict[str, tuple[str, Callable[[Path], LandmarkNetwork]]] = {
    "OpenSeeFace": ("openseeface_lm0_66.onnx", OpenSeeFaceNetwork),
    "MediaPipe": ("face_landmark.tflite", MediaPipeNetwork),
    "PFLD-GhostOne": ("pfld_ghostone_98.onnx", partial(CropRegressor, name="PFLD-GhostOne", **_PFLD)),
    "GhostNet-Slim": ("pfld_ghostnet_slim_98.onnx", partial(CropRegressor, name="GhostNet-Slim", **_PFLD)),
    "Peppa slim": (
        "peppa_slim160_68.onnx",
        partial(CropRegressor, name="Peppa slim", size=160, scheme=IBUG_68, center=127.0),
    ),
}
"""File in the baselines' folder, and function that opens it, by name."""


def open_baselines(folder: Path, mediapipe: Path | None = None) -> tuple[list[LandmarkNetwork], dict[str, str]]:
    """Return the baselines whose files load, and the reason for each other one.

    `mediapipe` is a wheel or .tflite file elsewhere.
    """
    found, skipped = [], {}
    for name, (file, opened) in BASELINES.items():
        path = mediapipe if name == "MediaPipe" and mediapipe is not None else folder / file
        if not path.is_file():
            skipped[name] = f"no file {path}"
            continue
        try:
            found.append(opened(path))
        except EdgeRuntimeError as error:
            skipped[name] = str(error)
    return found, skipped
