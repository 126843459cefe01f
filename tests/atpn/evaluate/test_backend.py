"""A network in PyTorch and one in a file answer evaluation in the same form."""

import numpy as np
import pytest

from atpn.data.afw import photos_to_samples, read_afw
from atpn.evaluate.afw import evaluate_afw
from atpn.evaluate.backend import CheckpointBackend, FilePredictor
from atpn.evaluate.detectors import detect_rois
from atpn.model import load_checkpoint
from edge_runtime.backends import load_backend
from edge_runtime.geometry import ROI


@pytest.fixture
def file(write_onnx):
    pytest.importorskip("onnxruntime")
    return FilePredictor(load_backend(write_onnx()))


def test_both_give_predictions_of_the_same_shapes(tiny_weights, file):
    network = CheckpointBackend(load_checkpoint(tiny_weights)[0])
    for each in (network, file):
        size = each.spec.input_size
        made = each.predict(np.full((3, size, size, 3), 51, np.uint8))
        assert [array.shape for array in made] == [(3, 98, 2), (3, 98), (3, 3), (3,)]


def test_a_file_answers_crop_by_crop(file):
    crops = np.stack([np.full((112, 112, 3), value, np.uint8) for value in (0, 51, 255)])
    assert file.predict(crops).confidence == pytest.approx([0, 0.2, 1], abs=1e-6)


def test_a_file_is_evaluated_as_a_checkpoint_is(file, drawn_afw):
    report = evaluate_afw(file, list(read_afw(drawn_afw)))
    assert report["faces"] == 3
    assert report["tracking"]["positives"] == 3
    assert report["uncertainty"]["scale"] > 0


def test_a_image_of_several_faces_is_searched_once(drawn_afw):
    (first, *_) = read_afw(drawn_afw)
    double = photos_to_samples([type(first)(first.image, (first.faces[0], first.faces[0] + 300), "two")])
    assert double[0].image is double[1].image
    np.testing.assert_array_equal(double[1].neighbors, first.faces[0][None])

    class Counting:
        calls = 0

        def detect(self, _):
            self.calls += 1
            return [ROI(0, 0, 5), ROI.from_landmarks(first.faces[0])]

    detector = Counting()
    found = detect_rois(double, detector)
    assert detector.calls == 1
    assert found == [ROI.from_landmarks(first.faces[0]), None]
