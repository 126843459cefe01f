import numpy as np
import pytest

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.evaluate.inference import Predictions
from atpn.evaluate.refusal import ACCEPTED, REFUSED, refusal_crops, refusal_report


@pytest.fixture(scope="module")
def crops(face_shards):
    store = SampleStore.read(face_shards)
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    return refusal_crops(store, store.faces[:6], mean_shape, 32)


def test_every_face_gives_a_crop_of_each_kind(crops, face_shards):
    assert tuple(crops) == (*ACCEPTED, *REFUSED)
    assert {images.shape for images in crops.values()} == {(6, 32, 32, 3)}
    store = SampleStore.read(face_shards)
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    again = refusal_crops(store, store.faces[:6], mean_shape, 32)
    for kind, images in crops.items():
        np.testing.assert_array_equal(images, again[kind])


class Answers:
    """A network that answers by the crop's first pixel."""

    def predict(self, images):
        confidence = images[:, 0, 0, 0] / 100
        return Predictions(None, None, None, confidence)


def test_the_report_counts_what_passes_the_threshold():
    def images(*levels):
        return np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)

    crops = {"tracked": images(90, 70), "moving": images(69, 99), "turned": images(71, 10), "background": images()}
    report = refusal_report(Answers(), crops)
    assert (report["crops"], report["tracked"], report["moving"], report["turned"]) == (2, 1.0, 0.5, 0.5)
    assert "background" not in report
    at = {point["threshold"]: point for point in report["curve"]}
    assert at[0.7]["passed"] == 0.75
    assert at[0.1] == {"threshold": 0.1, "passed": 1.0, "false_alarms": 1.0}
    assert at[0.95]["false_alarms"] == 0.0
