import json

import cv2
import numpy as np
import pytest

from atpn.__main__ import main
from atpn.data.converting import CutoutConfig, cut_out
from atpn.data.crops import cut_crop
from atpn.data.datasets_cli import ConvertConfig
from atpn.data.sample import Sample
from atpn.data.shards import read_shard
from atpn.data.store import SampleStore
from edge_runtime.geometry import ROI


def convert(path, out, *options):
    return main(["datasets", "convert", str(path), "--out", str(out), *options])


def test_each_split_becomes_a_training_set(tmp_path, replica, capsys):
    drawn = replica.ibug300w(tmp_path / "300W")
    assert convert(tmp_path / "300W", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["private", "test", "train"]
    assert "train: 4 faces, 0 images without" in capsys.readouterr().out
    store = SampleStore.read(tmp_path / "out" / "train")
    assert (store.scheme.name, len(store.faces)) == ("ibug68", 4)
    face = drawn["lfpw/trainset/image_0001.png"]
    sample = store[store.keys.index("300w_lfpw-train_image_0001")]
    # The same face region shows the same, in the photograph and in the store.
    expected, got = (cut_crop(s, ROI.from_landmarks(s.landmarks), 64) for s in (face, sample))
    np.testing.assert_allclose(got.landmarks, expected.landmarks, atol=1e-4)
    assert np.abs(got.image.astype(int) - expected.image).mean() < 3


def test_a_subset_alone(tmp_path, replica):
    replica.wflw(tmp_path / "WFLW")
    assert convert(tmp_path / "WFLW", tmp_path / "out", "--split", "test", "--subset", "expression") == 0
    store = SampleStore.read(tmp_path / "out" / "test-expression")
    assert len(store) == 1
    assert store.boxes(0)["detector"][2] > 0


@pytest.mark.parametrize(
    ("name", "split", "scheme"),
    [("cofw", "train", "cofw29"), ("celeba", "train", "celeba5"), ("w300lp", "train", "ibug68")],
)
def test_every_scheme_reads_back(tmp_path, replica, name, split, scheme):
    getattr(replica, name)(tmp_path / "data")
    assert convert(tmp_path / "data", tmp_path / "out") == 0
    assert SampleStore.read(tmp_path / "out" / split).scheme.name == scheme


def test_faces_with_boxes_alone_are_no_backgrounds(tmp_path, replica):
    replica.wider_face(tmp_path / "data")
    assert convert(tmp_path / "data", tmp_path / "out") == 0
    with pytest.raises(ValueError, match="no face with landmarks"):
        SampleStore.read(tmp_path / "out" / "train")
    store = SampleStore.read(tmp_path / "out" / "train", boxes_suffice=True)
    assert (len(store.faces), len(store.boxed), len(store.backgrounds)) == (0, 3, 1)
    sample = store[int(store.boxed[0])]
    left, top, right, bottom = sample.boxes["detector"]
    assert (right - left, bottom - top) == (30, 40)
    assert sample.neighbors.shape[1:] == (4, 2)
    assert convert(tmp_path / "data", tmp_path / "large", "--split", "train", "--min-size", "45") == 0
    assert len(SampleStore.read(tmp_path / "large" / "train", boxes_suffice=True).boxed) == 1


def test_faces_with_unknown_landmarks_are_kept_but_not_trained_on(tmp_path, replica, decoded):
    replica.merl_rav(tmp_path / "data")
    assert convert(tmp_path / "data", tmp_path / "out", "--split", "train") == 0
    shard = tmp_path / "out" / "train" / "faces-000000.tar"
    samples = [decoded(stored) for stored in read_shard(shard)]
    assert len(samples) == 10
    assert np.isnan(samples[0].landmarks[0]).all()
    assert not np.isnan(samples[0].landmarks[1:]).any()
    store = SampleStore([*read_shard(shard)])
    assert (len(store.faces), len(store.boxed), len(store.backgrounds)) == (0, 0, 0)


def test_conversion_goes_on_where_it_stopped_and_minds_its_setup(tmp_path, replica, capsys):
    replica.w300vw(tmp_path / "data", videos=("001",))
    command = (tmp_path / "data", tmp_path / "out", "--split", "train", "--partial", "--shard-size", "2")
    assert convert(*command) == 0
    shards = sorted((tmp_path / "out" / "train").glob("*.tar"))
    assert [len(list(read_shard(shard))) for shard in shards] == [2, 2, 1]
    whole = [shard.read_bytes() for shard in shards]
    shards[1].unlink()
    shards[2].write_bytes(b"kept as it is")
    assert convert(*command) == 0
    assert [shard.read_bytes() for shard in shards] == [*whole[:2], b"kept as it is"]
    assert convert(*command, "--every", "2") == 1
    assert "another setup: every was 1, got 2" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "train" / "convert.json").read_text())["dataset"] == "300vw"


