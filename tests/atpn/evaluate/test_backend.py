"""A network in PyTorch and one in a file answer evaluation in the same form."""

import dataclasses

import numpy as np
import pytest

from atpn.data.afw import photos_to_samples, read_afw
from atpn.evaluate.afw import evaluate_afw
from atpn.evaluate.backend import CheckpointBackend, FilePredictor
from atpn.evaluate.detectors import detect_rois
from atpn.evaluate.tracking import tracking_metrics
from atpn.model import load_checkpoint
from edge_runtime.backends import load_backend
from edge_runtime.errors import ModelFileError
from edge_runtime.geometry import ROI
from edge_runtime.spec import DetectorSpec, detector_outputs, standard_outputs


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


@pytest.mark.parametrize("name", ["landmarks", "uncertainty", "pose", "confidence"])
def test_results_that_are_no_numbers_are_refused(spec, ring, name):
    class Broken:
        def __init__(self):
            self.spec = spec
            self.runs = 0

        def run(self, crop):
            self.runs += 1
            results = {
                "landmarks": ring,
                "uncertainty": np.full(98, 0.01),
                "pose": np.zeros(3),
                "confidence": np.ones(1),
            }
            return results | ({name: np.full_like(results[name], np.nan)} if self.runs == 2 else {})

    with pytest.raises(ValueError, match=f"model 'tiny' gives {name} that are not finite for 1 of 3 crops"):
        FilePredictor(Broken()).predict(np.zeros((3, 112, 112, 3), np.uint8))


def test_a_file_without_heads_has_no_pose_and_no_confidence(spec, ring):
    class Bare:
        def __init__(self):
            self.spec = dataclasses.replace(spec, outputs=standard_outputs(98, with_heads=False))

        def run(self, crop):
            return {"landmarks": ring, "uncertainty": np.full(98, 0.01)}

    results = FilePredictor(Bare()).predict(np.zeros((2, 112, 112, 3), np.uint8))
    assert np.isnan(results.pose).all()
    assert tracking_metrics(results.confidence, np.array([True, False]))["missed"] == 1.0


def test_a_detector_does_not_predict_landmarks():
    class Finder:
        spec = DetectorSpec(name="finder", outputs=detector_outputs(4))

    with pytest.raises(ModelFileError, match="'finder' is a face detector"):
        FilePredictor(Finder())


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
