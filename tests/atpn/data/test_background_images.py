import numpy as np
import pytest

from atpn.data import background_images
from atpn.data.background_images import BackgroundImages
from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.train.config import RECIPES, TrainConfig
from atpn.train.dataset import FaceBatches
from edge_runtime.geometry import ROI


@pytest.fixture
def crowds(tmp_path):
    """Photographs of two faces known by their boxes, in gray, the faces in white; and a black one without."""
    samples = []
    for i in range(4):
        image = np.full((200, 300, 3), 90, np.uint8)
        image[60:120, 40:100] = image[60:120, 180:240] = 255
        other = np.float32([[(180, 60), (240, 60), (240, 120), (180, 120)]])
        samples.append(Sample(image, boxes={"detector": (40, 60, 100, 120)}, neighbors=other, key=f"crowd-{i}"))
    samples.append(Sample(np.zeros((100, 100, 3), np.uint8), key="empty"))
    write_shard(tmp_path / "a.tar", samples)
    return SampleStore.read(tmp_path, boxes_suffice=True)


def test_crops_keep_clear_of_all_faces(crowds, monkeypatch):
    cut = []
    extract = background_images.extract_crop
    monkeypatch.setattr(background_images, "extract_crop", lambda *given: cut.append(given[1]) or extract(*given))
    images = BackgroundImages(crowds, crowds.boxed)
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert images.crop(32, rng).shape == (32, 32, 3)
    faces = [ROI.from_landmarks(np.array([(x, 60), (x + 60, 120)])) for x in (40, 180)]
    assert max(roi.iou(face) for roi in cut for face in faces) < 0.3


def test_all_of_a_stores_images_take_part_but_those_of_held_out_people(crowds):
    images = BackgroundImages.all_of(crowds)
    assert len(images) == len(crowds) - 1  # one of the four photographs with faces is held out
    assert set(images.indices) > set(crowds.backgrounds)


def test_faces_are_blended_with_other_images_if_these_are_given(face_shards, crowds):
    store = SampleStore.read(face_shards)
    recipe, shape = RECIPES["thesis", "landmarks"], np.random.default_rng(0).uniform(0.2, 0.8, (98, 2))
    empty = BackgroundImages(crowds, crowds.backgrounds)
    face = np.full((32, 32, 3), 200, np.uint8)
    blended = []
    for images in (None, empty):
        batches = FaceBatches(store, store.faces, store.backgrounds, shape, recipe, 32, 0, blended=images)
        rng = np.random.default_rng(0)
        blended.append([batches._mixed(face, rng) for _ in range(200)])
    dark = [image for image in blended[1] if (image != 200).any()]
    assert 20 < len(dark) < 60
    assert all(120 <= image.min() == image.max() <= 180 for image in dark)  # a black image, at 0.1 to 0.4
    assert any(np.ptp(image) > 10 for image in blended[0])


def test_backgrounds_are_for_stages_that_blend(tmp_path):
    for options in ({"stage": "tracking"}, {"stage": "landmarks", "loader": "device"}):
        with pytest.raises(ValueError, match="--backgrounds is for the landmark and pose stages"):
            TrainConfig(data=(tmp_path,), out=tmp_path, backgrounds=tmp_path, **options)