def test_what_is_missing_stops_it_unless_partial(tmp_path, replica, capsys):
    replica.ibug300w(tmp_path / "data")
    (tmp_path / "data" / "helen" / "testset" / "296814969_3.jpg").unlink()
    assert convert(tmp_path / "data", tmp_path / "out", "--split", "train") == 0
    assert convert(tmp_path / "data", tmp_path / "out", "--split", "test") == 1
    assert "missing: the image of" in capsys.readouterr().err
    assert convert(tmp_path / "data", tmp_path / "part", "--split", "test", "--partial") == 0
    assert "test: 2 faces, 0 images without, 1 missing or corrupt" in capsys.readouterr().out
    (tmp_path / "data" / "300W" / "01_Indoor" / "indoor_001.png").write_bytes(b"truncated")
    assert convert(tmp_path / "data", tmp_path / "out", "--split", "private") == 1
    said = capsys.readouterr().err
    assert "indoor_001.png is not an image" in said
    assert "; pass --partial to skip it" in said
    assert convert(tmp_path / "data", tmp_path / "part", "--split", "private", "--partial") == 0
    assert "private: 1 faces, 0 images without, 1 missing or corrupt" in capsys.readouterr().out
    assert len(SampleStore.read(tmp_path / "part" / "private")) == 1


def test_what_cannot_be_converted_is_refused(tmp_path, replica, capsys):
    replica.w300lp(tmp_path / "data" / "300W_LP")
    replica.aflw2000(tmp_path / "data" / "AFLW2000")
    for options, complaint in (
        ((), "expected one dataset, found 300w-lp in"),
        (("--dataset", "aflw2000-3d", "--split", "train"), "no split train in"),
        (("--dataset", "aflw2000-3d", "--subset", "frontal"), "no sample of split test with subset frontal"),
        (("--dataset", "300w-lp", "--split", "train"), "may belong to split train"),
    ):
        assert convert(tmp_path / "data", tmp_path / "out", *options) == 1
        assert complaint in capsys.readouterr().err


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ValueError, match="face_size >= 16"):
        CutoutConfig(face_size=2)
    with pytest.raises(ValueError, match="must be at least 1"):
        ConvertConfig(tmp_path, tmp_path, every=0)


def test_cutting_keeps_labels_on_the_image_and_the_camera_on_its_rays(draw_sample):
    sample = draw_sample(np.random.default_rng(3), size=900, center=(440, 470))
    neighbors = np.stack([sample.landmarks + 250, sample.landmarks + 2000])
    whole = Sample(
        sample.image,
        sample.landmarks,
        rotation=sample.rotation,
        intrinsics=sample.intrinsics,
        boxes={"detector": (100.5, 100.5, 500.5, 700.5)},
        neighbors=neighbors,
        key="a",
    )
    cut = cut_out(whole, CutoutConfig(face_size=128, context=1.0))
    roi = ROI.from_landmarks(sample.landmarks)
    scale = 128 / roi.size
    assert cut.image.shape[0] == pytest.approx(128, abs=3)
    np.testing.assert_allclose(np.ptp(cut.landmarks, axis=0), np.ptp(sample.landmarks, axis=0) * scale, rtol=0.01)
    assert len(cut.neighbors) == 1
    expected, got = (cut_crop(s, ROI.from_landmarks(s.landmarks), 96) for s in (whole, cut))
    np.testing.assert_allclose(got.landmarks, expected.landmarks, atol=2e-3)
    np.testing.assert_allclose(got.pose, expected.pose, atol=5e-3)
    assert np.abs(got.image.astype(int) - expected.image).mean() < 3
    left, top, right, bottom = cut.boxes["detector"]
    assert (right - left) / (bottom - top) == pytest.approx(400 / 600, rel=0.02)


def test_a_face_outside_its_image_is_named():
    sample = Sample(np.zeros((20, 20, 3), np.uint8), np.full((5, 2), 900.0) + np.arange(5)[:, None], key="astray")
    with pytest.raises(ValueError, match="'astray': its face lies outside"):
        cut_out(sample, CutoutConfig())


def test_images_without_faces_are_bounded():
    image = cv2.resize(np.zeros((8, 8, 3), np.uint8), (3000, 1000))
    assert cut_out(Sample(image, key="a"), CutoutConfig(face_size=100, context=2.0)).image.shape == (67, 200, 3)
