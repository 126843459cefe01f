"""Keys and mirroring of the preview."""

import dataclasses

import numpy as np
import pytest

from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.draw import draw_faces
from edge_runtime.preview import DEFAULT_SMOOTHING, Preview
from edge_runtime.spec import standard_outputs


class Screen:
    """Screen that records images and returns scripted keys."""

    def __init__(self, *keys: str | None) -> None:
        self.keys = list(keys)
        self.images: list[np.ndarray] = []
        self.waits: list[int] = []

    def show(self, image: np.ndarray, wait_ms: int) -> str | None:
        self.images.append(image)
        self.waits.append(wait_ms)
        return self.keys.pop(0) if self.keys else ""


@pytest.fixture
def tracker(backend, detector):
    return FaceTracker(TrackerOptions(model=backend, detector=detector))


@pytest.fixture
def image():
    """Dark on the left, bright on the right."""
    return np.repeat(np.linspace(0, 250, 320, dtype=np.uint8)[None, :, None], 240, axis=0).repeat(3, axis=2)


def preview(tracker, *keys, mirror=False):
    screen = Screen(*keys)
    return screen, Preview(screen, tracker, mirror)


def test_a_stream_runs_on_and_shows_the_overlay(tracker, frame):
    screen, shown = preview(tracker)
    faces = tracker.update(frame, 0.0)
    assert all(shown.show(frame, faces) for _ in range(3))
    assert screen.waits == [1, 1, 1]
    assert np.array_equal(screen.images[0], draw_faces(frame, faces))


@pytest.mark.parametrize("key", ["q", None], ids=["q", "closed"])
def test_the_user_quits(tracker, image, key):
    _, shown = preview(tracker, key)
    assert not shown.show(image, [])


def test_space_pauses_until_space_and_keys_work_meanwhile(tracker, image):
    screen, shown = preview(tracker, " ", "", "m", " ")
    assert shown.show(image, [])
    assert len(screen.images) == 4
    assert min(screen.waits[1:]) > 1, "a image that stands still needs no hurry"
    assert np.array_equal(screen.images[-1], image[:, ::-1])
    assert shown.show(image, [])
    assert len(screen.images) == 5, "runs again"


def test_closing_ends_the_pause(tracker, image):
    _, shown = preview(tracker, " ", "", None)
    assert not shown.show(image, [])


def test_pause_waits_for_space(tracker, image):
    screen, shown = preview(tracker, "", "x", " ")
    assert shown.show(image, [], pause=True)
    assert len(screen.images) == 3


def test_mirror_flips_the_window_only(tracker, image):
    screen, shown = preview(tracker, "m", mirror=True)
    (face,) = tracker.update(image, 0.0)
    landmarks, matrix, before = face.landmarks.copy(), face.pose.matrix.copy(), image.copy()
    shown.show(image, [])
    shown.show(image, [face])
    assert np.array_equal(screen.images[0], image[:, ::-1])
    assert np.array_equal(screen.images[1], draw_faces(image, [face])), "m turned it off"
    assert np.array_equal(face.landmarks, landmarks)
    assert np.array_equal(face.pose.matrix, matrix)
    assert np.array_equal(image, before)


def test_s_turns_smoothing_off_and_on_again_as_it_was(backend, detector, image):
    for begun, again in ((0.8, 0.8), (0.0, DEFAULT_SMOOTHING)):
        tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=begun))
        _, shown = preview(tracker, *("ss" if begun else "s"))
        shown.show(image, [])
        assert tracker.smoothing == (0.0 if begun else again)
        shown.show(image, [])
        assert tracker.smoothing == again


def test_r_resets_the_tracker(tracker, frame):
    _, shown = preview(tracker, "r")
    (first,) = tracker.update(frame, 0.0)
    shown.show(frame, [first])
    (second,) = tracker.update(frame, 0.1)
    assert second.age == 0
    assert second.id != first.id


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (60, 80), (1, 1)])
def test_h_writes_the_keys_and_wipes_them(tracker, size):
    image = np.full((*size, 3), 90, np.uint8)
    screen, shown = preview(tracker, "h", "h")
    for _ in range(3):
        shown.show(image, [])
    plain, helped, wiped = screen.images
    assert np.array_equal(plain, image)
    assert np.array_equal(wiped, image)
    if min(size) > 1:
        written = (helped != image).any(axis=2)
        assert written.any()
        assert not written[:, -2:].any(), "no line runs out of the image"
        assert not written[-2:].any()


def test_e_shows_expressions_and_n_calibrates_them(backend, detector, image, monkeypatch):
    outputs = standard_outputs(98, with_expressions=True)
    backend.spec, plain = dataclasses.replace(backend.spec, outputs=outputs), backend.run
    more = {"expressions": np.full(52, 0.5, np.float32), "gaze": np.zeros((2, 2), np.float32)}
    monkeypatch.setattr(backend, "run", lambda crop, query_points=None: plain(crop) | more)
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector))
    faces = tracker.update(image, 0.0)
    screen, shown = preview(tracker, " ", "e", "e", "n", " ")
    assert shown.show(image, faces)
    without, bars = (draw_faces(image, faces, expressions=each) for each in (False, True))
    assert not np.array_equal(without, bars)
    assert [np.array_equal(each, bars) for each in screen.images] == [False, False, True, False, False]
    assert tracker.calibrating


def test_n_does_nothing_without_expressions(tracker, image):
    _, shown = preview(tracker, " ", "n", " ")
    assert shown.show(image, [])
    assert not tracker.calibrating
