"""Track faces in a video, print each face's head pose, and write the overlay.

Example:
    python examples/track_video.py clip.mp4 --save overlay.mp4
"""

import argparse
from pathlib import Path

import numpy as np

from edge_runtime import FaceTracker
from edge_runtime.draw import draw_faces
from edge_runtime.sinks import open_overlay_sink
from edge_runtime.sources import open_source

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("video")
parser.add_argument("--model", default="dist/atpn_int8.tflite")
parser.add_argument("--faces", type=int, default=2, help="maximum number of faces")
parser.add_argument("--save", type=Path, default=Path("overlay.mp4"), help=".mp4 or .avi")
options = parser.parse_args()

tracker = FaceTracker(options.model, max_faces=options.faces)
scheme = tracker.spec.landmark_scheme
with open_source(options.video) as video, open_overlay_sink(options.save, video.fps, video.length) as overlay:
    for frame in video:
        faces = tracker.update(frame.image, frame.timestamp)
        for face in faces:
            pitch, yaw, roll = np.degrees(face.pose.angles)
            print(f"{frame.timestamp:.2f} s: face {face.id}, pitch {pitch:+.0f}°, yaw {yaw:+.0f}°, roll {roll:+.0f}°")
        overlay.write(frame, faces, draw_faces(frame.image, faces, scheme))
