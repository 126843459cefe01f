"""Find the faces of one image and write their landmarks as CSV.

Example:
    python examples/single_image.py photo.jpg --out landmarks.csv
"""

import argparse
from pathlib import Path

import cv2

from edge_runtime import FaceTracker, TrackerOptions

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("image", type=Path)
parser.add_argument("--model", help=".tflite or .onnx file (default: the shipped one)")
parser.add_argument("--out", type=Path, default=Path("landmarks.csv"))
options = parser.parse_args()

image = cv2.imread(str(options.image))
if image is None:
    parser.error(f"{options.image} is not an image that OpenCV reads")
with FaceTracker(TrackerOptions(model=options.model)) as tracker:
    faces = tracker.detect(image)

rows = ["face,landmark,x,y,sigma"]
for face in faces:
    points = zip(face.landmarks, face.uncertainty, strict=True)
    rows += [f"{face.id},{index},{x:.2f},{y:.2f},{sigma:.2f}" for index, ((x, y), sigma) in enumerate(points)]
options.out.write_text("\n".join(rows) + "\n")
print(f"{len(faces)} faces, {len(rows) - 1} landmarks in {options.out}")
