"""Ids of faces that return, false alarms, and slots, in simulated scenes.

Everything but images and network is the runtime's own.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edge_runtime import ROI, FaceTracker, TrackerOptions
from edge_runtime.geometry import Rectangle
from edge_runtime.observation import Observation, is_plausible
from edge_runtime.probation import MAX_REJECTED, PROBATION_FRAMES, REJECTED_SECONDS, RejectedPlaces
from edge_runtime.tracker import MAX_CANDIDATES

WIDTH, HEIGHT, FPS = 640, 480, 30.0
SIZE = 130.0
"""Side of a face's ROI, pixels."""
TRACKABLE, DETECTABLE = 0.5, 0.8
"""Fractions of a face inside the frame from which it is tracked and detected."""

CLEAR = (0.99, 0.02)
"""Confidence and uncertainty of a face that is seen clearly."""
Look = tuple[float, float] | Callable[[float], tuple[float, float]]

Path = Callable[[float], ROI | None]
"""Place of a face at a time; None while it is hidden."""


class World:
    """Faces that move: observer and detector of a tracker."""

    def __init__(self, **faces: Path) -> None:
        self.faces = faces
        self.time = 0.0
        self.looks: dict[str, Look] = {}
        """Confidence and uncertainty of faces that are not clear."""
        self.searches: list[float] = []
        """Times of searches."""

    def places(self, inside: float) -> dict[str, ROI]:
        """Return the ROIs of the faces of which at least this fraction is inside the frame."""
        found = {name: path(self.time) for name, path in self.faces.items()}
        return {
            name: roi
            for name, roi in found.items()
            if roi is not None
            and Rectangle(roi.cx, roi.cy, roi.size / 1.5, roi.size / 1.5, 0.0).fraction_inside(WIDTH, HEIGHT) >= inside
        }

    def detect(self, frame: np.ndarray) -> list[ROI]:
        self.searches.append(self.time)
        return list(self.places(DETECTABLE).values())

    def observe(self, frame: np.ndarray, roi: ROI, intrinsics: object) -> Observation | None:
        """Return the face that the crop shows for the most part."""
        near = {name: place for name, place in self.places(TRACKABLE).items() if place.iou(roi) > 0.3}
        if not near:
            return None
        name = max(near, key=lambda name: near[name].iou(roi))
        place = near[name]
        landmarks = place.to_frame(np.array([[1, 1], [5, 1], [1, 5], [5, 5]]) / 6)
        rectangle = Rectangle.around(landmarks, 0.0)
        assert is_plausible(rectangle, roi, (WIDTH, HEIGHT))
        look = self.looks.get(name, CLEAR)
        confidence, sigma = look(self.time) if callable(look) else look
        direction = np.array([0.0, 0.0, 1.0])
        return Observation(roi, landmarks, np.full(4, sigma * roi.size), np.eye(3), confidence, sigma, place, direction)


def track(world: World, backend: object, seconds: float, **options: object) -> list[dict[str, int]]:
    """Track the world; return the id of each reported face in each frame."""
    tracker = FaceTracker(TrackerOptions(model=backend, detector=world, smoothing=0.0, **options))  # type: ignore[arg-type]
    tracker._observer = world  # type: ignore[assignment]
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frames = []
    for number in range(round(seconds * FPS)):
        world.time = number / FPS
        places = world.places(TRACKABLE)
        frames.append({})
        for face in tracker.update(frame, world.time):
            x, y = face.landmarks.mean(axis=0)
            name = min(places, key=lambda name: math.hypot(places[name].cx - x, places[name].cy - y))
            assert name not in frames[-1], "no face is tracked twice"
            frames[-1][name] = face.id
    return frames


def play(world: World, backend: object, seconds: float, **options: object) -> dict[str, list[int]]:
    """Track the world; return the ids of each face in order, each once."""
    frames = track(world, backend, seconds, **options)
    return {name: list(dict.fromkeys(frame[name] for frame in frames if name in frame)) for name in world.faces}


def leaving(
    side: str, speed: float, gap: float, height: float = 0.0, size: float = SIZE, begin: float = 0.8, along: float = 0.5
) -> Path:
    """Leave by a side and return by it.

    Args:
        side: Side of the frame.
        speed: ROI sizes a second.
        gap: Seconds from the last trackable moment to the first detectable one.
        height: Displacement along the border at the return, ROI sizes.
        size: Side of the ROI, pixels.
        begin: Time from which the face moves.
        along: Place along the border, in [0, 1].
    """
    sideways = side in ("left", "right")
    extent, across = (WIDTH, HEIGHT) if sideways else (HEIGHT, WIDTH)
    face = size / 1.5
    pixels_per_second = speed * size
    rest = min(0.5 * extent, 1.5 * size)
    # Distances of the center from the border.
    lost, found = face * (TRACKABLE - 0.5), face * (DETECTABLE - 0.5)
    out = begin + (rest - lost) / pixels_per_second
    back = out + gap

    def at(time: float) -> ROI | None:
        if time <= out:
            distance, place = rest - max(time - begin, 0) * pixels_per_second, along * across
        elif time < back:
            return None
        else:
            distance, place = found + (time - back) * pixels_per_second, along * across + height * size
        distance = min(distance, rest)
        depth = distance if side in ("left", "top") else extent - distance
        return ROI(depth, place, size) if sideways else ROI(place, depth, size)

    return at


