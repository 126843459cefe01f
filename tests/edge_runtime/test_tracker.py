import dataclasses
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge_runtime import ROI, SCHEMES, FaceTracker, Intrinsics, Template, TrackerOptions, TrackState
from edge_runtime.errors import DetectorError, FrameError, TemplateError
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.frames import MAX_SIDE
from edge_runtime.geometry import Rectangle, crop_to_camera, rotation_2d
from edge_runtime.observation import is_plausible
from edge_runtime.probation import PROBATION_FRAMES
from edge_runtime.spec import standard_outputs
from edge_runtime.tracker import (
    MAX_CANDIDATES,
    QUARTER_TURNS,
    REFINEMENTS,
)

DETECTION_INTERVAL = TrackerOptions().detection_interval
MAX_LOW_CONFIDENCE_FRAMES = TrackerOptions().max_low_confidence_frames


@pytest.fixture
def tracker(backend, detector):
    return FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0))


def play(tracker, frame, count, start=0):
    return [tracker.update(frame, (start + i) / 30) for i in range(count)]


def test_detects_once_and_then_tracks(tracker, backend, detector, frame):
    backend.confidence = 0.97
    ((first,), (second,), (third,)) = play(tracker, frame, 3)
    assert (first.state, first.age) == (TrackState.DETECTED, 0)
    assert (second.state, second.age) == (TrackState.TRACKED, 1)
    assert (third.id, third.age) == (first.id, 2)
    assert detector.calls == 1
    assert backend.runs == 1 + REFINEMENTS + 2
    assert first.confidence == pytest.approx(0.97)
    stats = tracker.stats
    assert (stats.frames, stats.detector_runs, stats.detections, stats.lost_count) == (3, 1, 1, 0)
    assert stats.network_runs == backend.runs


def test_crop_follows_the_crop_rule(tracker, backend, frame, spec):
    backend.shift = np.array([0.02, 0.0])
    ((first,), (second,)) = play(tracker, frame, 2)
    expected = ROI.from_landmarks(first.landmarks)
    assert (second.roi.cx, second.roi.cy, second.roi.size, second.roi.roll) == pytest.approx(
        (expected.cx, expected.cy, expected.size, 0), abs=1e-4
    )
    assert np.allclose(second.landmarks, second.roi.to_frame(spec.mean_shape + backend.shift), atol=1e-4)
    assert np.allclose(second.uncertainty, 0.02 * second.roi.size)


@pytest.mark.parametrize(("upright", "roll"), [(True, 0.25), (False, 0.0)])
def test_crop_is_upright_when_the_model_requires_it(backend, detector, frame, spec, upright, roll):
    backend.spec = dataclasses.replace(spec, upright=upright)
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0))
    tracker.update(frame, 0.0)
    backend.landmarks = (spec.mean_shape - 0.5) @ rotation_2d(0.25).T + 0.5
    (turned,) = tracker.update(frame, 0.1)
    backend.landmarks = None
    (face,) = tracker.update(frame, 0.2)
    assert face.roi.roll == pytest.approx(turned.roi.roll + roll, abs=1e-5)


def test_detect_rejects_face_when_confidence_is_low(tracker, backend, detector, frame):
    backend.confidence = 0.69
    assert play(tracker, frame, 1) == [[]]
    assert tracker.stats.detections == 0


def test_detect_rejects_face_when_landmarks_are_uncertain(tracker, backend, frame):
    backend.confidence, backend.uncertainty = 0.99, np.full(98, 0.07)
    assert play(tracker, frame, 1) == [[]]
    backend.uncertainty = np.full(98, 0.05)
    tracker.reset()
    assert all(play(tracker, frame, PROBATION_FRAMES))
    backend.uncertainty = np.full(98, 0.09)  # blurred by motion, tracked all the same
    assert all(play(tracker, frame, 20, start=PROBATION_FRAMES))
    backend.uncertainty = np.full(98, 0.15)
    tracked = [bool(faces) for faces in play(tracker, frame, MAX_LOW_CONFIDENCE_FRAMES, start=40)]
    assert tracked == [True] * (MAX_LOW_CONFIDENCE_FRAMES - 1) + [False]


