"""Outcomes of turned stills."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.detector.images import LabeledImage
from benchmarks.detector.turned import compute_metrics, crop_outcomes, outcomes, scheme_of
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


def labeled(*faces):
    return LabeledImage(np.zeros((300, 300, 3), np.uint8), list(faces))


def test_a_face_is_right_wrong_or_not_reported(frontal):
    image = labeled(frontal)
    # A fifth of the eyes' 60 px is 12 px.
    for shift, outcome in ((0, "right"), (11, "right"), (13, "wrong"), (45, "wrong"), (60, "nothing")):
        assert outcomes(image, WFLW_98, [frontal + np.array((shift, 0))], WFLW_98) == [outcome]
    assert outcomes(image, WFLW_98, [], WFLW_98) == ["nothing"]
    upside_down = 2 * frontal.mean(axis=0) - frontal
    assert outcomes(image, WFLW_98, [upside_down], WFLW_98) == ["wrong"]


def test_each_labeled_face_has_its_own_outcome(frontal):
    other, profile = frontal + np.array((150, 100)), frontal * (0.3, 1.0)
    assert outcomes(labeled(frontal, other, profile), WFLW_98, [other], WFLW_98) == ["nothing", "right"]


def test_reported_landmarks_are_converted_to_the_labels_scheme(frontal):
    labels = convert(frontal, WFLW_98, IBUG_68)
    assert outcomes(labeled(labels), IBUG_68, [frontal], WFLW_98) == ["right"]


class Network:
    """A tracking network that finds the labeled face in its crop."""

    def __init__(self, spec, confidence=0.9, sigma=0.01):
        self.spec, self._confidence, self._sigma = spec, confidence, sigma
        self.crops = []

    def run(self, crop):
        self.crops.append(crop)
        return {
            "landmarks": self.spec.mean_shape,
            "confidence": np.array([self._confidence], np.float32),
            "uncertainty": np.full(98, self._sigma, np.float32),
        }


def test_a_given_crop_is_run_once_and_must_pass_both_thresholds(spec):
    labels = spec.mean_shape * 100 + 50
    image = LabeledImage(np.full((200, 200, 3), (10, 20, 30), np.uint8), [labels])
    network = Network(spec)
    assert crop_outcomes([image], WFLW_98, network) == ["right"]
    assert len(network.crops) == 1
    assert network.crops[0][0, 0].tolist() == [30, 20, 10], "the network takes RGB"
    assert crop_outcomes([image], WFLW_98, Network(spec, confidence=0.1)) == ["nothing"]
    assert crop_outcomes([image], WFLW_98, Network(spec, sigma=1.0)) == ["nothing"]
    upside_down = LabeledImage(image.frame, [2 * labels.mean(axis=0) - labels])
    assert crop_outcomes([upside_down], WFLW_98, network) == ["wrong"]


def test_outcomes_are_counted_by_turn_and_over_all():
    found = {
        (m.row, m.column): m for m in compute_metrics("here", "ours", {0: ["right"] * 2, 180: ["wrong", "nothing"]})
    }
    assert (found["ours: right", "0°"].value, found["ours: right", "180°"].value) == (100, 0)
    assert (found["ours: right", "all"].value, found["ours: wrong", "all"].value) == (50, 25)
    assert (found["ours: right", "all"].lower_is_better, found["ours: wrong", "all"].lower_is_better) == (False, True)


def test_a_network_of_another_scheme_is_refused():
    network = SimpleNamespace(spec=SimpleNamespace(name="mine", scheme="mine7"))
    with pytest.raises(ValueError, match=r"'mine' predicts landmarks of 'mine7', expected one of .*--network"):
        scheme_of(network)
