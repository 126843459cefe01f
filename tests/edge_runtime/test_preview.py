"""Keys and mirroring, on a screen that the test looks at and types on."""

import numpy as np
import pytest

from edge_runtime import FaceTracker
from edge_runtime.draw import draw_faces
from edge_runtime.preview import DEFAULT_SMOOTHING, Preview


class Screen:
    """Keeps what is shown and gives the keys that the test typed, then none."""

    def __init__(self, *keys: str | None) -> None:
        self.keys = list(keys)
        self.pictures: list[np.ndarray] = []
        self.waits: list[int] = []

    def show(self, image: np.ndarray, wait_ms: int) -> str | None:
        self.pictures.append(image)
        self.waits.append(wait_ms)
        return self.keys.pop(0) if self.keys else ""


@pytest.fixture
def tracker(backend, detector):
    return FaceTracker(backend=backend, detector=detector)


@pytest.fixture
def picture():
    """Dark on the left, bright on the right."""
    return np.repeat(np.linspace(0, 250, 320, dtype=np.uint8)[None, :, None], 240, axis=0).repeat(3, axis=2)


def preview(tracker, *keys, mirror=False):
    screen = Screen(*keys)
    return screen, Preview(screen, tracker, None, mirror)


def test_a_stream_runs_on_and_shows_the_overlay(tracker, frame):
    screen, shown = preview(tracker)
    faces = tracker.update(frame, 0.0)
    assert all(shown.show(frame, faces) for _ in range(3))
    assert screen.waits == [1, 1, 1]
    assert np.array_equal(screen.pictures[0], draw_faces(frame, faces))


@pytest.mark.parametrize("key", ["q", None], ids=["q", "closed"])
def test_the_user_quits(tracker, picture, key):
    _, shown = preview(tracker, key)
    assert not shown.show(picture, [])


def test_space_pauses_until_space_and_keys_work_meanwhile(tracker, picture):
    screen, shown = preview(tracker, " ", "", "m", " ")
    assert shown.show(picture, [])
    assert len(screen.pictures) == 4
    assert min(screen.waits[1:]) > 1, "a picture that stands still needs no hurry"
    assert np.array_equal(screen.pictures[-1], picture[:, ::-1])
    assert shown.show(picture, [])
    assert len(screen.pictures) == 5, "runs again"


def test_closing_ends_a_pause(tracker, picture):
    _, shown = preview(tracker, " ", "", None)
    assert not shown.show(picture, [])


def test_a_held_picture_waits_for_space(tracker, picture):
    screen, shown = preview(tracker, "", "x", " ")
    assert shown.show(picture, [], pause=True)
    assert len(screen.pictures) == 3


def test_the_mirror_turns_what_is_shown_and_no_result(tracker, picture):
    screen, shown = preview(tracker, "m", mirror=True)
    (face,) = tracker.update(picture, 0.0)
    landmarks, matrix, before = face.landmarks.copy(), face.pose.matrix.copy(), picture.copy()
    shown.show(picture, [])
    shown.show(picture, [face])
    assert np.array_equal(screen.pictures[0], picture[:, ::-1])
    assert np.array_equal(screen.pictures[1], draw_faces(picture, [face])), "m turned it off"
    assert np.array_equal(face.landmarks, landmarks)
    assert np.array_equal(face.pose.matrix, matrix)
    assert np.array_equal(picture, before)


def test_s_turns_smoothing_off_and_on_again_as_it_was(backend, detector, picture):
    for begun, again in ((0.8, 0.8), (0.0, DEFAULT_SMOOTHING)):
        tracker = FaceTracker(backend=backend, detector=detector, smoothing=begun)
        _, shown = preview(tracker, *("ss" if begun else "s"))
        shown.show(picture, [])
        assert tracker.smoothing == (0.0 if begun else again)
        shown.show(picture, [])
        assert tracker.smoothing == again


def test_r_forgets_the_faces(tracker, frame):
    _, shown = preview(tracker, "r")
    (first,) = tracker.update(frame, 0.0)
    shown.show(frame, [first])
    (second,) = tracker.update(frame, 0.1)
    assert second.age == 0
    assert second.id != first.id


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (60, 80), (1, 1)])
def test_h_writes_the_keys_and_wipes_them(tracker, size):
    picture = np.full((*size, 3), 90, np.uint8)
    screen, shown = preview(tracker, "h", "h")
    for _ in range(3):
        shown.show(picture, [])
    plain, helped, wiped = screen.pictures
    assert np.array_equal(plain, picture)
    assert np.array_equal(wiped, picture)
    if min(size) > 1:
        written = (helped != picture).any(axis=2)
        assert written.any()
        assert not written[:, -2:].any(), "no line runs out of the picture"
        assert not written[-2:].any()
