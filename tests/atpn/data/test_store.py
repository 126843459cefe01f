from dataclasses import replace

import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.data.shards import read_shard, write_shard
from atpn.data.store import SampleStore
from edge_runtime.landmarks import LandmarkScheme


def test_the_store_returns_what_the_shards_hold(face_shards, decoded):
    store, stored = SampleStore.read(face_shards), list(read_shard(face_shards / "faces-000000.tar"))
    assert len(store) == 28
    assert len(store.faces) == 24
    assert len(store.backgrounds) == 4
    for index in (0, 27):
        ours, theirs = store[index], decoded(stored[index])
        np.testing.assert_array_equal(ours.image, theirs.image)
        assert ours.key == theirs.key
        assert ours.intrinsics == theirs.intrinsics
        if theirs.landmarks is None:
            assert ours.landmarks is None
            assert ours.rotation is None
        else:
            np.testing.assert_array_equal(ours.landmarks, theirs.landmarks)
            np.testing.assert_array_equal(ours.rotation, theirs.rotation)


def test_an_identity_is_never_on_both_sides(tmp_path, draw_sample):
    rng = np.random.default_rng(0)
    samples = [draw_sample(rng, f"face-{i}", 48, identity=f"person-{i % 30}") for i in range(90)]
    write_shard(tmp_path / "faces-000000.tar", samples)
    store = SampleStore.read(tmp_path)
    train, held_out = store.split(validation_fraction=0.2)
    people = [{store.identities[i] for i in side} for side in (train, held_out)]
    assert len(train) + len(held_out) == 90
    assert not people[0] & people[1]
    assert 1 <= len(people[1]) <= 15


def test_few_people_still_leave_both_sides_filled(face_shards):
    train, held_out = SampleStore.read(face_shards).split(validation_fraction=1e-9)
    assert len(train) == 23
    assert len(held_out) == 1


def test_backgrounds_are_split_too(face_shards):
    store = SampleStore.read(face_shards)
    train, held_out = store.split(store.backgrounds)
    assert (len(train), len(held_out)) == (3, 1)
    assert sorted([*train, *held_out]) == sorted(store.backgrounds)


def test_a_single_person_is_all_for_training(tmp_path, draw_sample):
    rng = np.random.default_rng(0)
    write_shard(tmp_path / "a.tar", [draw_sample(rng, str(i), 48, identity="one") for i in range(3)])
    train, held_out = SampleStore.read(tmp_path).split()
    assert (len(train), len(held_out)) == (3, 0)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        SampleStore.read(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"no \.tar shards"):
        SampleStore.read(tmp_path)


def test_data_without_faces_are_refused(tmp_path):
    write_shard(tmp_path / "a.tar", [Sample(np.zeros((16, 16, 3), np.uint8), key="x")])
    with pytest.raises(ValueError, match="no face with landmarks"):
        SampleStore.read(tmp_path)


def test_a_truncated_shard_is_named(tmp_path, face_shards):
    content = (face_shards / "faces-000000.tar").read_bytes()
    (tmp_path / "faces-000007.tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"faces-000007\.tar"):
        SampleStore.read(tmp_path)


def test_a_wrong_number_of_landmarks_is_named(tmp_path, draw_sample):
    sample = draw_sample(np.random.default_rng(0), "short", 48)
    write_shard(tmp_path / "a.tar", [Sample(sample.image, sample.landmarks[:68], key="short")])
    with pytest.raises(ValueError, match=r"'short'.*\(68, 2\)"):
        SampleStore.read(tmp_path)


def test_a_scheme_of_a_long_name_is_quoted(tmp_path, draw_sample):
    scheme = LandmarkScheme("x" * 5000, 4, {"face": (0, 1, 2, 3)}, ((0, 1),), (), (0, 1))
    sample = replace(draw_sample(np.random.default_rng(0), "face", 48), landmarks=np.ones((4, 2), np.float32))
    write_shard(tmp_path / "faces-000000.tar", [replace(sample, scheme=scheme)])
    with pytest.raises(ValueError, match=r"scheme\.json beside their shards is missing") as raised:
        SampleStore.read(tmp_path)
    assert len(str(raised.value)) < 1000


def test_boxes_subsets_and_faces_known_in_part(tmp_path, draw_sample):
    rng = np.random.default_rng(0)
    whole, part = draw_sample(rng, "whole", 48), draw_sample(rng, "part", 48)
    part.landmarks[7] = np.nan
    image, box = whole.image, {"detector": (1.0, 2.0, 30.5, 40.0)}
    named = {"subsets": "pose blur"}
    samples = [
        Sample(image, whole.landmarks, boxes=box, key="whole", attributes=named),
        Sample(image, part.landmarks, key="part"),
        Sample(image, boxes=box, key="boxed", attributes={"subsets": "blur"}),
        Sample(image, key="empty"),
    ]
    write_shard(tmp_path / "a.tar", samples)
    store = SampleStore.read(tmp_path)
    assert (store.faces.tolist(), store.boxed.tolist(), store.backgrounds.tolist()) == ([0], [2], [3])
    assert store.boxes(0) == store[2].boxes == box
    assert store.boxes(3) == {}
    assert np.isnan(store[1].landmarks[7]).all()
    np.testing.assert_allclose(store[1].landmarks[8], part.landmarks[8], atol=1e-3)
    assert store[2].landmarks is None
    assert (store.subset("pose").tolist(), store.subset("blur").tolist()) == ([0], [0, 2])
    with pytest.raises(ValueError, match="no subset 'night' in these data; there are: blur, pose"):
        store.subset("night")


def test_images_on_disk_are_those_in_memory(face_shards):
    memory, disk = SampleStore.read(face_shards), SampleStore.read(face_shards, on_disk=True)
    for index in (0, 5, 27):
        np.testing.assert_array_equal(memory.image(index), disk.image(index))
    assert disk.keys == memory.keys
    # Nothing of the images is held: the one buffer is empty, the other files are mapped.
    buffer, shard = disk._files
    assert len(buffer) == 0
    assert isinstance(shard, np.memmap)