def test_detector_runs_at_most_in_every_fifth_frame(tracker, detector, frame):
    detector.rois = []
    calls = []
    for i in range(3 * DETECTION_INTERVAL):
        tracker.update(frame, i / 30)
        calls.append(detector.calls)
    assert calls == [1 + i // DETECTION_INTERVAL for i in range(3 * DETECTION_INTERVAL)]


def test_network_runs_on_few_candidates(tracker, backend, detector, frame):
    backend.confidence = 0.1
    detector.rois = [ROI(160, 120, 60 + i) for i in range(10)]
    tracker.update(frame, 0.0)
    assert backend.runs == MAX_CANDIDATES * (1 + len(QUARTER_TURNS)), "each as it is, and turned by quarters"


class TurnedFace:
    """A face of some roll: the network is sure of a crop of this roll, certain by how near it is otherwise."""

    def __init__(self, backend, roll, confident_turns=()):
        self.spec, self._backend, self._roll, self._confident = backend.spec, backend, roll, confident_turns
        self.rolls = []

    def crop(self, image, roi, size):
        self.rolls.append(roi.roll)
        return np.zeros((size, size, 3), np.uint8)

    def run(self, crop, query_points=None):
        off = (self.rolls[-1] - self._roll + math.pi) % (2 * math.pi) - math.pi
        right = abs(off) < 0.5
        wrong = any(abs(off - turn) < 0.5 for turn in self._confident)
        self._backend.confidence = 0.99 if right or wrong else 0.1
        self._backend.uncertainty = np.full(98, 0.02 if right else 0.065)
        return self._backend.run(crop)


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("wrong", [(), (math.pi,), (-math.pi,)])
def test_a_face_is_found_at_any_roll_though_the_detector_knows_none(
    backend, detector, frame, monkeypatch, degrees, wrong
):
    """Even if the network is confident, but uncertain, of the face read upside down."""
    face = TurnedFace(backend, math.radians(degrees), wrong)
    monkeypatch.setattr("edge_runtime.observation.extract_crop", face.crop)
    (found,) = FaceTracker(TrackerOptions(model=face, detector=detector)).update(frame, 0.0)
    assert math.cos(found.roi.roll - math.radians(degrees)) == pytest.approx(1, abs=0.01)


def test_a_candidate_whose_confidence_falls_on_the_way_is_no_face(backend, detector, frame):
    values = iter([0.99, 0.6, 0.99])
    plain = backend.run

    def run(crop, query_points=None):
        backend.confidence = next(values, 0.99)
        return plain(crop)

    backend.run = run
    assert FaceTracker(TrackerOptions(model=backend, detector=detector)).update(frame, 0.0) == []


def test_a_face_in_a_picture_must_be_surer_than_in_a_stream(tracker, backend, frame):
    for uncertainty, confidence, count in ((0.02, 0.9, 1), (0.065, 0.9, 0), (0.02, 0.75, 0)):
        backend.uncertainty, backend.confidence = np.full(98, uncertainty), confidence
        tracker.reset()
        assert len(tracker.detect(frame)) == count
        assert len(tracker.update(frame)) == 1


def test_second_candidate_is_used_when_the_first_is_invalid(tracker, detector, frame):
    detector.rois = [ROI(-500, -500, 50), ROI(160, 120, 90)]
    ((face,),) = play(tracker, frame, 1)
    assert face.roi.cx == pytest.approx(160, abs=1)


def test_face_below_the_lost_threshold_is_lost_at_once(tracker, backend, detector, frame):
    play(tracker, frame, 5)
    backend.confidence = 0.39
    assert tracker.update(frame, 1.0) == []
    assert tracker.stats.lost_count == 1
    assert detector.calls == 2, "looked for again in the same frame"


def test_face_between_the_thresholds_is_lost_after_some_frames(tracker, backend, frame):
    play(tracker, frame, PROBATION_FRAMES)
    backend.confidence = 0.5
    tracked = play(tracker, frame, MAX_LOW_CONFIDENCE_FRAMES - 1, start=PROBATION_FRAMES)
    assert all(tracked)
    assert tracker.update(frame, 1.0) == []
    assert tracker.stats.lost_count == 1


def test_low_confidence_count_restarts_when_confidence_returns(tracker, backend, frame):
    play(tracker, frame, PROBATION_FRAMES)
    for _ in range(4):
        backend.confidence = 0.5
        assert all(play(tracker, frame, MAX_LOW_CONFIDENCE_FRAMES - 1))
        backend.confidence = 0.71
        assert all(play(tracker, frame, 1))
    assert tracker.stats.lost_count == 0


@pytest.mark.parametrize(
    ("moved", "grown", "later", "same"),
    [(0, 1, 0.3, True), (60, 1, 0.3, True), (0, 1, 3.0, False), (140, 1, 0.3, False), (0, 1.8, 0.3, False)],
    ids=["at once", "near by", "after seconds", "far away", "of another size"],
)
def test_lost_face_keeps_its_id_when_found_again_soon_and_nearby(
    tracker, backend, detector, frame, moved, grown, later, same
):
    ((first,), *_) = play(tracker, frame, PROBATION_FRAMES)
    backend.confidence = 0.1
    play(tracker, frame, 2, start=PROBATION_FRAMES)
    backend.confidence = 0.9
    detector.rois = [ROI(160 - moved, 120, 90 * grown)]
    lost = (PROBATION_FRAMES + 1) / 30
    faces = [f for i in range(DETECTION_INTERVAL) for f in tracker.update(frame, lost + later + i / 1000)]
    assert faces[0].state == TrackState.DETECTED
    assert faces[0].age == 0
    assert {f.id for f in faces} == {first.id if same else first.id + 1}


def test_detector_interval_holds_when_a_face_is_lost_repeatedly(tracker, backend, detector, frame):
    for i in range(12):
        backend.confidence = 0.9 if i % 2 == 0 else 0.1
        tracker.update(frame, i / 30)
    assert detector.calls <= math.ceil(12 / DETECTION_INTERVAL)


def test_reset_drops_the_tracks_and_keeps_the_ids(tracker, detector, frame):
    ((first,), _) = play(tracker, frame, 2)
    tracker.reset()
    ((again,),) = play(tracker, frame, 1)
    assert again.state == TrackState.DETECTED
    assert again.id == first.id + 1
    assert detector.calls == 2
    assert tracker.stats.lost_count == 0


@pytest.mark.parametrize(
    "landmarks",
    [
        pytest.param(np.full((98, 2), 0.5), id="one point"),
        pytest.param(np.full((98, 2), np.nan), id="nan"),
        pytest.param(np.linspace(0.2, 0.8, 98)[:, None] * (1, 0) + (0, 0.5), id="a line"),
        pytest.param(np.random.default_rng(0).uniform(-2, 3, (98, 2)), id="exploded"),
        pytest.param(np.random.default_rng(0).uniform(0.45, 0.55, (98, 2)), id="collapsed"),
    ],
)
def test_face_is_lost_when_landmarks_are_not_plausible(tracker, backend, detector, frame, landmarks):
    play(tracker, frame, 2)
    detector.rois = []
    backend.landmarks = landmarks
    assert tracker.update(frame, 1.0) == []


def test_face_is_lost_when_uncertainty_is_not_finite(tracker, backend, detector, frame):
    play(tracker, frame, 2)
    detector.rois = []
    backend.uncertainty = np.full(98, np.nan)
    assert tracker.update(frame, 1.0) == []


def test_face_that_leaves_the_frame_is_lost(tracker, backend, detector, frame):
    play(tracker, frame, 1)
    detector.rois = []
    backend.shift = np.array([0.15, 0.0])
    centers = []
    while faces := tracker.update(frame, len(centers) / 30):
        centers.append(faces[0].landmarks.mean(axis=0)[0])
    assert 280 < max(centers) < 325


def test_face_is_lost_when_its_roi_is_too_small(tracker, backend, detector, frame, spec):
    play(tracker, frame, 1)
    detector.rois = []
    backend.landmarks = (spec.mean_shape - 0.5) * 0.6 + 0.5
    sizes = []
    while faces := tracker.update(frame, len(sizes) / 30):
        sizes.append(faces[0].roi.size)
    assert 8 <= min(sizes) < 20


def test_close_face_larger_than_the_frame_is_kept():
    landmarks = np.array([[-40.0, -20], [360, -20], [-40, 260], [360, 260]])
    assert is_plausible(Rectangle.around(landmarks, 0.0), ROI.from_landmarks(landmarks), (320, 240))


def test_smoothing_reduces_jitter_and_0_returns_raw_results(backend, detector, frame):
    raw = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0))
    calm = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.8))
    rng = np.random.default_rng(0)
    jitter = {"raw": [], "calm": []}
    for i in range(40):
        backend.landmarks = backend.spec.mean_shape + rng.normal(0, 0.002, (98, 2))
        backend.pose = rng.normal(0, 0.02, 3)
        (a,), (b,) = raw.update(frame, i / 30), calm.update(frame, i / 30)
        expected = a.roi.to_frame(backend.landmarks.astype(np.float32))
        assert np.allclose(a.landmarks, expected)
        assert b.roi.cx == pytest.approx(a.roi.cx), "the crop follows the raw landmarks"
        jitter["raw"].append([*a.landmarks.ravel(), *a.pose.angles])
        jitter["calm"].append([*b.landmarks.ravel(), *b.pose.angles])
    moves = {name: np.abs(np.diff(values, axis=0)).mean(axis=0) for name, values in jitter.items()}
    # The scripted landmarks know no frame, so their jitter lets the crop wander, which is motion and not jitter.
    assert moves["calm"][:196].mean() < 0.7 * moves["raw"][:196].mean()
    assert (moves["calm"][196:] < 0.3 * moves["raw"][196:]).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_update_accepts_timestamps_that_repeat_or_decrease(backend, detector, frame, smoothing):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=smoothing))
    for t in (10.0, 10.0, 3.0, -5.0, 1e9):
        (face,) = tracker.update(frame, t)
        assert np.isfinite(face.landmarks).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_update_rejects_timestamps_that_are_not_finite(tracker, frame, bad):
    with pytest.raises(ValueError, match="finite number of seconds"):
        tracker.update(frame, bad)


