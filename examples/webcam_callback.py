"""Call a function for every face of a webcam's newest frame. Ctrl-C stops.

Example:
    python examples/webcam_callback.py --source 0
"""

import argparse
from collections.abc import Callable

from edge_runtime import Face, FaceTracker
from edge_runtime.expression import mouth_open
from edge_runtime.sources import LatestFrames, open_source


def watch(source: str, tracker: FaceTracker, on_face: Callable[[float, Face], None]) -> None:
    """Track until the source ends; `on_face` gets the time in seconds and a face."""
    opened = open_source(source)
    # A live source drops older frames if the loop is slow.
    with LatestFrames(opened) if opened.live else opened as frames:
        for frame in frames:
            for face in tracker.update(frame.image, frame.timestamp):
                on_face(frame.timestamp, face)


def main() -> None:
    """Print how far each face's mouth is open."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="0", help="camera number or video")
    parser.add_argument("--model", default="dist/atpn_int8.tflite")
    options = parser.parse_args()
    tracker = FaceTracker(options.model)
    scheme = tracker.spec.landmark_scheme

    def print_mouth(time: float, face: Face) -> None:
        print(f"{time:.2f} s: face {face.id}, mouth open {mouth_open(face.landmarks, scheme):.2f}")

    watch(options.source, tracker, print_mouth)


if __name__ == "__main__":
    main()
