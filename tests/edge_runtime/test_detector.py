import cv2
import numpy as np
import pytest

from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.detector import (
    CascadeDetector,
    MediaPipeDetector,
    NetworkDetector,
    decode_detections,
    default_detector,
    mediapipe,
    open_detector,
    search,
)
from edge_runtime.detector.cascades import FRONTAL_TO_LANDMARKS, roi_from_cascade_box
from edge_runtime.detector.network import PAD_VALUE, TILES_PER_SEARCH, letterbox, tiles
from edge_runtime.errors import DetectorError, ModelFileError
from edge_runtime.spec import DetectorSpec, detector_outputs


def cartoon_face(width: int, height: int, center: tuple[int, int], size: int) -> np.ndarray:
    """A frontal face of dark features on a light oval, enough for a cascade; `size` is the oval's width."""
    image = np.full((height, width, 3), 90, np.uint8)
    x, y = center

    def oval(dx: float, dy: float, rx: float, ry: float, gray: int) -> None:
        at = (round(x + dx * size), round(y + dy * size))
        cv2.ellipse(image, at, (round(rx * size), round(ry * size)), 0, 0, 360, (gray,) * 3, cv2.FILLED)

    oval(0, 0, 0.5, 0.68, 215)
    for side in (-1, 1):
        oval(side * 0.22, -0.26, 0.13, 0.03, 60)
        oval(side * 0.22, -0.12, 0.12, 0.06, 110)
        oval(side * 0.22, -0.12, 0.05, 0.05, 30)
        oval(side * 0.06, 0.16, 0.03, 0.02, 90)
    oval(0, 0.04, 0.05, 0.14, 235)
    oval(0, 0.34, 0.19, 0.04, 70)
    return cv2.GaussianBlur(image, (0, 0), size / 60)


@pytest.mark.parametrize(("width", "height", "size"), [(640, 480, 160), (1920, 1080, 400), (300, 400, 120)])
def test_a_drawn_face_is_found_where_it_is(width, height, size):
    center = (round(width * 0.55), round(height * 0.45))
    rois = CascadeDetector().detect(cartoon_face(width, height, center, size))
    assert rois, "no candidate"
    best = rois[0]
    assert np.hypot(best.cx - center[0], best.cy - center[1]) < 0.3 * size
    assert 0.9 * size < best.size < 2.2 * size


def test_candidates_are_distinct():
    rois = CascadeDetector().detect(cartoon_face(640, 480, (300, 240), 200))
    assert all(a.iou(b) < 0.3 for i, a in enumerate(rois) for b in rois[:i])


@pytest.mark.parametrize("shape", [(1, 1), (5, 2000), (480, 640)])
def test_detect_returns_nothing_in_an_empty_image(shape):
    assert CascadeDetector().detect(np.zeros((*shape, 3), np.uint8)) == []


def test_box_becomes_the_rectangle_it_stands_for():
    # A box of pixels 100 to 199: its center is 149.5.
    roi = roi_from_cascade_box((100, 100, 100, 100), FRONTAL_TO_LANDMARKS)
    assert (roi.cx, roi.cy, roi.size) == pytest.approx((149.5, 149.5 + 16, 132))