def test_pose_is_turned_into_the_cameras_frame(backend, detector, frame):
    camera = Intrinsics(250.0, 260.0, 150.0, 110.0)
    backend.pose = np.array([0.1, -0.3, 0.2])
    detector.rois = [ROI(260, 60, 90)]
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0, camera=camera))
    (face,) = tracker.update(frame, 0.0)
    in_crop = Rotation.from_euler("YXZ", (0.3, -0.1, 0.2)).as_matrix()
    assert np.allclose(face.pose.matrix, crop_to_camera(face.roi, camera) @ in_crop, atol=1e-6)


def test_default_camera_follows_the_frames_size(backend, detector):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0))
    for width, height in ((320, 240), (640, 480)):
        tracker.reset()
        detector.rois = [ROI(width * 0.7, height / 2, height / 2)]
        (face,) = tracker.update(np.zeros((height, width, 3), np.uint8), 0.0)
        expected = crop_to_camera(face.roi, Intrinsics.from_fov(width, height, 60))
        assert np.allclose(face.pose.matrix, expected)


def test_crop_is_rgb(backend, detector):
    seen = []
    run = backend.run
    backend.run = lambda crop, points=None: seen.append(crop) or run(crop)
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[..., 0] = 255  # blue in OpenCV's order
    FaceTracker(TrackerOptions(model=backend, detector=detector)).update(frame, 0.0)
    assert seen[0][56, 56].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (7, 2000, 3), (240, 320), (240, 320, 4)])
