"""Which peers there are, and which of them are here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.peers.mediapipe import MediaPipeNetwork
from benchmarks.peers.network import LandmarkNetwork
from benchmarks.peers.openseeface import OpenSeeFaceNetwork
from benchmarks.peers.regressors import CropRegressor
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.landmarks import IBUG_68, WFLW_98


def _ghostone(path: Path) -> LandmarkNetwork:
    return CropRegressor("PFLD-GhostOne", path, 112, WFLW_98, centre=127.5, spread=127.5)


def _ghostnet_slim(path: Path) -> LandmarkNetwork:
    return CropRegressor("GhostNet-Slim", path, 112, WFLW_98, centre=127.5, spread=127.5)


def _peppa(path: Path) -> LandmarkNetwork:
    return CropRegressor("Peppa slim", path, 160, IBUG_68, centre=127.0, spread=127.0)


PEERS: dict[str, tuple[str, Callable[[Path], LandmarkNetwork]]] = {
    "OpenSeeFace": ("openseeface_lm0_66.onnx", OpenSeeFaceNetwork),
    "MediaPipe": ("face_landmark.tflite", MediaPipeNetwork),
    "PFLD-GhostOne": ("pfld_ghostone_98.onnx", _ghostone),
    "GhostNet-Slim": ("pfld_ghostnet_slim_98.onnx", _ghostnet_slim),
    "Peppa slim": ("peppa_slim160_68.onnx", _peppa),
}
"""Name: the file in the peers' folder, and what opens it."""


def open_peers(folder: Path, mediapipe: Path | None = None) -> tuple[list[LandmarkNetwork], dict[str, str]]:
    """The peers whose files are there and load, and why the others are left out.

    `mediapipe` names a wheel or .tflite elsewhere.
    """
    found, skipped = [], {}
    for name, (file, opened) in PEERS.items():
        path = mediapipe if name == "MediaPipe" and mediapipe is not None else folder / file
        if not path.is_file():
            skipped[name] = f"no file {path}"
            continue
        try:
            found.append(opened(path))
        except EdgeRuntimeError as error:
            skipped[name] = str(error)
    return found, skipped
