from dataclasses import replace

import numpy as np

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER, compute_mean_shape
from atpn.data.sample import Sample
from atpn.data.scenes import MINED, NegativeConfig, SceneConfig
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.data.tracking_groups import TrackingGroups

KINDS = ("background", "mined", "texture", "displaced", "cut")
ONLY = {kind: NegativeConfig(**{f"{name}_prob": float(name == kind) for name in KINDS}) for kind in KINDS}


def groups(store, kind, **changes):
    mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    made = TrackingGroups(
        store, store.backgrounds, mean_shape, 64, 10, NO_JITTER, SceneConfig(0.0, 0.0), NO_AUGMENT, ONLY[kind]
    )
    return replace(made, **changes)


def test_a_displaced_face_keeps_its_landmarks(draw_sample, tmp_path):
    """Each landmark of a black image is a white dot, at the label's place also in a mirrored crop."""
    sample = draw_sample(np.random.default_rng(0), angles=(0, 0, 0))
    left, right = 0, 32  # the jaw's ends, which swap names in a mirrored crop
    image = np.zeros_like(sample.image)
    (x, y), (far_x, far_y) = np.round(sample.landmarks[[left, right]]).astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3], image[far_y - 2 : far_y + 3, far_x - 2 : far_x + 3] = (255, 0, 0), (0, 255, 0)
    write_shard(tmp_path / "a.tar", [replace(sample, image=image)])
    made = groups(SampleStore.read(tmp_path), "displaced", jitter=replace(NO_JITTER, flip_prob=0.5))
    drawn = made.draw(0, np.random.default_rng(1))
    assert drawn[0].landmarks is None
    checked = {"plain": 0, "mirrored": 0}
    for crop in drawn[1:]:
        red, green = (crop.image[..., channel].astype(float) for channel in (0, 1))
        if min(red.max(), green.max()) < 150:
            continue  # outside the crop
        centers = [np.argwhere(c > 0.6 * c.max()).mean(axis=0)[::-1] for c in (red, green)]
        places = crop.landmarks[[left, right]] * 64 - 0.5
        errors = [np.abs(places - np.array(pair)).max() for pair in (centers, centers[::-1])]
        checked["plain" if errors[0] < errors[1] else "mirrored"] += 1
        assert min(errors) < 2.5
    assert min(checked.values()) >= 1


def test_each_kind_of_crop_shows_what_it_says(draw_sample, tmp_path):
    """The person is red noise, the background green noise: only a cut repeats pixels, only textures have blue."""
    rng = np.random.default_rng(2)
    sample = draw_sample(rng, angles=(0, 0, 0))
    noise = rng.integers(0, 256, sample.image.shape[:2])
    red, green = (np.where(np.arange(3) == channel, noise[..., None], 0).astype(np.uint8) for channel in (0, 1))
    write_shard(tmp_path / "a.tar", [replace(sample, image=red), Sample(green, key="background")])
    store = SampleStore.read(tmp_path)
    drawn = {kind: [crop.image.astype(float) for crop in groups(store, kind).draw(0, rng)] for kind in ONLY}

    def repeated(image):
        """Return the fraction of pixels like the one before, along the better of both axes."""
        return max((np.abs(np.diff(image[..., 0], axis=axis)) < 8).mean() for axis in (0, 1))

    for kind, images in drawn.items():
        face, others = images[0], np.array(images[1:])
        assert face[..., 0].mean() > 100
        assert face[..., 1:].mean() < 20  # what JPEG leaves
        means = others.mean(axis=(1, 2))
        if kind in ("background", "mined"):
            assert (means[:, 1] > 90).all()
        elif kind == "texture":
            assert (means[:, 2] > 10).sum() >= 5
        else:
            assert (means[:, 0] > 90).all()
            assert (np.median([repeated(image) for image in others]) > 0.45) == (kind == "cut")


def test_mined_crops_show_the_middle_of_mined_images_alone(draw_sample, tmp_path):
    rng = np.random.default_rng(3)
    sample = draw_sample(rng, angles=(0, 0, 0))
    plain, mined = (np.zeros((160, 160, 3), np.uint8) for _ in range(2))
    mined[60:100, 60:100] = (0, 0, 255)
    rows = [
        sample,
        Sample(plain, key="plain", attributes={"kind": "negative"}),
        Sample(mined, key="mined", attributes={"kind": MINED}),
    ]
    write_shard(tmp_path / "a.tar", rows)
    drawn = groups(SampleStore.read(tmp_path), "mined").draw(0, rng)[1:]
    # A crop is 100 px wide, give or take, so that the square takes a sixth of it.
    assert all(0.08 < (crop.image[..., 2] > 128).mean() < 0.32 for crop in drawn)


def test_without_landmarks_faces_are_neither_displaced_nor_cut(draw_sample, tmp_path):
    drawn = draw_sample(np.random.default_rng(0))
    box = (*map(float, drawn.landmarks.min(0)), *map(float, drawn.landmarks.max(0)))
    write_shard(tmp_path / "a.tar", [Sample(drawn.image, boxes={"tight": box}, key="a")])
    store = SampleStore.read(tmp_path, boxes_suffice=True)
    for kind in ("displaced", "cut"):
        made = TrackingGroups(
            store,
            store.backgrounds,
            np.zeros((98, 2)),
            64,
            10,
            NO_JITTER,
            SceneConfig(0.0, 0.0),
            NO_AUGMENT,
            ONLY[kind],
        )
        assert all(crop.landmarks is None for crop in made.draw(0, np.random.default_rng(0)))
