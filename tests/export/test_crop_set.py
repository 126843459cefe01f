from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.landmarks import WFLW_98
from export.__main__ import main
from export.crop_set import read_crop_set
from export.errors import ExportError


def _make(renders, out, *more):
    sizes = ("--calibration-crops", "10", "--held-out-crops", "20")
    return main(["calibration-set", "--data", str(renders), "--out", str(out), *sizes, *more])


def test_sets_are_labeled_crops_by_the_crop_rule(renders, tmp_path):
    assert _make(renders, tmp_path / "sets") == 0
    held_out = read_crop_set(tmp_path / "sets" / "heldout.npz")
    assert held_out.crops.shape == (20, 112, 112, 3)
    assert held_out.scheme is WFLW_98
    assert held_out.origin == {"data": "renders", "seed": 20, "crops": 20}
    faces = held_out.landmarks[held_out.has_face]
    assert len(faces) == 17
    assert np.isnan(held_out.pose[~held_out.has_face]).all()
    # The crop rule leaves a quarter of the face on each side, a sixth of the crop; jitter moves it a little.
    extent = (faces.max(axis=1) - faces.min(axis=1)).max(axis=1)
    np.testing.assert_allclose(extent, 1 / 1.5, atol=0.15)
    assert len(read_crop_set(tmp_path / "sets" / "calibration.npz").crops) == 10


def test_the_seed_decides_everything(renders, tmp_path):
    for name in ("a", "b"):
        assert _make(renders, tmp_path / name) == 0
    assert _make(renders, tmp_path / "c", "--seed", "21") == 0
    a, b, c = (read_crop_set(tmp_path / name / "calibration.npz") for name in "abc")
    assert np.array_equal(a.crops, b.crops)
    assert not np.array_equal(a.crops, c.crops)


def test_a_damaged_set_is_refused(renders, tmp_path):
    assert _make(renders, tmp_path) == 0
    path = tmp_path / "heldout.npz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ExportError, match=r"heldout\.npz is damaged or not made by calibration-set"):
        read_crop_set(path)


def test_another_crop_size_is_refused(sources):
    with pytest.raises(ExportError, match=r"takes 96 px images, .*heldout\.npz holds 112 px ones"):
        read_crop_set(sources / "heldout.npz", 96)


def test_a_missing_folder_of_renders_is_reported(tmp_path, capsys):
    assert _make(tmp_path / "absent", tmp_path) == 1
    assert "python -m atpn render" in capsys.readouterr().err
