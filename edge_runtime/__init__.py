"""Face tracking on a device: numpy, OpenCV and one inference engine.

`FaceTracker` follows a face through frames: `tracker.update(frame_bgr, timestamp)` returns a list of `Face`.
"""

from edge_runtime.calibration import Calibration
from edge_runtime.face import Face, Pose, TrackState
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker

__all__ = ["ROI", "Calibration", "Face", "FaceTracker", "Intrinsics", "ModelSpec", "Pose", "Template", "TrackState"]
