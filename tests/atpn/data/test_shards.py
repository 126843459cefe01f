"""Shards: what goes in comes out, and nothing half-written stays."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.data.shards import DENSE_FILE, StoredSample, list_shards, read_shard, write_shard
from atpn.data.store import SampleStore
from atpn.data.tar_file import read_tar, write_tar
from edge_runtime.files import temporary_path
from edge_runtime.geometry import Intrinsics


@pytest.fixture
def face() -> Sample:
    rng = np.random.default_rng(0)
    return Sample(
        image=np.full((32, 40, 3), (200, 100, 50), np.uint8),
        landmarks=rng.uniform(0, 32, (98, 2)).astype(np.float32),
        visibility=rng.random(98) < 0.5,
        rotation=np.eye(3),
        intrinsics=Intrinsics(100.0, 100.0, 20.0, -300.0),
        key="1_000002_00",
        attributes={"identity": "1_2"},
    )


def test_a_sample_comes_back(tmp_path, face, decoded):
    empty = Sample(image=face.image, key="1_000002_01")
    path = tmp_path / "faces-000000.tar"
    assert write_shard(path, [face, empty]) == 2
    first, second = (decoded(stored) for stored in read_shard(path))
    np.testing.assert_allclose(first.image.astype(int), face.image, atol=3)  # JPEG; channels in order
    np.testing.assert_allclose(first.landmarks, face.landmarks, atol=1e-3)
    np.testing.assert_array_equal(first.visibility, face.visibility)
    assert (first.intrinsics, first.key, first.attributes) == (face.intrinsics, face.key, face.attributes)
    assert second.landmarks is second.rotation is second.intrinsics is None


def test_a_failure_on_the_way_leaves_nothing(tmp_path, face):
    def samples():
        yield face
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path / "faces-000000.tar", samples())
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_shard_do_not_disturb_each_other_and_readers_do_not_see_them(tmp_path, face):
    path = tmp_path / "faces-000000.tar"

    def samples():
        yield face
        assert write_shard(path, [face, face, face]) == 3
        assert list_shards(tmp_path) == [path]
        yield face

    assert write_shard(path, samples()) == 2
    assert len(list(read_shard(path))) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_shard_cut_short_is_named(tmp_path, face):
    path = tmp_path / "faces-000000.tar"
    write_shard(path, [face])
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"faces-000000\.tar is not a complete shard"):
        list(read_shard(path))


@pytest.mark.parametrize("labels", [{"caption": "a cat"}, ["a cat"]])
def test_anybody_elses_shard_is_named(tmp_path, labels):
    path = tmp_path / "cats-000000.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in (("0.jpg", b"jpeg"), ("0.json", json.dumps(labels).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with pytest.raises(ValueError, match=r"cats-000000\.tar .*0\.json lacks .*landmarks"):
        list(read_shard(path))


def test_dense_points_and_boxes_come_back(tmp_path, decoded):
    dense = np.array([[3.5, 2.0], [-40.25, 250.0625]], np.float32)
    box = (1.0, 2.0, 3.5, 4.25)
    image = np.zeros((8, 8, 3), np.uint8)
    with_dense = Sample(image, dense=dense, dense_visibility=np.array([True, False]), boxes={"tight": box}, key="a")
    write_shard(tmp_path / "s.tar", [with_dense, Sample(image, key="b")])
    first, second = (decoded(stored) for stored in read_shard(tmp_path / "s.tar"))
    np.testing.assert_array_equal(first.dense, dense)
    np.testing.assert_array_equal(first.dense_visibility, [True, False])
    assert first.boxes == {"tight": box}
    assert second.dense is None
    assert second.boxes == {}


def test_a_zero_byte_image_is_an_error_when_it_is_decoded(tmp_path, face):
    write_shard(tmp_path / "whole.tar", [face])
    members = [("a.jpg", b""), ("a.json", [m.content for m in read_tar(tmp_path / "whole.tar")][1])]
    write_tar(tmp_path / "a.tar", members)
    store = SampleStore(read_shard(tmp_path / "a.tar"))
    with pytest.raises(ValueError, match="the image of sample 1_000002_00 is empty; make its shard again"):
        store.image(0)


@pytest.mark.parametrize("left_out", ["a.jpg", "a.json"])
def test_a_sample_without_its_image_or_labels_is_an_error(tmp_path, face, left_out):
    write_shard(tmp_path / "whole.tar", [face])
    image, labels = (member.content for member in read_tar(tmp_path / "whole.tar"))
    members = [(name, content) for name, content in (("a.jpg", image), ("a.json", labels)) if name != left_out]
    write_tar(tmp_path / "a.tar", members)
    with pytest.raises(ValueError, match=r"a\.tar is not a complete shard: a(\.json)? has no "):
        list(read_shard(tmp_path / "a.tar"))


def test_null_attributes_are_an_error_that_names_the_shard(tmp_path, face):
    write_shard(tmp_path / "whole.tar", [face])
    image, labels = (member.content for member in read_tar(tmp_path / "whole.tar"))
    changed = json.dumps(json.loads(labels) | {"attributes": None}).encode()
    write_tar(tmp_path / "a.tar", [("a.jpg", image), ("a.json", changed)])
    with pytest.raises(ValueError, match=r"a\.tar .*a\.json: attributes must be an object"):
        list(read_shard(tmp_path / "a.tar"))


@pytest.mark.parametrize("dense", [b"", b"\x93NUMPY", np.zeros((4, 2), np.int16), np.zeros((4, 3))])
def test_damaged_dense_points_are_an_error(dense):
    if isinstance(dense, np.ndarray):
        stream = io.BytesIO()
        np.save(stream, dense)
        dense = stream.getvalue()
    with pytest.raises(ValueError, match=r"array is damaged|expected int16"):
        StoredSample(b"", {"key": "a"}, dense).packed_dense()


def test_what_is_being_written_is_no_shard(tmp_path, face):
    write_shard(tmp_path / "a.tar", [face])
    temporary_path(tmp_path / "b.tar").write_bytes(b"")
    assert list_shards(tmp_path) == [tmp_path / "a.tar"]


@pytest.mark.parametrize("content", ["", "[]", '{"mask": 3}', '{"mask": [1, 2]}', '{"mask": [["x", "y"]]}'])
def test_damaged_places_of_dense_points_are_an_error(tmp_path, face, content):
    write_shard(tmp_path / "a.tar", [face])
    (tmp_path / DENSE_FILE).write_text(content)
    with pytest.raises(ValueError, match=r"dense\.json"):
        SampleStore.read(tmp_path)
