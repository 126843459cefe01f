"""Streams without faces, videos, and times."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from atpn.data.store import SampleStore
from benchmarks.detector.detectors import NamedDetector
from benchmarks.detector.empty import STREAM_FRAMES, given_files, given_streams, pan, streams, track
from benchmarks.detector.times import compute_times
from benchmarks.detector.videos import clip_files, evaluate_clip
from edge_runtime import FaceTracker, TrackerOptions


class Scripted:
    """A tracker that reports faces of given ages, frame by frame."""

    def __init__(self, ages):
        self._ages, self.resets = iter(ages), 0

    def reset(self):
        self.resets += 1

    def update(self, frame, timestamp):
        return [SimpleNamespace(age=age) for age in next(self._ages)]


def test_a_false_track_lives_three_frames_and_counts_once():
    short, long = [[0], [1], [], []], [[0], [1], [2], [3]]
    tracker = Scripted([*short, *long])
    still = [np.zeros((4, 4, 3), np.uint8)] * 4
    found = [("text", iter(still)), ("shelves", iter(still))]
    seen = {m.column: m.value for m in track({"a": tracker}, iter(found), 8)}
    assert seen == {"text": 0, "shelves": 250, "all": 125, "frames with a false face": 75}
    assert tracker.resets == 2, "a stream does not begin with the last one's tracks"


def test_long_streams_count_more():
    tracker = Scripted([[], *[[2]] * 2, *[[]] * 5])
    still = [np.zeros((4, 4, 3), np.uint8)]
    found = [("given", iter(still * 1)), ("given", iter(still * 7))]
    seen = {m.column: m for m in track({"a": tracker}, iter(found), 8)}
    assert seen["given"].value == seen["all"].value == 250
    # Residuals of 2 tracks in 8 frames: 0 - 0.25 and 2 - 1.75.
    assert seen["all"].std_error == pytest.approx(1000 * np.hypot(0.25, 0.25) * np.sqrt(2) / 8)


def test_streams_are_repeatable_and_of_the_given_length(face_shards):
    store = SampleStore.read(face_shards)
    count = 3 * STREAM_FRAMES + 5
    first, second = ([(kind, list(frames)) for kind, frames in streams(store, None, count)] for _ in range(2))
    assert [kind for kind, _ in first] == ["backgrounds", "textures", "text", "shelves"]
    assert [len(frames) for _, frames in first] == [STREAM_FRAMES] * 3 + [5]
    for (_, frames), (_, others) in zip(first, second, strict=True):
        np.testing.assert_array_equal(frames[-1], others[-1])
        assert frames[0].shape == (480, 640, 3)
        assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 4, "it moves"


def test_panoramas_come_from_the_renderer(face_shards):
    renderer = SimpleNamespace(background=lambda rng, size: np.full((size, size, 3), (250.0, 100, 0), np.float32))
    found = dict(streams(SampleStore.read(face_shards), renderer, 5 * STREAM_FRAMES))
    frame = next(found["panoramas"])
    assert frame.mean(axis=(0, 1)) == pytest.approx((0, 100, 250), abs=4), "BGR"


def test_small_pictures_fill_the_frame():
    picture = np.full((60, 50, 3), 200, np.uint8)
    (frame,) = pan(picture, 1, np.random.default_rng(0))
    assert frame.shape == (480, 640, 3)
    assert frame.min() > 150


def test_videos_and_pictures_of_a_folder_are_streams(clip, tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((90, 120, 3), 128, np.uint8))
    (tmp_path / "SOURCES.md").touch()
    paths = given_files(tmp_path)
    assert [path.name for path in paths] == ["clip.avi", "wall.png"]
    found = [(kind, sum(1 for _ in frames)) for kind, frames in given_streams(paths, 20)]
    assert found == [("given", 10), ("given", 10)], "each has its share of the frames"
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no video or picture in .*--empty"):
        given_files(tmp_path / "none")


def test_a_clip_shows_when_tracks_begin(clip, write_onnx, center_detector):
    pytest.importorskip("onnxruntime")
    late = center_detector()
    late.detect = lambda frame, found=late.detect: found(frame) if next(turns) else []
    turns = iter([False, *[True] * 99])
    options = {"sees": center_detector(), "late": late, "blind": SimpleNamespace(detect=lambda frame: [])}
    trackers = {
        name: FaceTracker(TrackerOptions(model=write_onnx(), detector=each, detection_interval=5))
        for name, each in options.items()
    }
    seen = {(m.row, m.column): m.value for m in evaluate_clip(clip, trackers)}
    assert [seen[name, "tracks"] for name in options] == [1, 1, 0]
    assert [seen[name, "frames until the first face"] for name in options] == [0, 5, None]
    bright = 100 * np.array([12, 12 + 7]) / 25
    assert bright[0] <= seen["sees", "frames with a face"] <= bright[1], "the gap is dark, and then a search is due"
    assert seen["sees", "mean uncertainty, of the crop"] == pytest.approx(1.0)
    assert seen["blind", "mean uncertainty, of the crop"] is None


def test_animated_gifs_are_clips(tmp_path):
    (tmp_path / "a.gif").touch()
    (tmp_path / "SOURCES.md").touch()
    assert [path.name for path in clip_files(tmp_path)] == ["a.gif"]


def test_times_tell_a_search_of_a_stream_from_one_of_everything():
    calls = []

    class Tiled:
        def detect(self, frame):
            calls.append(("detect", frame.shape))
            return []

        def search(self, frame, turn):
            calls.append(("search", frame.shape))
            return []

    plain = SimpleNamespace(detect=lambda frame: [])
    detectors = [NamedDetector("ours", Tiled(), lambda frame: []), NamedDetector("plain", plain, lambda frame: [])]
    frames = {"8x4": np.zeros((4, 8, 3), np.uint8)}
    found = {(m.row, m.column) for m in compute_times(detectors, frames, 2)}
    assert found == {("ours", "8x4"), ("ours", "8x4, one search of a stream"), ("plain", "8x4")}
    assert calls == [("detect", (4, 8, 3)), ("search", (4, 8, 3))] * 4