def test_opencv_without_cascades_is_explained(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(DetectorError, match=r"no CascadeClassifier.*<5"):
        CascadeDetector()


def test_missing_cascade_file_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(DetectorError, match=r"haarcascade_frontalface_alt2\.xml is missing"):
        CascadeDetector()


@pytest.mark.parametrize("shape", [(100, 200), (200, 100), (48, 64), (96, 96), (1, 1), (3, 2000)])
def test_a_fitted_frame_lies_where_its_region_says(shape):
    height, width = shape
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image, square = letterbox(frame, 96)
    assert image.shape == (96, 96, 3)
    grid = (np.arange(96) + 0.5) / 96
    rows, columns = (np.flatnonzero(~(image == PAD_VALUE).all(axis=(1 - axis, 2))) for axis in (0, 1))
    # The frame's own pixels, and only those, lie inside it.
    xs, ys = (square.to_frame(np.column_stack([grid, grid]))[:, axis] for axis in (0, 1))
    assert xs[columns[0]] == pytest.approx(-0.5, abs=square.size / 96)
    assert xs[columns[-1]] == pytest.approx(width - 0.5, abs=square.size / 96)
    assert ys[rows[0]] == pytest.approx(-0.5, abs=square.size / 96)
    assert ys[rows[-1]] == pytest.approx(height - 0.5, abs=square.size / 96)


class SquareFinder:
    """A detector network that finds bright pixels: each cell's score is its brightness, its roi a tenth wide."""

    def __init__(self) -> None:
        grid = 24
        self.spec = DetectorSpec(name="squares", outputs=detector_outputs(grid), input_size=96, track_threshold=0.5)
        axis = (np.arange(grid) + 0.5) / grid
        self._rois = np.stack([*np.meshgrid(axis, axis), np.full((grid, grid), 0.1)], axis=-1).astype(np.float32)

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        scores = cv2.resize(crop[..., 0], (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return {"scores": scores, "rois": self._rois}


@pytest.mark.parametrize(("width", "height", "at"), [(480, 240, (360, 60)), (240, 480, (60, 360)), (96, 96, (50, 20))])
def test_found_regions_come_back_in_the_frames_pixels(spec, width, height, at):
    frame = np.zeros((height, width, 3), np.uint8)
    radius = max(width, height) // 24
    cv2.rectangle(frame, (at[0] - radius, at[1] - radius), (at[0] + radius, at[1] + radius), (255,) * 3, cv2.FILLED)
    (roi, *_) = NetworkDetector(SquareFinder()).detect(frame)
    cell = max(width, height) / 24
    assert (roi.cx, roi.cy) == pytest.approx(at, abs=cell)
    assert roi.size == pytest.approx(max(width, height) * 0.1)


def test_regions_are_peaks_and_distinct():
    scores, rois = np.zeros((6, 6), np.float32), np.zeros((6, 6, 3), np.float32)
    for row, column, score, size in ((1, 1, 0.9, 2.0), (1, 2, 0.8, 2.0), (1, 4, 0.7, 0.5), (4, 4, 0.6, 1.0)):
        scores[row, column], rois[row, column] = score, (column, row, size)
    rois[4, 4] = (1.1, 1.1, 2.0)  # same face as the best cell
    found = decode_detections(scores, rois, 0.5)
    assert [(round(score, 2), roi.cx, roi.cy) for score, roi in found] == [(0.9, 1.0, 1.0), (0.7, 4.0, 1.0)]
    assert decode_detections(scores, rois, 0.95) == []


@pytest.mark.parametrize("degrees", [0, 45, -90, 179])
def test_regions_have_the_roll_of_their_cell(degrees):
    scores, rois, roll = np.zeros((6, 6), np.float32), np.ones((6, 6, 3), np.float32), np.ones((6, 6, 2), np.float32)
    scores[2, 3] = 0.9
    roll[2, 3] = 0.7 * np.sin(np.radians(degrees)), 0.7 * np.cos(np.radians(degrees))
    ((_, roi),) = decode_detections(scores, rois, 0.5, roll)
    assert np.degrees(roi.roll) == pytest.approx(degrees, abs=1e-4)


def test_a_landmark_network_is_no_detector(backend):
    with pytest.raises(ModelFileError, match="outputs are landmarks, uncertainty, pose, confidence, expected scores"):
        NetworkDetector(backend)


def test_default_detector_is_the_shipped_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "detector_fp32.tflite").write_bytes(b"no model")
    assert isinstance(default_detector(), NetworkDetector)


def test_default_detector_is_the_cascades_without_an_engine(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edge_runtime.backends._is_installed", lambda name: False)
    assert isinstance(default_detector(), CascadeDetector)
    assert "pip install ai-edge-litert" in caplog.text
    # onnxruntime cannot run the shipped file.
    monkeypatch.setattr("edge_runtime.backends.__file__", str(tmp_path / "edge_runtime" / "backends.py"))
    monkeypatch.setattr("edge_runtime.backends._is_installed", lambda name: name == "onnxruntime")
    assert isinstance(default_detector(), CascadeDetector)


def test_default_detector_rejects_a_broken_installation(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_runtime.models.FOLDER", tmp_path)
    with pytest.raises(ModelFileError, match="reinstall the package"):
        default_detector()


def test_a_detector_is_no_landmark_network(detector):
    with pytest.raises(ValueError, match="is a face detector; pass it as `detector`"):
        FaceTracker(TrackerOptions(model=SquareFinder(), detector=detector))


@pytest.mark.parametrize(
    ("width", "height", "levels"), [(640, 480, 1), (640, 640, 1), (1920, 1080, 2), (1080, 1920, 2), (4000, 300, 2)]
)
def test_tiles_of_each_level_cover_the_frame_larger_ones_first(width, height, levels):
    parts = tiles(width, height, 192)
    sides = [side for _, _, side in parts]
    assert sides == sorted(sides, reverse=True)
    assert sorted(set(sides)) == [max(width, height) // 2**level for level in range(levels, 0, -1)]
    for level in set(sides):
        covered = np.zeros((height, width), int)
        for x, y, side in parts:
            if side == level:
                covered[y : y + side, x : x + side] += 1
        assert covered.min() >= 1
    assert len(parts) <= 36
    assert tiles(470, 300, 192) == []


@pytest.fixture
def small_face():
    """A large frame with a face two thirds of a cell of the whole frame wide, too faint to be found without tiles."""
    frame = np.zeros((600, 1000, 3), np.uint8)
    frame[40:66, 930:956] = 255
    return frame


def test_small_faces_of_a_large_frame_are_found_within_a_few_searches(small_face):
    finder = NetworkDetector(SquareFinder())
    searches = -(-len(tiles(1000, 600, 96)) // TILES_PER_SEARCH)
    found = [roi for turn in range(searches) for roi in search(finder, small_face, turn)]
    assert found
    assert all((roi.cx, roi.cy) == pytest.approx((943, 53), abs=25) for roi in found)
    assert not finder.scored(small_face, 0.5)


def test_a_picture_gives_the_same_answer_each_time(small_face):
    finder = NetworkDetector(SquareFinder())
    answers = [finder.detect(small_face) for _ in range(6)]
    assert all((roi.cx, roi.cy) == pytest.approx((943, 53), abs=25) for roi in answers[0])
    assert answers[0]
    assert all(answer == answers[0] for answer in answers)


def test_a_reset_starts_the_searches_over(backend, small_face):
    finder = SquareFinder()
    tracker = FaceTracker(TrackerOptions(model=backend, detector=NetworkDetector(finder)))
    answers = []
    for _ in range(3):
        tracker.reset()
        answers.append([len(tracker.update(small_face, number / 30)) for number in range(30)])
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][-1] == 1


def test_a_detector_without_searches_sees_everything_each_time(detector, frame):
    assert search(detector, frame, 3) == detector.detect(frame)


def test_detectors_by_name(tmp_path, tiny_tflite):
    assert isinstance(open_detector("cascade"), CascadeDetector)
    for name in ("yolo", "yunet", "mediapipe:", "cascade:file"):
        with pytest.raises(ValueError, match=f"unknown detector '{name}'; give one of ours, cascade, yunet:FILE"):
            open_detector(name)
    for kind in ("ours", "yunet", "mediapipe"):
        with pytest.raises(FileNotFoundError, match="absent"):
            open_detector(f"{kind}:{tmp_path / 'absent.tflite'}")
        with pytest.raises(ModelFileError, match=r"tiny\.tflite|'tiny'"):
            open_detector(f"{kind}:{tiny_tflite}")


def blazeface_outputs(eyes, mouth, score, anchor):
    """Return BlazeFace's outputs for one face whose points are input pixels; `anchor` is the index that finds it."""
    values, logits = np.zeros((896, 16), np.float32), np.full(896, -20, np.float32)
    row, column = divmod(anchor // 2, 16)
    center = (np.array([column, row]) + 0.5) * 8
    values[anchor, 4:] = (np.array([*eyes, mouth, mouth, *eyes]) - center).ravel()
    logits[anchor] = np.log(score / (1 - score))
    return values, logits


@pytest.mark.parametrize("turn", [0, 30, 90, 180, -100])
def test_blazefaces_points_become_an_upright_region(turn):
    # Adults' mean proportions in input pixels, 4 mm each: pupils 63 mm apart, the mouth 70 mm below, turned clockwise.
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    to_input = lambda x, y: (64 + (c * x - s * y) / 4, 64 + (s * x + c * y) / 4)  # noqa: E731
    eyes, mouth = (to_input(-31.5, 0), to_input(31.5, 0)), to_input(0, 70)
    frame = np.zeros((128, 256, 3), np.uint8)
    _, square = letterbox(frame, 128)
    ((score, roi),) = mediapipe.decode(*blazeface_outputs(eyes, mouth, 0.8, 272), square)
    assert score == pytest.approx(0.8, abs=1e-5)
    assert roi.size == pytest.approx(139 * 1.5 / 4 * 2, rel=0.01)
    assert np.degrees(roi.roll) == pytest.approx(turn, abs=0.1)
    x, y = to_input(0, 42)
    assert (roi.cx, roi.cy) == pytest.approx((2 * x + 0.5 - 1, 2 * y + 0.5 - 65), abs=0.6)


def test_blazefaces_weak_detections_are_not_decoded_for_the_loop():
    _, square = letterbox(np.zeros((128, 128, 3), np.uint8), 128)
    strong = blazeface_outputs(((20, 20), (40, 20)), (30, 42), 0.8, 0)
    weak = blazeface_outputs(((90, 90), (110, 90)), (100, 112), 0.3, 400)
    outputs = strong[0] + weak[0], np.maximum(strong[1], weak[1])
    assert [round(score, 3) for score, _ in mediapipe.decode(*outputs, square)] == [0.8, 0.3]
    assert [round(score, 3) for score, _ in mediapipe.decode(*outputs, square, 0.5)] == [0.8]


def test_another_file_is_no_blazeface(tiny_tflite):
    with pytest.raises(ModelFileError, match=r"takes \[ *1 +16 +16 +3\].*expected \(1, 128, 128, 3\)"):
        MediaPipeDetector(tiny_tflite)