def still(x: float, y: float, size: float = SIZE, shown: Sequence[tuple[float, float]] = ((-1.0, 99.0),)) -> Path:
    """Stay at a place, shown in some spans of time."""
    return lambda time: ROI(x, y, size) if any(begin <= time < end for begin, end in shown) else None


@pytest.fixture
def model(backend):
    backend.spec = dataclasses.replace(backend.spec, upright=False)
    return backend


SIDES = ("left", "right", "top", "bottom")
SPEEDS = (0.5, 1.0, 2.0, 4.0, 7.0)
GAPS = (0.3, 0.8, 1.3, 1.9)
HEIGHTS = (0.0, 1.3, -1.3)


def kept(world: World, model: object, name: str = "a", **options: object) -> bool:
    """Return whether a face keeps its id all the time."""
    ids = play(world, model, 8.0, **options)
    assert ids[name], "found at first"
    return len(ids[name]) == 1


@pytest.mark.parametrize("side", SIDES)
def test_a_face_that_leaves_and_returns_by_the_same_side_keeps_its_id(model, side):
    failed = [
        (speed, gap, height)
        for speed, gap, height in itertools.product(SPEEDS, GAPS, HEIGHTS)
        if not kept(World(a=leaving(side, speed, gap, height)), model)
    ]
    assert failed == []


def test_a_face_that_returns_after_the_window_is_a_new_one(model):
    for side in SIDES:
        assert play(World(a=leaving(side, 2.0, 2.8)), model, 8.0) == {"a": [0, 1]}
    assert play(World(a=leaving("left", 4.0, 1.4)), model, 8.0, reid_seconds=0.8) == {"a": [0, 1]}
    assert play(World(a=leaving("left", 2.0, 0.2)), model, 8.0, reid_seconds=0.0) == {"a": [0, 1]}


@pytest.mark.parametrize("side", SIDES)
def test_a_face_that_was_out_of_sight_for_less_than_the_window_keeps_its_id(model, side):
    # Out of sight at a third of its ROI beyond the border; it is lost at the border, and found a fifth inside.
    for speed, gap in itertools.product((1.0, 2.0, 4.0), (1.5, 1.9)):
        assert kept(World(a=leaving(side, speed, gap + (1 / 3 + 1 / 3 + 0.2) / speed)), model), (speed, gap)


OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def entering(side: str, time: float, along: float = 0.5, size: float = SIZE, speed: float = 2.0) -> Path:
    """Come in by a side at a time."""
    path = leaving(side, speed, 1.0, size=size, begin=-10.0, along=along)
    # The path is back in the frame one second after it has left, which is as soon as it begins.
    back = end_of(path) + 1.0
    return lambda t: path(back + t - time) if t >= time else None


def end_of(path: Path) -> float:
    """Return when the face is gone."""
    return next(t / 100 for t in range(-1000, 1000) if path(t / 100) is None)


@pytest.mark.parametrize("side", SIDES)
def test_somebody_else_at_another_border_gets_a_new_id(model, side):
    for speed, later in itertools.product(SPEEDS, (0.2, 1.0)):
        path = leaving(side, speed, 99.0)
        world = World(a=path, b=entering(OPPOSITE[side], end_of(path) + later))
        assert play(world, model, 8.0) == {"a": [0], "b": [1]}, (speed, later)


def test_somebody_who_was_hidden_elsewhere_gets_a_new_id_and_the_other_keeps_his(model):
    for side, speed in itertools.product(SIDES, SPEEDS):
        path = leaving(side, speed, 1.5)
        x, y = {"left": (480, 240), "right": (160, 240), "top": (320, 350), "bottom": (320, 130)}[side]
        world = World(a=path, b=still(x, y, shown=[(end_of(path) + 0.4, 99)]))
        assert play(world, model, 8.0, max_faces=2) == {"a": [0], "b": [1]}, (side, speed)


