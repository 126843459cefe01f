"""Shards: what goes in comes out, and nothing half-written stays."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.data.shards import list_shards, read_shard, write_shard
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
