"""One file stands for a folder of assets: the same people, places and lights come out of it."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from atpn.__main__ import main
from atpn.synthetic.assets import Assets, assets_fingerprint, decode_panorama, encode_panorama
from atpn.synthetic.drawing.renderer import FaceRenderer, RenderOptions


@pytest.fixture(scope="module")
def packed(assets, tmp_path_factory):
    """A pack of the real assets and the cache that it was made with."""
    folder = tmp_path_factory.mktemp("pack")
    where = ["--assets", str(assets), "--out", str(folder / "all.pack"), "--cache", str(folder / "cache")]
    assert main(["assets", "pack", *where]) == 0
    return folder / "all.pack", folder / "cache"


def test_a_pack_is_small_and_renders_what_the_folder_renders(assets, packed, tmp_path):
    path, cache = packed
    assert path.stat().st_size < 40e6
    options = RenderOptions(split="held-out")
    folder, file = FaceRenderer(assets, cache, options, 3), FaceRenderer(path, tmp_path / "unused", options, 3)
    assert not (tmp_path / "unused").exists()
    for number in range(4):
        one, other = (renderer.render(renderer.identity(number), 0) for renderer in (folder, file))
        assert one.attributes == other.attributes
        difference = np.abs(one.image.astype(int) - other.image.astype(int))
        assert difference.mean() < 4
        if one.landmarks is not None:
            np.testing.assert_array_equal(one.landmarks, other.landmarks)
            np.testing.assert_array_equal(one.visibility, other.visibility)


def test_a_pack_and_its_folder_are_told_apart(assets, packed):
    assert assets_fingerprint(packed[0]) == f"packed-{assets_fingerprint(assets)}"


def test_a_panorama_survives_at_every_exposure_that_backgrounds_choose():
    rng = np.random.default_rng(0)
    smooth = np.exp(np.linspace(-4, 4, 64))[:, None, None] * rng.uniform(0.7, 1.4, (1, 128, 1)) * np.ones(3)
    panorama = (smooth / np.median(smooth.mean(axis=2))).astype(np.float32)
    again = decode_panorama(encode_panorama(panorama * 7))  # its own unit does not matter
    for exposure in (0.06, 0.25, 1.0):
        shown = [255 * (1 - np.exp(-exposure * image)) ** (1 / 2.2) for image in (panorama, again)]
        assert np.abs(shown[0] - shown[1]).mean() < 3


def test_what_is_no_pack_is_named_with_what_to_do(tmp_path):
    (tmp_path / "noise").write_bytes(b"not a zip file")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("about.json", json.dumps({"something": "else"}))
    for name in ("noise", "other.zip"):
        with pytest.raises(ValueError, match=rf"{name} is not a pack.*assets pack"):
            Assets.load(tmp_path / name, tmp_path)


def test_a_pack_of_another_version_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "old.pack", "w") as archive:
        archive.writestr("about.json", json.dumps({"version": "0", "fingerprint": "f"}))
    with pytest.raises(ValueError, match=r"old\.pack is for another version.*assets pack"):
        Assets.load(tmp_path / "old.pack", tmp_path)


def test_packing_refuses_a_folder_that_lacks_something(tmp_path, capsys):
    assert main(["assets", "pack", "--assets", str(tmp_path / "nowhere"), "--out", str(tmp_path / "a.pack")]) == 1
    assert "nowhere does not exist" in capsys.readouterr().err
    assert main(["assets", "pack", "--assets", str(tmp_path), "--out", str(tmp_path / "a.pack")]) == 1
    assert "face_model.npz is missing" in capsys.readouterr().err
    assert not (tmp_path / "a.pack").exists()
