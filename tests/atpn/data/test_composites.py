import cv2
import numpy as np
import pytest

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import CompositeConfig, Compositor
from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from edge_runtime.detector.network import PAD_VALUE
from edge_runtime.geometry import ROI, upright_roll

PLAIN = {"augment": NO_AUGMENT, "distractors": (0, 1), "bars_prob": 0.0, "quarter_turn_prob": 0.0, "turned_prob": 0.0}
PLAIN |= {"texture_prob": 0.0, "gathering_prob": 0.0}


@pytest.fixture(scope="module")
def store(face_shards):
    return SampleStore.read(face_shards)


def composer(store, **options):
    return Compositor(store, store.faces, store.backgrounds, CompositeConfig(**(PLAIN | options)))


@pytest.fixture(scope="module")
def red_faces(face_shards):
    """The same faces as red discs, drawn where their landmarks' regions are: what is red should be labeled."""
    store = SampleStore.read(face_shards)
    plain = np.zeros((160, 160, 3), np.uint8)
    y, x = np.mgrid[:160, :160]
    mean = compute_mean_shape(store.landmarks[store.faces], store.scheme)

    def image(index):
        painted = plain.copy()
        if index in set(store.faces):
            points = store.landmarks[index]
            face = ROI.from_landmarks(points, upright_roll(points, mean))
            painted[np.hypot(x - face.cx, y - face.cy) <= face.size / 3] = (255, 0, 0)
        return painted

    store.image = image
    return store


@pytest.mark.parametrize("kind", [{"portrait_prob": 1.0}, {"portrait_prob": 0.0, "mosaic_prob": 1.0}, {}])
def test_every_region_frames_a_face_and_every_face_has_one(red_faces, kind):
    maker = composer(red_faces, roll=0.0, **kind)
    seen = 0
    for number in range(12):
        made = maker.compose(192, np.random.default_rng(number))
        red = made.image[..., 0] > 128
        for (cx, cy, size, _), required in zip(made.regions, made.required, strict=True):
            # The landmarks' longer extent is two thirds of the region, which the crop rule widens by a quarter a side.
            radius = size / 3 * 192
            x, y = cx * 192 - 0.5, cy * 192 - 0.5
            disc = np.hypot(np.arange(192)[None] - x, np.arange(192)[:, None] - y) <= 0.8 * radius
            if required and disc.sum() > 20:
                assert red[disc].mean() > 0.8, number
                seen += 1
            red &= np.hypot(np.arange(192)[None] - x, np.arange(192)[:, None] - y) > radius + 2
        assert red.sum() <= 4, f"image {number} shows a face that no region names"
    assert seen >= 8


def test_images_without_people_have_no_regions(store):
    made = composer(store, portrait_prob=0.0, mosaic_prob=0.0, empty_prob=1.0).compose(96, np.random.default_rng(0))
    assert made.regions.shape == (0, 4)
    assert made.required.shape == (0,)


def test_small_and_cut_faces_need_not_be_found(store):
    maker = composer(store, portrait_prob=0.0, mosaic_prob=0.0, empty_prob=0.0, size=(0.02, 0.7), min_size=0.1)
    regions, required = [], []
    for number in range(30):
        made = maker.compose(128, np.random.default_rng(number))
        regions.append(made.regions)
        required.append(made.required)
    regions, required = np.vstack(regions), np.concatenate(required)
    assert not required[regions[:, 2] < 0.1].any()
    inside = np.minimum(regions[:, :2] + regions[:, 2:3] / 2, 1) - np.maximum(regions[:, :2] - regions[:, 2:3] / 2, 0)
    share = (inside / regions[:, 2:3]).prod(axis=1)
    assert not required[share < 0.6].any()
    assert required[(share > 0.99) & (regions[:, 2] > 0.11)].mean() > 0.9


def test_bars_leave_a_wide_or_tall_image_and_cut_faces_off(store):
    maker = composer(store, bars_prob=1.0, min_extent=0.5, portrait_prob=0.0, mosaic_prob=1.0, tiles=(4, 4))
    shapes = set()
    for number in range(20):
        made = maker.compose(96, np.random.default_rng(number))
        gray = (made.image == PAD_VALUE).all(axis=2)
        rows, columns = np.flatnonzero(~gray.all(axis=1)), np.flatnonzero(~gray.all(axis=0))
        shapes.add((len(rows) < 96) - (len(columns) < 96))
        low, high = np.array([columns[0], rows[0]]) / 96, np.array([columns[-1] + 1, rows[-1] + 1]) / 96
        inside = np.minimum(made.regions[:, :2] + made.regions[:, 2:3] / 2, high) - np.maximum(
            made.regions[:, :2] - made.regions[:, 2:3] / 2, low
        )
        share = (np.clip(inside, 0, None) / made.regions[:, 2:3]).prod(axis=1)
        assert not made.required[share < 0.55].any()
        assert (share > 0).all()
    assert {-1, 1} <= shapes


def test_the_same_generator_makes_the_same_image(store):
    first, second = (composer(store).compose(96, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.regions, second.regions)


def test_faces_without_backgrounds_are_refused(store):
    with pytest.raises(ValueError, match="faces and backgrounds, got 24 and 0"):
        Compositor(store, store.faces, np.array([], int), CompositeConfig())


@pytest.mark.parametrize("options", [{"turned_prob": 1.0}, {"quarter_turn_prob": 1.0}, {"roll": 80.0}])
def test_regions_have_the_roll_of_their_faces(store, options):
    """Two marks drawn into each face, at its mean brows and chin, say which way is up."""
    marks = {"up": (255, 0, 0), "down": (0, 0, 255)}

    def image(index):
        painted = np.zeros((160, 160, 3), np.uint8)
        if index in set(store.faces):
            face = ROI.from_landmarks(store.landmarks[index], upright_roll(store.landmarks[index], mean))
            for y, name in ((0.25, "up"), (0.75, "down")):
                center = face.to_frame(np.array([0.5, y]))
                cv2.circle(painted, tuple(np.rint(center).astype(int).tolist()), round(face.size / 8), marks[name], -1)
        return painted

    mean = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    plain, store.image = store.image, image
    try:
        maker = composer(store, portrait_prob=1.0, portrait_size=(0.4, 0.6), **options)
        rolls = []
        for number in range(20):
            made = maker.compose(192, np.random.default_rng(number))
            red, blue = (made.image[..., channel] > 128 for channel in (0, 2))
            for (x, y, size, roll), required in zip(made.regions, made.required, strict=True):
                face = ROI(x * 192 - 0.5, y * 192 - 0.5, size * 192, roll)
                for mask, at in ((red, 0.25), (blue, 0.75)):
                    column, row = np.rint(face.to_frame(np.array([0.5, at]))).astype(int)
                    if required and 0 <= column < 192 and 0 <= row < 192:
                        assert mask[row, column], number
                rolls.append(roll)
    finally:
        store.image = plain
    assert np.ptp(rolls) > 2


def test_textures_replace_backgrounds_and_repeat(store):
    maker = composer(store, portrait_prob=0.0, mosaic_prob=0.0, empty_prob=1.0, texture_prob=1.0)
    first, second = (maker.compose(96, np.random.default_rng(3)).image for _ in range(2))
    other = composer(store, portrait_prob=0.0, mosaic_prob=0.0, empty_prob=1.0, texture_prob=1.0)
    assert np.array_equal(first, second)
    assert np.array_equal(first, other.compose(96, np.random.default_rng(3)).image)
    assert first.std() > 0
