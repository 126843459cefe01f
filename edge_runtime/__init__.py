"""Face tracking on a device with numpy, OpenCV, and one inference engine.

with FaceTracker(TrackerOptions(max_faces=2)) as tracker, open_source("clip.mp4") as source:
    for frame in source:
        for face in tracker.update(frame.image, frame.timestamp):
            print(face.id, face.landmarks, face.pose.angles)
"""

from edge_runtime.backends import Backend, load_backend
from edge_runtime.calibration import Calibration
from edge_runtime.detector import Detector, NetworkDetector, StreamDetector, open_detector
from edge_runtime.detector.detection import roi_of_face_box
from edge_runtime.draw import draw_faces
from edge_runtime.errors import (
    BackendError,
    CalibrationError,
    DetectorError,
    DisplayError,
    EdgeRuntimeError,
    FrameError,
    InputFileError,
    ModelFileError,
    SchemeError,
    SinkError,
    SourceError,
    TemplateError,
)
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.face import Face, Pose, TrackState
from edge_runtime.geometry import ROI, FieldOfView, Intrinsics, extract_crop
from edge_runtime.landmarks import SCHEMES, LandmarkScheme
from edge_runtime.models import model_path
from edge_runtime.options import TrackerOptions
from edge_runtime.sinks.overlays import OverlaySink, open_overlay_sink
from edge_runtime.sinks.results import CsvSink, JsonLinesSink, Sink
from edge_runtime.sinks.streams import FacialMocapSink, OscSink, VmcSink
from edge_runtime.sinks.websocket import WebSocketSink
from edge_runtime.sources import open_source
from edge_runtime.sources.live import LatestFrames
from edge_runtime.sources.source import Frame, Source
from edge_runtime.spec import DetectorSpec, ModelSpec
from edge_runtime.stats import TrackerStats
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker

__version__ = "0.2.0"

__all__ = [
    "EXPRESSIONS",
    "ROI",
    "SCHEMES",
    "Backend",
    "BackendError",
    "Calibration",
    "CalibrationError",
    "CsvSink",
    "Detector",
    "DetectorError",
    "DetectorSpec",
    "DisplayError",
    "EdgeRuntimeError",
    "Face",
    "FaceTracker",
    "FacialMocapSink",
    "FieldOfView",
    "Frame",
    "FrameError",
    "InputFileError",
    "Intrinsics",
    "JsonLinesSink",
    "LandmarkScheme",
    "LatestFrames",
    "ModelFileError",
    "ModelSpec",
    "NetworkDetector",
    "OscSink",
    "OverlaySink",
    "Pose",
    "SchemeError",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "StreamDetector",
    "Template",
    "TemplateError",
    "TrackState",
    "TrackerOptions",
    "TrackerStats",
    "VmcSink",
    "WebSocketSink",
    "draw_faces",
    "extract_crop",
    "load_backend",
    "model_path",
    "open_detector",
    "open_overlay_sink",
    "open_source",
    "roi_of_face_box",
]
