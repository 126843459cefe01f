import numpy as np
import pytest

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import GatheringConfig, Gatherings
from atpn.data.store import SampleStore
from edge_runtime.detector import PAD_VALUE

PLAIN = {"augment": NO_AUGMENT, "decoys": (0, 1), "bars_share": 0.0}


@pytest.fixture(scope="module")
def store(face_shards):
    return SampleStore.read(face_shards)


def gatherings(store, **options):
    return Gatherings(store, store.faces, store.backgrounds, GatheringConfig(**(PLAIN | options)))


@pytest.fixture(scope="module")
def red_faces(face_shards):
    """The same faces as red discs, drawn where their landmarks' regions are: what is red should be labelled."""
    store = SampleStore.read(face_shards)
    plain = np.zeros((160, 160, 3), np.uint8)
    y, x = np.mgrid[:160, :160]

    def image(index):
        painted = plain.copy()
        if index in set(store.faces):
            low, high = store.landmarks[index].min(axis=0), store.landmarks[index].max(axis=0)
            centre, radius = (low + high) / 2, (high - low).max() / 2
            painted[np.hypot(x - centre[0], y - centre[1]) <= radius] = (255, 0, 0)
        return painted

    store.image = image
    return store


@pytest.mark.parametrize("kind", [{"portrait_share": 1.0}, {"portrait_share": 0.0, "mosaic_share": 1.0}, {}])
def test_every_region_frames_a_face_and_every_face_has_one(red_faces, kind):
    maker = gatherings(red_faces, roll=0.0, **kind)
    seen = 0
    for number in range(12):
        made = maker.make(192, np.random.default_rng(number))
        red = made.image[..., 0] > 128
        for (cx, cy, size), wanted in zip(made.regions, made.wanted, strict=True):
            # The landmarks' longer extent is two thirds of the region, which the crop rule widens by a quarter a side.
            radius = size / 3 * 192
            x, y = cx * 192 - 0.5, cy * 192 - 0.5
            disc = np.hypot(np.arange(192)[None] - x, np.arange(192)[:, None] - y) <= 0.8 * radius
            if wanted and disc.sum() > 20:
                assert red[disc].mean() > 0.8, number
                seen += 1
            red &= np.hypot(np.arange(192)[None] - x, np.arange(192)[:, None] - y) > radius + 2
        assert red.sum() <= 4, f"picture {number} shows a face that no region names"
    assert seen >= 8


def test_pictures_without_people_have_no_regions(store):
    made = gatherings(store, portrait_share=0.0, mosaic_share=0.0, empty_share=1.0).make(96, np.random.default_rng(0))
    assert made.regions.shape == (0, 3)
    assert made.wanted.shape == (0,)


def test_small_and_cut_faces_need_not_be_found(store):
    maker = gatherings(store, portrait_share=0.0, mosaic_share=0.0, empty_share=0.0, size=(0.02, 0.7), smallest=0.1)
    regions, wanted = [], []
    for number in range(30):
        made = maker.make(128, np.random.default_rng(number))
        regions.append(made.regions)
        wanted.append(made.wanted)
    regions, wanted = np.vstack(regions), np.concatenate(wanted)
    assert not wanted[regions[:, 2] < 0.1].any()
    inside = np.minimum(regions[:, :2] + regions[:, 2:] / 2, 1) - np.maximum(regions[:, :2] - regions[:, 2:] / 2, 0)
    share = (inside / regions[:, 2:]).prod(axis=1)
    assert not wanted[share < 0.6].any()
    assert wanted[(share > 0.99) & (regions[:, 2] > 0.11)].mean() > 0.9


def test_bars_leave_a_wide_or_tall_picture_and_cut_faces_off(store):
    maker = gatherings(store, bars_share=1.0, narrowest=0.5, portrait_share=0.0, mosaic_share=1.0, tiles=(4, 4))
    shapes = set()
    for number in range(20):
        made = maker.make(96, np.random.default_rng(number))
        grey = (made.image == PAD_VALUE).all(axis=2)
        rows, columns = np.flatnonzero(~grey.all(axis=1)), np.flatnonzero(~grey.all(axis=0))
        shapes.add((len(rows) < 96) - (len(columns) < 96))
        low, high = np.array([columns[0], rows[0]]) / 96, np.array([columns[-1] + 1, rows[-1] + 1]) / 96
        inside = np.minimum(made.regions[:, :2] + made.regions[:, 2:] / 2, high) - np.maximum(
            made.regions[:, :2] - made.regions[:, 2:] / 2, low
        )
        share = (np.clip(inside, 0, None) / made.regions[:, 2:]).prod(axis=1)
        assert not made.wanted[share < 0.55].any()
        assert (share > 0).all()
    assert {-1, 1} <= shapes


def test_the_same_generator_makes_the_same_picture(store):
    first, second = (gatherings(store).make(96, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.regions, second.regions)


def test_faces_without_backgrounds_are_refused(store):
    with pytest.raises(ValueError, match="from faces and from backgrounds, got 24 and 0"):
        Gatherings(store, store.faces, np.array([], int), GatheringConfig())