def test_update_accepts_unusual_shapes(backend, shape):
    tracker = FaceTracker(TrackerOptions(model=backend))
    assert tracker.update(np.zeros(shape, np.uint8), 0.0) == []


def test_roi_of_one_pixel_has_no_face(backend, detector):
    detector.rois = [ROI(0, 0, 0.5), ROI(0, 0, 100)]
    assert (
        FaceTracker(TrackerOptions(model=backend, detector=detector)).update(np.zeros((1, 1, 3), np.uint8), 0.0) == []
    )


def test_update_rejects_frames_that_are_not_arrays(tracker):
    with pytest.raises(FrameError, match="NoneType"):
        tracker.update(None, 0.0)


@pytest.mark.parametrize("bad", [-0.1, 1.5, math.nan])
def test_smoothing_must_lie_between_0_and_1(backend, tracker, bad):
    with pytest.raises(ValueError, match=r"smoothing must lie in \[0, 1\]"):
        FaceTracker(TrackerOptions(model=backend, smoothing=bad))
    with pytest.raises(ValueError, match=r"smoothing must lie in \[0, 1\]"):
        tracker.smoothing = bad
    assert tracker.smoothing == 0


def test_smoothing_may_change_while_a_face_is_tracked(tracker, backend, frame):
    def step(number):
        backend.pose = np.array([0.0, 0.2 * (number % 2), 0.0])
        (face,) = tracker.update(frame, number / 30)
        return face

    yaws = {strength: [] for strength in (0.0, 1.0)}
    for number in range(60):
        tracker.smoothing = float(20 <= number < 40)
        face = step(number)
        yaws[tracker.smoothing].append(face.pose.angles[1])
    assert face.id == 0
    assert face.age == 59
    # The first smoothed one begins at what it sees.
    assert np.ptp(yaws[1.0][1:]) < 0.5 * np.ptp(yaws[0.0])


