from __future__ import annotations

import cv2
import numpy as np

from edge_runtime.geometry import ROI
from export.tracks import _difference, _track


class _There:
    """Finds one face at a fixed place."""

    def detect(self, frame):
        return [ROI(60.0, 50.0, 60.0)]


def test_a_video_is_tracked_frame_by_frame(tmp_path, write_onnx):
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (120, 100))
    for brightness in (250, 250, 250, 0, 0, 0):  # the tiny model calls a bright crop a face
        writer.write(np.full((100, 120, 3), brightness, np.uint8))
    writer.release()
    track = _track(write_onnx(), video, _There())
    assert [found is not None for found in track] == [True, True, True, False, False, False]
    assert {found[0] for found in track if found} == {0}
    assert track[0][1].shape == (98, 2)
    assert _difference(track, track)["mean_pixels"] == 0


def test_tracks_are_compared_where_both_hold_the_same_face():
    first = [(0, np.zeros((4, 2))), (0, np.zeros((4, 2))), None, (0, np.zeros((4, 2)))]
    other = [(0, np.full((4, 2), 3.0) * (1, 0)), None, None, (1, np.zeros((4, 2)))]
    assert _difference(other, first) == {
        "frames": 4,
        "tracked_by_both": 2,
        "same_id": 1,
        "tracked_by_one": 1,
        "mean_pixels": 3.0,
        "p95_pixels": 3.0,
    }
