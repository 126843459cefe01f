"""MediaPipe's face mesh: 468 points of a surface, of which 68 lie close to iBUG's.

Its newer wheels carry no model, the last that does is 0.10.21. Its file runs in LiteRT as ours do, so nothing of the
package is installed; `face_landmark_with_attention` beside it needs operators of MediaPipe's own and does not.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.peers.engines import TFLiteNetwork
from benchmarks.peers.network import ALL_POINTS, picked
from edge_runtime.errors import ModelFileError
from edge_runtime.geometry import ROI, extract_crop

IN_WHEEL = "mediapipe/modules/face_landmark/face_landmark.tflite"
POINTS = 468
# The mesh's vertices nearest to iBUG's points, the same on both sides of the face. Its oval runs higher along the cheek
# than annotators' jaws, and its brows are their upper edges.
_JAW = (127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356)
_BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
_EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
_LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
VERTICES = (*_JAW, *_BROWS, *_NOSE, *_EYES, *_LIPS)


class MediaPipeNetwork:
    """The face mesh network of the wheel, 192 pixels."""

    name = "MediaPipe"
    points = ALL_POINTS
    box_is_fixed = False
    box_scale = 1.5
    """Its graph takes one and a half times the rectangle of all points, forehead included."""

    def __init__(self, path: Path) -> None:
        """`path` is a wheel or the .tflite out of one; ModelFileError says what is wrong with it."""
        self._network = TFLiteNetwork(_model(path), str(path))

    def prepare(self, frame: np.ndarray, region: ROI) -> np.ndarray:
        """(1, S, S, 3) float32 RGB in [0, 1]; see `LandmarkNetwork.prepare`."""
        crop = cv2.cvtColor(extract_crop(frame, region, self._network.input_size), cv2.COLOR_BGR2RGB)
        return np.multiply(crop, np.float32(1 / 255), dtype=np.float32)[None]

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """(1404,): x, y and depth of each point, in pixels of the crop."""
        return self._network(tensor)

    def decode(self, output: np.ndarray, region: ROI) -> np.ndarray:
        """See `LandmarkNetwork.decode`."""
        return region.to_frame((output.reshape(POINTS, 3)[:, :2] + 0.5) / self._network.input_size)

    def to_ibug(self, landmarks: np.ndarray) -> np.ndarray:
        """See `LandmarkNetwork.to_ibug`."""
        return picked(landmarks, VERTICES, ALL_POINTS)


def _model(path: Path) -> bytes:
    if path.suffix != ".whl":
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(IN_WHEEL)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelFileError(f"{path} holds no {IN_WHEEL}; take mediapipe 0.10.21, the last wheel that does") from error
