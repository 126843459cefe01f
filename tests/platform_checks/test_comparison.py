"""Comparison of two machines' outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from platform_checks.__main__ import main
from platform_checks.comparison import EXACT, ROUNDING, Tolerance, compare, comparison_table, problems
from platform_checks.device_outputs import DeviceOutputs

BOUNDS = {"fp32": ROUNDING, "int8": Tolerance(mean=1e-3)}


@pytest.fixture
def ours():
    rng = np.random.default_rng(0)
    arrays = {
        "images/heldout": rng.integers(0, 256, (5, 16, 16, 3), np.uint8),
        "a_fp32.tflite/landmarks": rng.random((5, 98, 2), np.float32),
        "a_fp32.tflite/pose": rng.random((5, 3), np.float32),
        "a_int8.tflite/pose": rng.random((5, 3), np.float32),
        "a_int8.tflite, tracking/crops": rng.integers(0, 256, (5, 16, 16, 3), np.uint8),
        "a_int8.tflite, tracking/face landmarks": np.where(
            np.arange(5)[:, None, None] == 2, np.nan, rng.random((98, 2))
        ),
    }
    names = ("a_fp32.tflite", "a_int8.tflite", "a_int8.tflite, tracking")
    return DeviceOutputs(arrays, {name: name[2:6] for name in names})


def changed(outputs, name, change):
    arrays = {key: value.copy() for key, value in outputs.arrays.items()}
    arrays[name] = change(arrays[name])
    return dataclasses.replace(outputs, arrays=arrays)


def problems_of(ours, theirs, **options):
    return problems(compare(ours, theirs, BOUNDS, **options), theirs.unsupported)


def test_compare_accepts_rounding_differences(ours):
    theirs = changed(ours, "a_fp32.tflite/pose", lambda pose: pose + np.float32(5e-6))
    assert problems_of(ours, theirs) == []
    (row,) = [row for row in compare(ours, theirs, BOUNDS) if row.group == "a_fp32.tflite"]
    assert (row.where, row.tolerance) == ("pose", ROUNDING)
    assert row.largest == pytest.approx(5e-6, rel=0.05)


def moved_pixel(crops):
    crops[3, 1, 2, 0] ^= 1
    return crops


def moved_value(values):
    values.flat[7] += 2e-5
    return values


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("a_fp32.tflite/landmarks", moved_value, "a_fp32.tflite, landmarks: largest difference 2e-05"),
        ("a_int8.tflite, tracking/crops", moved_pixel, "tracking, crops: largest difference 1,"),
        ("a_int8.tflite/pose", lambda pose: pose + np.float32(0.01), "mean 0.01, allowed mean 0.001"),
        ("a_fp32.tflite/pose", lambda pose: pose[:3], "a_fp32.tflite, pose: largest difference inf"),
        ("a_fp32.tflite/pose", lambda pose: np.full_like(pose, np.nan), "a_fp32.tflite, pose: largest difference inf"),
        ("a_int8.tflite, tracking/face landmarks", np.nan_to_num, "tracking, face landmarks: largest difference inf"),
    ],
    ids=["a value", "a pixel", "int8 throughout", "fewer", "no numbers", "a face where there was none"],
)
def test_problems_name_the_changed_array(ours, name, change, message):
    theirs = changed(ours, name, change)
    (problem,) = problems_of(ours, theirs)
    assert message in problem
    assert "<- exceeds the tolerance" in comparison_table(compare(ours, theirs, BOUNDS))


def test_compare_tolerates_one_int8_step(ours):
    assert problems_of(ours, changed(ours, "a_int8.tflite/pose", lambda pose: moved_value(pose))) == []
    assert problems_of(ours, changed(ours, "images/heldout", moved_pixel), images=Tolerance(largest=1)) == []
    assert EXACT.largest == 0


def test_problems_include_unsupported_files(ours):
    kept = {name: array for name, array in ours.arrays.items() if "int8" not in name}
    theirs = DeviceOutputs(kept, ours.precisions, {"a_int8.tflite": "wrong there"})
    rows = compare(ours, theirs, BOUNDS)
    assert problems(rows, theirs.unsupported) == ["a_int8.tflite is not supported by both and was not compared"]


def test_a_file_that_the_reference_does_not_support_is_a_problem(ours, tmp_path, capsys):
    kept = {name: array for name, array in ours.arrays.items() if "int8" not in name}
    DeviceOutputs(kept, ours.precisions, {"a_int8.tflite": "wrong here"}).write(tmp_path / "reference.npz")
    ours.write(tmp_path / "other.npz")
    paths = ["--reference", str(tmp_path / "reference.npz"), "--other", str(tmp_path / "other.npz")]
    assert main(["compare", *paths]) == 1
    assert "a_int8.tflite is not supported by both" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["int4", None])
def test_a_precision_without_a_tolerance_is_named(ours, tmp_path, capsys, precision):
    precisions = {**ours.precisions, "a_fp32.tflite": precision}
    dataclasses.replace(ours, precisions=precisions).write(tmp_path / "ours.npz")
    assert main(["compare", "--reference", str(tmp_path / "ours.npz"), "--other", str(tmp_path / "ours.npz")]) == 1
    assert f"a_fp32.tflite has precision {precision!r}, expected one of fp32, fp16, int8" in capsys.readouterr().err


def test_compare_command_fails_beyond_the_tolerance(ours, tmp_path, capsys):
    ours.write(tmp_path / "ours.npz")
    changed(ours, "images/heldout", moved_pixel).write(tmp_path / "theirs.npz")
    paths = ["--reference", str(tmp_path / "ours.npz"), "--other"]
    assert main(["compare", *paths, str(tmp_path / "ours.npz")]) == 0
    assert main(["compare", *paths, str(tmp_path / "theirs.npz")]) == 1
    assert "checks failed:\n  images, heldout: largest difference 1" in capsys.readouterr().err
