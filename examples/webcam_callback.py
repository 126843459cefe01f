"""Call a function for every face of a webcam's newest frame. Ctrl-C stops.

Example:
    python examples/webcam_callback.py --source 0
"""

import argparse
from collections.abc import Callable

from edge_runtime import Face, FaceTracker, TrackerOptions, open_source


def watch(source: str, tracker: FaceTracker, on_face: Callable[[float, Face], None]) -> None:
    """Track until the source ends; `on_face` gets the time in seconds and a face."""
    # A camera gives its newest frame: older ones are dropped if the loop is slow.
    with open_source(source) as frames:
        for frame in frames:
            for face in tracker.update(frame.image, frame.timestamp):
                on_face(frame.timestamp, face)


def main() -> None:
    """Print how far each face's mouth is open."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="0", help="camera number or video")
    parser.add_argument("--model", help=".tflite or .onnx file (default: the shipped one)")
    options = parser.parse_args()
    tracker = FaceTracker(TrackerOptions(model=options.model))

    def print_mouth(time: float, face: Face) -> None:
        print(f"{time:.2f} s: face {face.id}, mouth open {face.openings['mouth']:.2f}")

    watch(options.source, tracker, print_mouth)


if __name__ == "__main__":
    main()
