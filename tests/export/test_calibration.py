from __future__ import annotations

import pytest

from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.formats.base import sha256_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "suffix", "more", "note"),
    [
        ("tflite", "tflite", ["--ranges", "moving-average"], "moving-average of 12 "),
        ("onnx", "onnx", ["--calibration-crops", "3"], "min-max of 3 "),
    ],
)
def test_fewer_crops_and_other_ranges_make_another_file(
    sources, exported, command_line, tmp_path, monkeypatch, command, suffix, more, note
):
    # Noise and a tiny network: the accuracy with such ranges is not tested here.
    monkeypatch.setattr("export.evaluation.exceeded_tolerances", lambda *given: [])
    assert main(command_line(command, sources, tmp_path, "--precision", "int8", *more)) == 0
    path = tmp_path / f"atpn_int8.{suffix}"
    assert sha256_of(path) != sha256_of(exported / path.name)
    assert ModelSpec.read(path).provenance["calibration"].startswith(note)


def test_counts_that_cannot_be_are_refused(sources, command_line, tmp_path, capsys):
    assert main(command_line("tflite", sources, tmp_path, "--calibration-crops", "500")) == 1
    assert "--calibration-crops 500" in capsys.readouterr().err
    assert main(command_line("tflite", sources, tmp_path, "--calibration-crops", "0")) == 1
    assert "--calibration-crops must be at least 1, got 0" in capsys.readouterr().err
