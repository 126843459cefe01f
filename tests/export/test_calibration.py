from __future__ import annotations

from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.formats import sha256_of


def _int8(sources, command_line, out, command, *more):
    arguments = command_line(command, sources, out, "--precision", "int8", *more)
    # Noise and a tiny network: ranges of another kind may well be out of bounds here, which is not what is looked at.
    main(arguments)
    (path,) = out.glob("atpn_int8.*")
    return path


def test_fewer_crops_and_other_ranges_make_another_file(sources, exported, command_line, tmp_path, monkeypatch):
    monkeypatch.setattr("export.pipeline.violations", lambda row: [])
    for command, suffix in (("tflite", "tflite"), ("onnx", "onnx")):
        made = {sha256_of(exported / f"atpn_int8.{suffix}")}
        for more in (["--calibration-crops", "3"], ["--ranges", "moving-average"]):
            path = _int8(sources, command_line, tmp_path / f"{suffix}{len(made)}", command, *more)
            made.add(sha256_of(path))
            assert ("moving-average of 12" if "--ranges" in more else "min-max of 3 ") in ModelSpec.read(
                path
            ).provenance["calibration"]
        assert len(made) == 3


def test_counts_that_cannot_be_are_refused(sources, command_line, tmp_path, capsys):
    assert main(command_line("tflite", sources, tmp_path, "--calibration-crops", "500")) == 1
    assert "holds 12 crops, 500 asked for" in capsys.readouterr().err
    assert main(command_line("tflite", sources, tmp_path, "--calibration-crops", "0")) == 1
    assert "--calibration-crops must be at least 1, got 0" in capsys.readouterr().err
