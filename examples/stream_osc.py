"""Send results to another program by OSC over UDP, and record them as JSON lines.

Example:
    python examples/stream_osc.py 0 --to 127.0.0.1:9000 --record faces.jsonl
"""

import argparse
from pathlib import Path

from edge_runtime import FaceTracker, JsonLinesSink, OscSink, TrackerOptions, open_source

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", help="camera number or video")
parser.add_argument("--model", help=".tflite or .onnx file (default: the shipped one)")
parser.add_argument("--to", default="127.0.0.1:9000", help="HOST:PORT of the receiver")
parser.add_argument("--record", type=Path, default=Path("faces.jsonl"))
options = parser.parse_args()

tracker = FaceTracker(TrackerOptions(model=options.model))
host, port = options.to.rsplit(":", 1)
with open_source(options.source) as source, OscSink(host, int(port)) as osc, JsonLinesSink(options.record) as record:
    for frame in source:
        faces = tracker.update(frame.image, frame.timestamp)
        for sink in (osc, record):
            sink.write(frame, faces)
