import numpy as np
import pytest

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER, compute_mean_shape
from atpn.slpt.batches import MAX_SHEAR, ShearedFaces, sheared
from atpn.train.config import Recipe

RECIPE = Recipe(samples=None, batch_size=12, jitter=NO_JITTER, augment=NO_AUGMENT)


@pytest.mark.parametrize("amount", [0.2, -0.13, 0.0])
def test_landmarks_stay_on_what_they_mark(amount):
    image, landmarks = np.zeros((64, 64, 3), np.uint8), np.array([[20, 12], [30, 31], [41, 50]])
    for x, y in landmarks:
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
    moved, points = sheared(image, ((landmarks + 0.5) / 64).astype(np.float32), amount)
    assert moved.shape == image.shape
    assert points.dtype == np.float32
    for (x, y), point in zip(landmarks, points * 64 - 0.5, strict=True):
        rows, columns = np.mgrid[y - 1 : y + 2, 0:64]
        weight = moved[y - 1 : y + 2, :, 0].astype(float)
        assert (weight * columns).sum() / weight.sum() == pytest.approx(point[0], abs=0.15)
        assert (weight * rows).sum() / weight.sum() == pytest.approx(point[1], abs=0.15)
        assert point[0] == pytest.approx(x + amount * (y - 31.5), abs=1e-4)


def test_a_part_of_the_crops_is_sheared(store):
    shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    options = store, store.faces, None, shape, RECIPE, 32, 0
    plain, some = (ShearedFaces(*options, shear_prob=prob) for prob in (0.0, 0.5))
    before, after = (next(iter(batches)) for batches in (plain, some))
    assert before["image"].shape == after["image"].shape == (12, 32, 32, 3)
    moved = (before["landmarks"] - after["landmarks"]).abs().amax(dim=(1, 2)).numpy()
    assert 0 < (moved > 1e-6).sum() < 12
    assert moved.max() <= MAX_SHEAR * 0.5 + 1e-6