def test_model_file_is_loaded(write_onnx, detector, frame):
    tracker = FaceTracker(TrackerOptions(model=write_onnx(), detector=detector))
    assert tracker.spec.name == "tiny"
    (face,) = tracker.update(frame, 0.0)
    assert face.confidence == pytest.approx(200 / 255, abs=1e-4)


def test_the_number_of_faces_must_be_positive(backend, detector):
    with pytest.raises(ValueError, match="max_faces must be a whole number from 1, got 0"):
        FaceTracker(TrackerOptions(model=backend, detector=detector, max_faces=0))


def test_a_face_off_the_axis_has_its_direction(tracker, detector, frame):
    detector.rois = [ROI(250, 60, 60)]
    ((face,),) = play(tracker, frame, 1)
    camera = Intrinsics.from_fov(320, 240)
    middle = ROI.from_landmarks(face.landmarks)
    expected = np.array([(middle.cx - camera.cx) / camera.fx, (middle.cy - camera.cy) / camera.fy, 1])
    assert np.allclose(face.direction, expected / np.linalg.norm(expected), atol=1e-6)


def test_update_accepts_frames_up_to_the_maximum_side(tracker, detector):
    detector.rois = [ROI(MAX_SIDE - 60, 60, 90)]
    assert len(tracker.update(np.zeros((120, MAX_SIDE), np.uint8), 0.0)) == 1
    with pytest.raises(FrameError, match="must not exceed"):
        tracker.update(np.zeros((120, MAX_SIDE + 1), np.uint8), 0.0)


def with_points(backend, lips, **spec):
    """Return a backend that finds the lips at their template points, moved by `backend.slip` crop widths."""
    count = spec.get("prompts", len(lips.points))
    outputs = standard_outputs(98, points=count)
    backend.spec = dataclasses.replace(backend.spec, outputs=outputs, **spec)
    backend.slip, plain = 0.0, backend.run

    def run(crop, query_points=None):
        points = lips.points if query_points is None else query_points
        found = (points + backend.slip).astype(np.float32)
        return plain(crop) | {"points": found, "points_uncertainty": np.full(len(points), 0.05, np.float32)}

    backend.run = run
    return backend


def test_a_template_of_the_model_is_found_in_pixels(backend, detector, frame, lips):
    tracker = FaceTracker(
        TrackerOptions(model=with_points(backend, lips, template=lips), detector=detector, smoothing=0.0)
    )
    assert tracker.template is lips
    for (face,) in play(tracker, frame, 3):
        assert np.allclose(face.points, face.roi.to_frame(lips.points), atol=1e-4)
        assert np.allclose(face.points_uncertainty, 0.05 * face.roi.size)
    FaceTracker(TrackerOptions(model=backend, detector=detector, template=Template("lips", lips.points)))


def test_template_sets_the_query_points(backend, detector, frame, lips):
    backend = with_points(backend, lips, prompts=5)
    eyes = Template("eyes", np.array([[0.3, 0.4], [0.7, 0.4]]))
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0, template=eyes))
    (face,) = tracker.update(frame, 0.0)
    assert tracker.template is eyes
    assert np.allclose(face.points, face.roi.to_frame(eyes.points), atol=1e-4)


