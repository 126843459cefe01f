"""Write what the browser check needs: a clip for the fake camera, a picture, and what Python finds in them.

    python web_demo/tests/browser/clip.py FOLDER

clip.y4m is a rendered face that sways; each frame has its number in black and white squares along the lower edge.
picture.png is a rendered face at twice the size. expected.json holds the landmarks of each frame and of the picture.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clip import frame_at, rendered_face
from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.models import model_path

FRAMES = 90
FPS = 30
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


def main(folder: Path) -> None:
    """Write the files."""
    face = rendered_face()
    frames = [marked(frame_at(face, number), number) for number in range(FRAMES)]
    (folder / "clip.y4m").write_bytes(as_y4m(frames))
    picture = cv2.resize(face, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "picture.png"), picture)
    # What the camera's colors lose, Python's frames lose, too.
    seen = [cv2.cvtColor(cv2.cvtColor(each, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420) for each in frames]
    with FaceTracker(TrackerOptions(model=model_path("atpn_int8"), smoothing=0.0)) as tracker:
        tracked = [tracker.update(frame, number / FPS) for number, frame in enumerate(seen)]
        found = tracker.detect(picture)
    assert all(len(faces) == 1 for faces in [*tracked, found]), "one face is in each frame"
    expected = {
        "frames": [faces[0].landmarks.round(3).tolist() for faces in tracked],
        "picture": found[0].to_dict(),
    }
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
