"""Face tracking on a device with numpy, OpenCV, and one inference engine.

tracker = FaceTracker()
for frame in open_source("clip.mp4"):  # edge_runtime.sources
    for face in tracker.update(frame.image, frame.timestamp):
        print(face.id, face.landmarks, face.pose.angles)
"""

from edge_runtime.calibration import Calibration
from edge_runtime.face import Face, Pose, TrackState
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker

__version__ = "0.1.0"

__all__ = ["ROI", "Calibration", "Face", "FaceTracker", "Intrinsics", "ModelSpec", "Pose", "Template", "TrackState"]
