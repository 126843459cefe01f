"""Draw each landmark as a circle of two standard deviations, and write images.

Example:
    python examples/draw_uncertainty.py clip.mp4 --out uncertainty/
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from edge_runtime import Face, FaceTracker, TrackerOptions, open_source

SUBPIXEL_BITS = 4
"""OpenCV draws at sixteenths of a pixel."""


def draw(image: np.ndarray, face: Face) -> None:
    """Draw into an (H, W, 3) uint8 BGR image: green where the network is certain, red where not."""
    for point, sigma in zip(face.landmarks, face.uncertainty, strict=True):
        level = min(1.0, float(sigma) / (0.05 * face.roi.size))  # 5 % of the crop: red
        center, radius = np.rint(point * 2**SUBPIXEL_BITS).astype(int), round(2 * float(sigma) * 2**SUBPIXEL_BITS)
        color = (0, 255 * (1 - level), 255 * level)
        cv2.circle(image, tuple(map(int, center)), radius, color, 1, cv2.LINE_AA, SUBPIXEL_BITS)


def main() -> None:
    """Write a PNG per frame."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="video, image, or folder of images")
    parser.add_argument("--model", help=".tflite or .onnx file (default: the shipped one)")
    parser.add_argument("--out", type=Path, default=Path("uncertainty"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tracker = FaceTracker(TrackerOptions(model=options.model, smoothing=0))
    with open_source(options.source) as source:
        for frame in source:
            canvas = frame.image.copy()
            for face in tracker.update(frame.image, frame.timestamp):
                draw(canvas, face)
            cv2.imwrite(str(options.out / f"{frame.index:06d}.png"), canvas)


if __name__ == "__main__":
    main()