def test_of_two_who_left_by_one_side_each_gets_his_own_id(model):
    for first, second in itertools.permutations(("a", "b")):
        for speed, late in itertools.product((0.7, 2.0, 5.0), (0.0, 0.5)):
            places = {"a": 0.2, "b": 0.8}
            world = World(
                **{
                    first: leaving("left", speed, 0.8, size=90, along=places[first]),
                    second: leaving("left", speed, 0.8 + late, size=90, along=places[second]),
                }
            )
            assert sorted(play(world, model, 6.0, max_faces=2).values()) == [[0], [1]], (first, speed, late)


def test_of_two_who_left_by_one_side_one_who_returns_between_them_gets_a_new_id(model):
    world = World(
        a=leaving("left", 2.0, 0.8, size=90, along=0.2, height=1.6),
        b=leaving("left", 2.0, 99.0, size=90, along=0.8),
    )
    assert play(world, model, 6.0, max_faces=2) == {"a": [0, 2], "b": [1]}


def test_who_returns_by_one_side_does_not_take_the_id_of_one_who_left_by_another(model):
    world = World(a=leaving("left", 2.0, 0.8), b=leaving("right", 2.0, 1.1, height=1.0))
    assert play(world, model, 6.0, max_faces=2) == {"a": [0], "b": [1]}


def test_who_returns_does_not_take_the_id_of_one_who_is_covered(model):
    world = World(a=leaving("left", 2.0, 0.8, height=1.2), b=still(420, 240, shown=[(-1, 1.5), (3.0, 99)]))
    assert play(world, model, 6.0, max_faces=2) == {"a": [0], "b": [1]}


def test_who_enters_does_not_take_the_id_of_one_who_is_covered(model):
    for side in ("left", "top"):
        world = World(a=still(320, 240, size=90, shown=[(-1, 1.0), (3.5, 99)]), b=entering(side, 2.0, 0.2, size=90))
        assert play(world, model, 6.0, max_faces=2)["b"] == [1], side


def test_somebody_of_another_size_at_the_same_border_gets_a_new_id(model):
    for size in (70.0, 220.0):
        world = World(a=leaving("left", 2.0, 99.0), b=entering("left", 2.0, size=size))
        assert play(world, model, 6.0) == {"a": [0], "b": [1]}


UNCERTAIN = (0.94, 0.067)
"""A false alarm that passes as a new face in every frame, with uncertain points."""
DOUBTFUL = (0.76, 0.03)
"""One with a low confidence."""


def shown(frames: list[dict[str, int]], name: str) -> list[int]:
    """Return the numbers of the frames in which a face is reported."""
    return [number for number, frame in enumerate(frames) if name in frame]


def growing(time: float) -> tuple[float, float]:
    """Return a look of high confidence that passes as a new face now and then, but not on average."""
    return 0.99, 0.08 if round(time * FPS) % 5 else 0.067


@pytest.mark.parametrize("look", [UNCERTAIN, DOUBTFUL, growing])
def test_a_false_alarm_is_dropped_and_not_taken_up_again_for_some_seconds(model, look):
    world = World(shelf=still(320, 240))
    world.looks["shelf"] = look
    again = math.ceil((REJECTED_SECONDS + 0.1) * FPS)
    frames = track(world, model, REJECTED_SECONDS + 1.0)
    assert shown(frames, "shelf")[:2] == [0, 1], "reported without a delay, as any face"
    assert [number for number in shown(frames, "shelf") if number < again - 6] == [0, 1]
    assert any(number >= again - 6 for number in shown(frames, "shelf")), "later it may be a face"


def test_a_face_is_not_dropped_for_one_bad_frame(model):
    world = World(a=still(320, 240))
    world.looks["a"] = lambda time: (0.5, 0.09) if round(time * FPS) in (1, 5, 9) else CLEAR
    assert [frame.get("a") for frame in track(world, model, 3.0)] == [0] * 90


@pytest.mark.parametrize("look", [(0.81, 0.057), (0.96, 0.068)])
def test_a_face_of_fair_confidence_or_fair_certainty_is_kept(model, look):
    world = World(a=still(320, 240))
    world.looks["a"] = look
    assert [frame.get("a") for frame in track(world, model, 1.0)] == [0] * 30


def test_a_face_that_was_clear_is_tracked_on_when_its_points_become_uncertain(model):
    world = World(a=still(320, 240))
    world.looks["a"] = lambda time: (0.75, 0.09) if time * FPS > PROBATION_FRAMES else CLEAR
    assert [frame.get("a") for frame in track(world, model, 3.0)] == [0] * 90


