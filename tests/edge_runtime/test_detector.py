import cv2
import numpy as np
import pytest

from edge_runtime.detector import FRONTAL_TO_LANDMARKS, CascadeDetector, roi_from_cascade_box
from edge_runtime.errors import DetectorError


def cartoon_face(width: int, height: int, centre: tuple[int, int], size: int) -> np.ndarray:
    """A frontal face of dark features on a light oval, enough for a cascade; `size` is the oval's width."""
    image = np.full((height, width, 3), 90, np.uint8)
    x, y = centre

    def oval(dx: float, dy: float, rx: float, ry: float, grey: int) -> None:
        at = (round(x + dx * size), round(y + dy * size))
        cv2.ellipse(image, at, (round(rx * size), round(ry * size)), 0, 0, 360, (grey,) * 3, cv2.FILLED)

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
    centre = (round(width * 0.55), round(height * 0.45))
    rois = CascadeDetector().detect(cartoon_face(width, height, centre, size))
    assert rois, "no candidate"
    best = rois[0]
    assert np.hypot(best.cx - centre[0], best.cy - centre[1]) < 0.3 * size
    assert 0.9 * size < best.size < 2.2 * size


def test_candidates_are_distinct():
    rois = CascadeDetector().detect(cartoon_face(640, 480, (300, 240), 200))
    assert all(a.iou(b) < 0.3 for i, a in enumerate(rois) for b in rois[:i])


@pytest.mark.parametrize("shape", [(1, 1), (5, 2000), (480, 640)])
def test_nothing_is_found_in_nothing(shape):
    assert CascadeDetector().detect(np.zeros((*shape, 3), np.uint8)) == []


def test_box_becomes_the_rectangle_it_stands_for():
    # A box of pixels 100 to 199: its centre is 149.5.
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