def test_points_are_smoothed_on_their_own(backend, detector, frame, lips):
    tracker = FaceTracker(
        TrackerOptions(model=with_points(backend, lips, template=lips), detector=detector, smoothing=0.5)
    )
    play(tracker, frame, 3)
    backend.slip = 0.02
    (face,) = tracker.update(frame, 3 / 30)
    moved = (face.points - face.roi.to_frame(lips.points)) / face.roi.size
    assert (moved > 0.002).all()
    assert (moved < 0.018).all()
    assert np.allclose(face.landmarks, face.roi.to_frame(backend.spec.mean_shape), atol=1e-3)
    tracker.smoothing = 0.0
    (face,) = tracker.update(frame, 4 / 30)
    assert np.allclose(face.points, face.roi.to_frame(lips.points + 0.02), atol=1e-3)


def test_landmark_model_has_no_points(tracker, frame):
    (face,) = tracker.update(frame, 0.0)
    assert tracker.template is face.points is face.points_uncertainty is None


def test_tracker_rejects_a_template_that_the_model_cannot_find(backend, detector, lips):
    with pytest.raises(TemplateError, match="'tiny' finds landmarks only, got template 'lips'"):
        FaceTracker(TrackerOptions(model=backend, detector=detector, template=lips))
    eyes = Template("eyes", lips.points)
    with pytest.raises(TemplateError, match="'tiny' finds template 'lips', got template 'eyes'"):
        FaceTracker(TrackerOptions(model=with_points(backend, lips, template=lips), detector=detector, template=eyes))
    with pytest.raises(TemplateError, match="got no template, expected one with 1 to 5 points"):
        FaceTracker(TrackerOptions(model=with_points(backend, lips, template=None, prompts=5), detector=detector))


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_a_result_is_the_callers_own(backend, detector, frame, smoothing, lips):
    backend = with_points(backend, lips, template=lips)
    own, other = (FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=smoothing)) for _ in range(2))
    for number in range(6):
        (face,), (same,) = (tracker.update(frame, number / 30) for tracker in (own, other))
        for name in ("landmarks", "uncertainty", "direction", "points", "points_uncertainty"):
            assert np.array_equal(getattr(face, name), getattr(same, name)), name
            values = getattr(face, name)
            values *= 2
        assert np.array_equal(face.pose.matrix, same.pose.matrix)
        face.pose.matrix[:] = 0


def test_faces_compare_by_identity(tracker, frame):
    (first,), (second,) = (tracker.update(frame, number / 30) for number in range(2))
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2


def test_detect_finds_everything_and_leaves_the_stream_alone(backend, detector, frame):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.5))
    (tracked,) = tracker.update(frame, 0.0)
    detector.rois = [ROI(80, 120, 90), ROI(82, 121, 90), ROI(240, 120, 90)]
    backend.shift = np.array([0.01, 0.0])
    answers = [tracker.detect(frame) for _ in range(3)]
    for faces in answers:
        assert [face.id for face in faces] == [0, 1]
        assert {face.state for face in faces} == {TrackState.DETECTED}
        for face, first in zip(faces, answers[0], strict=True):
            assert np.array_equal(face.landmarks, first.landmarks)
    again = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.5))
    backend.shift = np.zeros(2)
    detector.rois = [ROI(160.0, 120.0, 90.0)]
    again.update(frame, 0.0)
    (one,), (other,) = tracker.update(frame, 0.1), again.update(frame, 0.1)
    assert (one.id, one.age) == (tracked.id, 1)
    assert np.array_equal(one.landmarks, other.landmarks), "the filters did not see the picture"


