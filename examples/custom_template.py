"""Track custom points, given in canonical face space, with a model that takes query points.

Example:
    python -m export tflite --weights atpn/weights/prompts.safetensors --precision fp32
    python examples/custom_template.py clip.mp4
"""

import argparse

import numpy as np

from edge_runtime import FaceTracker, Template, TrackerOptions, open_source

CHEEKS = Template("cheeks", np.array([[0.25, 0.42], [0.75, 0.42]]), names=("left", "right"))

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("video")
parser.add_argument("--model", default="dist/atpn_prompt_fp32.tflite")
parser.add_argument("--template", help="JSON file; default: two points on the cheeks")
options = parser.parse_args()

template = Template.read(options.template) if options.template else CHEEKS
tracker = FaceTracker(TrackerOptions(model=options.model, template=template))
with open_source(options.video) as video:
    for frame in video:
        for face in tracker.update(frame.image, frame.timestamp):
            places = ", ".join(f"({x:.1f}, {y:.1f})" for x, y in face.points)
            print(f"frame {frame.index}, face {face.id}: {template.name} at {places}")
