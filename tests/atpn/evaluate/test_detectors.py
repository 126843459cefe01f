import numpy as np
import pytest

from atpn.data.afw import read_afw
from atpn.evaluate.afw import evaluate_afw
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.detectors import make_detector
from atpn.model import load_checkpoint
from edge_runtime.detector.detection import roi_of_face_box
from edge_runtime.geometry import ROI


def test_a_yunet_box_becomes_the_landmarks_square():
    # A box of 148 x 185 pixels: the landmarks' rectangle is its lowest 139 rows, and the box's full width is longer.
    roi = roi_of_face_box(100, 50, 148, 185)
    assert roi.size == pytest.approx(148 * 1.5)
    assert (roi.cx, roi.cy) == pytest.approx((173.5, 50 + 185 - 69.5 - 0.5))
    slim = roi_of_face_box(0, 0, 100, 185)
    assert slim.size == pytest.approx(139 * 1.5)


def test_detectors_by_name(tmp_path):
    assert make_detector("none") is None
    assert make_detector("cascade").detect(np.zeros((64, 64, 3), np.uint8)) == []
    with pytest.raises(ValueError, match="unknown detector 'yolo'"):
        make_detector("yolo")
    with pytest.raises(FileNotFoundError, match="no YuNet file"):
        make_detector(f"yunet:{tmp_path / 'none.onnx'}")
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="is not a YuNet model"):
        make_detector(f"yunet:{tmp_path / 'broken.onnx'}")


def test_detected_regions_are_compared_on_the_same_faces(tiny_weights, drawn_afw):
    photos = list(read_afw(drawn_afw))

    class OneOfThree:
        def __init__(self):
            self.calls = 0

        def detect(self, _):
            self.calls += 1
            return [ROI.from_landmarks(photos[1].faces[0])] if self.calls == 2 else []

    report = evaluate_afw(CheckpointBackend(load_checkpoint(tiny_weights)[0]), photos, OneOfThree(), heads=False)
    detector = report["detector"]
    assert (detector["found"], detector["missed"]) == (1, 2)
    # The region is the true one, so the same face fares the same, whatever the other two do.
    assert detector["same_faces"]["first"]["ratio"] == pytest.approx(1)
    assert detector["first"]["faces"] == 1
    assert report["first"]["faces"] == 3
    assert "tracking" not in report