def test_without_a_timestamp_the_clock_counts(tracker, frame, monkeypatch):
    now = iter([10.0, 10.5, 13.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    (face,) = tracker.update(frame)
    assert tracker.update(frame)[0].id == face.id
    assert tracker._tracks[0].motion._time == 10.5


def lose(tracker, backend, frame, start):
    """Lose every face; return the time of the next frame."""
    backend.confidence = 0.0
    assert tracker.update(frame, start) == []
    backend.confidence = 0.9
    return start


@pytest.mark.parametrize(("seconds", "gap", "keeps"), [(2.0, 1.9, True), (2.0, 2.3, False), (0.0, 0.2, False)])
def test_whoever_appears_where_a_face_was_lost_takes_its_id_for_a_while(backend, detector, frame, seconds, gap, keeps):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, reid_seconds=seconds))
    ((face,), *_) = play(tracker, frame, PROBATION_FRAMES)
    lost = lose(tracker, backend, frame, PROBATION_FRAMES / 30)
    tracker._frames_since_search = DETECTION_INTERVAL
    (found,) = tracker.update(frame, lost + gap)
    assert (found.id == face.id) == keeps


def test_options_name_the_refused_value(backend):
    for name, bad in {
        "max_faces": 1.5,
        "threads": 0,
        "smoothing": "high",
        "track_threshold": 1.0,
        "lost_threshold": -0.1,
        "uncertainty_threshold": 0.0,
        "detection_interval": 0,
        "reid_seconds": -1,
    }.items():
        with pytest.raises(ValueError, match=rf"{name} must .*got {bad!r}"):
            TrackerOptions(**{name: bad})


def test_thresholds_of_the_options_replace_the_models(backend, detector, frame):
    backend.confidence = 0.8
    for threshold, count in ((0.75, 1), (0.85, 0)):
        tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, track_threshold=threshold))
        assert len(tracker.update(frame, 0.0)) == count
    strict = TrackerOptions(model=backend, detector=detector, uncertainty_threshold=0.01)
    assert FaceTracker(strict).update(frame, 0.0) == []


def test_a_closed_tracker_says_so(backend, detector, frame):
    with FaceTracker(TrackerOptions(model=backend, detector=detector)) as tracker:
        assert tracker.update(frame, 0.0)
    with pytest.raises(ValueError, match="this tracker is closed"):
        tracker.update(frame, 0.1)


def test_results_name_their_parts(tracker, frame):
    (face,) = tracker.update(frame, 0.0)
    assert face.scheme is SCHEMES["wflw98"]
    x, y, width, height = face.bbox
    assert (x, y) == tuple(face.landmarks.min(axis=0))
    assert (x + width, y + height) == pytest.approx(tuple(face.landmarks.max(axis=0)))
    assert set(face.openings) == {"left_eye", "right_eye", "mouth"}
    assert face.expressions is face.gaze is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"camera": 60}, "camera must be a FieldOfView, Calibration, or Intrinsics, got 60"),
        ({"model": 5}, "model must be a file or a loaded backend, got 5"),
        ({"template": "t.json"}, r"template must be a Template, got 't.json': use Template\.read"),
        ({"detector": 3}, "detector must be a name or have a method `detect`, got 3"),
        ({"max_faces": True}, "max_faces must be a whole number from 1, got True"),
        (
            {"lost_threshold": 0.9, "track_threshold": 0.5},
            "lost_threshold must not exceed track_threshold, got 0.9",
        ),
    ],
)
def test_options_of_another_type_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        TrackerOptions(**options)


def test_options_may_be_numpy_scalars_and_names(backend):
    given = {"smoothing": np.float32(0.4), "max_faces": np.int64(2), "track_threshold": np.float32(0.6)}
    tracker = FaceTracker(TrackerOptions(model=backend, detector="cascade", **given))
    assert tracker.update(np.zeros((60, 80, 3), np.uint8)) == []
    with pytest.raises(TypeError, match=r"takes TrackerOptions, got 'm\.tflite': give TrackerOptions\(model=…\)"):
        FaceTracker("m.tflite")


@pytest.mark.parametrize("found", [None, [(1, 2, 3, 4)], np.zeros((2, 4))])
def test_a_detector_that_returns_no_rois_is_named(backend, detector, frame, found):
    detector.detect = lambda frame: found
    with pytest.raises(DetectorError, match="a detector must return a list of ROI, got"):
        FaceTracker(TrackerOptions(model=backend, detector=detector)).update(frame, 0.0)


def test_a_closed_tracker_refuses_everything(backend, detector, frame):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector))
    tracker.update(frame, 0.0)
    tracker.close()
    for use in (tracker.update, tracker.detect, lambda _: tracker.__enter__()):
        with pytest.raises(ValueError, match="this tracker is closed"):
            use(frame)
    assert tracker.stats.frames == 1


