"""What the browser check needs from Python.

    python web_demo/tests/browser/clip.py write FOLDER [MODEL.tflite]   # clip.y4m for the fake camera, picture.png,
                                                                       # expected.json, and expected_more.json of MODEL
    python web_demo/tests/browser/clip.py replay FOLDER    # track the frames of seen.json: replayed.json

The clip is a rendered face that sways; each frame has its number in black and white squares along the lower edge.
seen.json lists [number, time] of the frames that the page tracked, which depends on the machine's speed.
"""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.clip import frame_at, rendered_face
from edge_runtime import Face, FaceTracker, TrackerOptions
from edge_runtime.models import model_path

FRAMES = 90
FPS = 30
SCALE = 0.6
"""Size of the face in the clip, as a fraction of the benchmark clip's: a webcam's distance."""
BITS = 8
SQUARE = 16
"""Side of a marker's square, pixels."""


def marked(frame: np.ndarray, number: int) -> np.ndarray:
    """Draw the number as bits, the lowest first, into the lower left corner."""
    for bit in range(BITS):
        frame[-SQUARE:, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (number >> bit & 1)
    return frame


def as_y4m(frames: list[np.ndarray]) -> bytes:
    """Encode (H, W, 3) uint8 BGR frames, 4:2:0."""
    height, width = frames[0].shape[:2]
    head = f"YUV4MPEG2 W{width} H{height} F{FPS}:1 Ip A1:1 C420jpeg\n".encode()
    return head + b"".join(b"FRAME\n" + cv2.cvtColor(each, cv2.COLOR_BGR2YUV_I420).tobytes() for each in frames)


def clip() -> list[np.ndarray]:
    """Return the clip's frames."""
    face = rendered_face()
    height, width = face.shape[:2]
    smaller = cv2.getRotationMatrix2D((width / 2, height / 2), 0.0, SCALE)
    face = cv2.warpAffine(face, smaller, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return [marked(frame_at(face, number), number) for number in range(FRAMES)]


def tracker(model: Path) -> FaceTracker:
    """Return a tracker with the settings that the check gives the page."""
    return FaceTracker(TrackerOptions(model=model, smoothing=0.0))


def as_json(faces: list[Face]) -> list[dict[str, Any]]:
    """Return faces as the page copies them."""
    return [face.to_dict() for face in faces]


def write(folder: Path, model: Path | None = None) -> None:
    """Write the clip, and a picture with what is found in it, by another model, too."""
    (folder / "clip.y4m").write_bytes(as_y4m(clip()))
    picture = cv2.resize(rendered_face(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "picture.png"), picture)
    models = {"expected.json": model_path("atpn_int8"), "expected_more.json": model}
    for name, path in models.items():
        if path is not None:
            (folder / name).write_text(json.dumps(as_json(tracker(path).detect(picture))))


def replay(folder: Path) -> None:
    """Track the frames that the page tracked."""
    # What the camera's colors lose, Python's frames lose, too.
    frames = [cv2.cvtColor(cv2.cvtColor(each, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420) for each in clip()]
    ours = tracker(model_path("atpn_fp16"))
    seen = json.loads((folder / "seen.json").read_bytes())
    found = [as_json(ours.update(frames[number], time)) for number, time in seen]
    (folder / "replayed.json").write_text(json.dumps(found))


if __name__ == "__main__":
    {"write": write, "replay": replay}[sys.argv[1]](*map(Path, sys.argv[2:]))
