"""Face detection: where the loop begins."""

from __future__ import annotations

import logging

from edge_runtime.backends import default_model_path
from edge_runtime.detector.cascades import CascadeDetector
from edge_runtime.detector.detection import (
    NMS_IOU_THRESHOLD,
    Detector,
    StreamDetector,
    search,
    suppress_overlaps,
)
from edge_runtime.detector.mediapipe import MediaPipeDetector
from edge_runtime.detector.network import NetworkDetector, decode_detections
from edge_runtime.detector.yunet import YuNetDetector
from edge_runtime.errors import BackendError, DetectorError
from edge_runtime.reading import quote

__all__ = [
    "NMS_IOU_THRESHOLD",
    "CascadeDetector",
    "Detector",
    "MediaPipeDetector",
    "NetworkDetector",
    "StreamDetector",
    "YuNetDetector",
    "decode_detections",
    "default_detector",
    "open_detector",
    "search",
    "suppress_overlaps",
]

DETECTOR_NAMES = "ours, cascade, yunet:FILE, mediapipe:FILE"
"""What `open_detector` takes."""
_log = logging.getLogger(__name__)


def open_detector(name: str) -> Detector:
    """Open a detector by its name.

    Args:
        name: `ours` or `ours:FILE`, `cascade` (OpenCV's), `yunet:FILE` (.onnx), or `mediapipe:FILE` (BlazeFace's
        .tflite).

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: The file is another model.
        DetectorError: The name is unknown or lacks its file, or OpenCV lacks the cascades.
    """
    kind, _, path = name.partition(":")
    detector: Detector
    if name == "ours":
        detector = default_detector()
    elif name == "cascade":
        detector = CascadeDetector()
    elif kind == "ours" and path:
        detector = NetworkDetector(path)
    elif kind == "yunet" and path:
        detector = YuNetDetector(path)
    elif kind == "mediapipe" and path:
        detector = MediaPipeDetector(path)
    else:
        raise DetectorError(f"unknown detector {quote(name)!r}; give one of {DETECTOR_NAMES}")
    _log.info("detector: %s", name)
    return detector


def default_detector() -> Detector:
    """Return the shipped detector network or, where no inference engine runs it, OpenCV's cascades."""
    try:
        return NetworkDetector(default_model_path(detector=True))
    except (BackendError, FileNotFoundError) as error:
        _log.warning("OpenCV's cascades detect faces, less well than the detector network: %s", error)
        return CascadeDetector()