def test_a_frame_that_was_not_read_is_named(tracker):
    with pytest.raises(FrameError, match="got NoneType: was the file read"):
        tracker.detect(None)


def with_expressions(backend):
    """Return a backend that also gives `backend.expressions` and `backend.gaze`."""
    backend.spec = dataclasses.replace(backend.spec, outputs=standard_outputs(98, with_expressions=True))
    backend.expressions, backend.gaze, plain = np.zeros(52), np.zeros((2, 2)), backend.run

    def run(crop, query_points=None):
        found = {"expressions": backend.expressions, "gaze": backend.gaze}
        return plain(crop) | {name: value.astype(np.float32) for name, value in found.items()}

    backend.run = run
    return backend


def test_expressions_have_arkits_names_and_gaze_is_in_the_cameras_frame(backend, detector, frame):
    backend = with_expressions(backend)
    backend.expressions = np.arange(52) / 51
    backend.gaze = np.array([[0.2, 0.1], [-0.1, 0.3]])
    backend.pose = np.array([0.1, 0.2, 0.0])
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.0))
    (face,) = tracker.update(frame, 0.0)
    assert list(face.expressions) == list(EXPRESSIONS)
    assert list(face.expressions.values()) == pytest.approx((np.arange(52) / 51).tolist(), abs=1e-6)
    # An eye that looks along the head does so in any frame: gaze turns with the pose.
    backend.gaze = np.array([[0.2, 0.1], [0.2, 0.1]])
    (face,) = tracker.update(frame, 0.1)
    pitch, yaw, _ = face.pose.angles
    assert np.allclose(face.gaze, [[yaw, pitch]] * 2, atol=1e-6)
    face.gaze[:] = 9
    assert np.abs(tracker.update(frame, 0.2)[0].gaze).max() < 1


def test_expressions_and_gaze_are_smoothed(backend, detector, frame):
    backend, rng = with_expressions(backend), np.random.default_rng(0)
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=0.8))
    raw, smooth = [], []
    for i in range(60):
        backend.expressions = 0.5 + rng.normal(0, 0.05, 52).clip(-0.4, 0.4)
        backend.gaze = rng.normal(0, 0.05, (2, 2))
        (face,) = tracker.update(frame, i / 30)
        raw.append([*backend.expressions, *backend.gaze.ravel()])
        smooth.append([*face.expressions.values(), *face.gaze.ravel()])
    flicker = [np.abs(np.diff(np.array(rows)[10:], axis=0)).mean(axis=0) for rows in (raw, smooth)]
    assert (flicker[1] < 0.5 * flicker[0]).all()


@pytest.mark.parametrize("max_faces", [1, 2])
def test_a_resting_face_is_subtracted(backend, detector, frame, max_faces):
    backend = with_expressions(backend)
    backend.expressions = np.full(52, 0.25)
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, max_faces=max_faces))
    tracker.calibrate_neutral(0.5)
    for i in range(6):
        assert tracker.calibrating
        (face,) = tracker.update(frame, i / 10)
    assert not tracker.calibrating
    assert max(face.expressions.values()) == 0.0
    backend.expressions = np.full(52, 0.625)
    for i in range(6, 30):
        (face,) = tracker.update(frame, i / 10)
    assert face.expressions["jawOpen"] == pytest.approx(0.5, abs=0.01)
    # Of several faces each has its own; in a stream of one it holds for whoever is there.
    backend.confidence = 0.1
    assert not tracker.update(frame, 3.0)
    backend.confidence, detector.rois = 0.9, [ROI(160.0, 120.0, 90.0)]
    found = [face for i in range(10) for face in tracker.update(frame, 30.0 + i)]
    assert found[-1].id == 1
    assert found[-1].expressions["jawOpen"] == pytest.approx(0.5 if max_faces == 1 else 0.625, abs=0.01)
    tracker.reset()
    (face,) = tracker.update(frame, 50.0)
    assert face.expressions["jawOpen"] == pytest.approx(0.625)


def test_a_model_without_expressions_cannot_be_calibrated(tracker):
    with pytest.raises(ValueError, match="gives no expressions to calibrate"):
        tracker.calibrate_neutral()
