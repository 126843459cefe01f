import numpy as np

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.tracking import tracking_crops


def test_measured_tracking_crops_are_upright_and_unchanged(face_shards):
    store = SampleStore.read(face_shards)
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    images, is_face = tracking_crops(store, store.faces, np.array([], int), mean_shape, 32)
    assert (is_face.sum(), (~is_face).sum()) == (24, 240)
    # Without backgrounds the scenes are the images themselves: each face is near its crop by the rule.
    rule = validation_batch(store, store.faces, mean_shape, 32)["image"].numpy()
    difference = np.abs(images[is_face].astype(float) - rule).mean(axis=(1, 2, 3))
    shuffled = np.abs(images[is_face].astype(float) - np.roll(rule, 1, axis=0)).mean(axis=(1, 2, 3))
    assert (difference < shuffled).all()
