"""Send results to another program by OSC over UDP, and record them as JSON lines.

Example:
    python examples/stream_osc.py 0 --to 127.0.0.1:9000 --record faces.jsonl
"""

import argparse
from pathlib import Path

from edge_runtime import FaceTracker
from edge_runtime.sinks import JsonLinesSink
from edge_runtime.sources import open_source
from edge_runtime.streams import OscSink, parse_address

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", help="camera number or video")
parser.add_argument("--model", default="dist/atpn_int8.tflite")
parser.add_argument("--to", default="127.0.0.1:9000", help="HOST:PORT of the receiver")
parser.add_argument("--record", type=Path, default=Path("faces.jsonl"))
options = parser.parse_args()

tracker = FaceTracker(options.model)
host, port = parse_address(options.to)
with open_source(options.source) as source, OscSink(host, port) as osc, JsonLinesSink(options.record) as record:
    for frame in source:
        faces = tracker.update(frame.image, frame.timestamp)
        for sink in (osc, record):
            sink.write(frame, faces)