def test_a_sure_face_is_taken_up_at_a_rejected_place_and_any_face_elsewhere(model):
    fair = (0.9, 0.04)
    for look, x, found in ((CLEAR, 320, True), (fair, 320, False), (fair, 500, True)):
        world = World(shelf=still(320, 240, shown=[(-1, 1.0)]), a=still(x, 240, shown=[(1.0, 99)]))
        world.looks = {"shelf": UNCERTAIN, "a": look}
        assert bool(shown(track(world, model, 2.0), "a")) == found


def test_false_alarms_do_not_keep_the_network_from_a_face(model):
    shelves = {f"shelf{i}": still(80 + 160 * i, 120, 90) for i in range(MAX_CANDIDATES)}
    world = World(**shelves, a=still(320, 350, 90, shown=[(1.0, 99)]))  # the detector's last
    world.looks = dict.fromkeys(shelves, UNCERTAIN)
    assert shown(track(world, model, 2.0), "a")[0] < 1.3 * FPS


def test_rejected_places_are_bounded_and_expire():
    places = RejectedPlaces()
    for i in range(3 * MAX_REJECTED):
        places.add(ROI(200 * i, 100, 100), float(i))
    assert len(places) == MAX_REJECTED
    last = ROI(200 * (3 * MAX_REJECTED - 1), 100, 100)
    assert last in places
    assert ROI(0, 100, 100) not in places
    assert ROI(last.cx + 49, 100, 100) in places
    assert ROI(last.cx + 60, 100, 100) not in places
    places.remove_expired(3 * MAX_REJECTED - 1 + REJECTED_SECONDS)
    assert len(places) == 0
    places.add(last, 10.0)
    places.remove_expired(9.0)
    assert len(places) == 0, "the clock was set back"


def test_reset_forgets_rejected_places(backend, detector, frame):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector))
    backend.uncertainty = np.full(98, UNCERTAIN[1])
    found = [len(tracker.update(frame, i / FPS)) for i in range(12)]
    assert found == [1, 1] + [0] * 10
    stats = tracker.stats
    assert (stats.detections, stats.lost_count, stats.rejected_count) == (1, 1, 1)
    tracker.reset()
    assert len(tracker.update(frame, 1.0)) == 1


def flickering(time: float) -> tuple[float, float]:
    """Return a look that is never lost, and seldom sure after its first second."""
    return CLEAR if time < 0.5 or round(time * FPS) % 4 == 0 else (0.6, 0.05)


def test_a_sure_face_replaces_a_doubtful_one_when_all_slots_are_taken(model):
    world = World(shelf=still(160, 240), a=still(480, 240, shown=[(1.0, 99)]))
    world.looks["shelf"] = flickering
    frames = track(world, model, 3.0)
    assert shown(frames, "a")[0] <= 1.3 * FPS
    assert shown(frames, "shelf")[-1] < shown(frames, "a")[0]
    assert all(len(frame) == 1 for frame in frames)


def test_a_face_that_replaces_a_doubtful_one_near_by_has_its_own_id(model):
    world = World(shelf=still(320, 240), a=still(400, 240, shown=[(1.0, 99)]))
    world.looks["shelf"] = flickering
    ids = play(world, model, 3.0)
    assert ids["a"] == [1]
    assert ids["shelf"] == [0]


@pytest.mark.parametrize("look", [UNCERTAIN, (0.9, 0.02), (0.99, 0.065)])
def test_a_face_that_is_not_sure_replaces_none(model, look):
    world = World(shelf=still(160, 240), a=still(480, 240, shown=[(1.0, 99)]))
    world.looks = {"shelf": flickering, "a": look}
    assert shown(track(world, model, 3.0), "a") == []


def test_a_few_bad_frames_do_not_cost_a_face_its_slot(model):
    world = World(a=still(160, 240), b=still(480, 240, shown=[(1.0, 99)]))
    world.looks["a"] = lambda time: (0.5, 0.09) if round(time * FPS) % 30 > 26 else CLEAR
    assert shown(track(world, model, 5.0), "b") == []
    assert len(world.searches) == 1, "a sure face needs no search"


def test_the_most_doubtful_track_is_replaced(model):
    world = World(a=still(100, 240, 90), shelf=still(320, 240, 90), b=still(540, 240, 90, shown=[(1.0, 99)]))
    world.looks = {"a": lambda time: CLEAR if time < 0.5 else (0.75, 0.05), "shelf": flickering}
    frames = track(world, model, 3.0, max_faces=2)
    assert set(frames[shown(frames, "b")[0]]) == {"a", "b"}


def test_searches_for_a_doubtful_tracks_slot_are_bounded(model):
    world = World(shelf=still(160, 240))
    world.looks["shelf"] = flickering
    track(world, model, 6.0)
    assert len(world.searches) > 10
    assert min(np.diff(world.searches)) * FPS > TrackerOptions().detection_interval - 0.1
