from __future__ import annotations

import pathlib
import shutil
import sys

import pytest

from atpn.model import save_checkpoint
from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.parity import Bounds


def _fingerprint(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


def test_up_to_date_files_are_kept(dist, sources, command_line, capsys):
    before = _fingerprint(dist)
    assert main(command_line("tflite", sources, dist)) == 0
    captured = capsys.readouterr()
    assert captured.out.count("kept") == 2
    assert "atpn_int8.tflite is up to date" in captured.err
    assert _fingerprint(dist) == before


def _reuse(monkeypatch, path):
    """Let the converter return this file's network, whatever it is asked to convert."""
    content = path.read_bytes()
    monkeypatch.setattr("export.tflite.convert", lambda model, for_int8=False: content)


def test_force_makes_the_file_again(dist, sources, command_line, monkeypatch, capsys):
    float32 = dist / "atpn_float32.tflite"
    _reuse(monkeypatch, float32)
    before = float32.read_bytes()
    float32.touch()
    assert main(command_line("tflite", sources, dist, "--precision", "float32", "--force")) == 0
    assert "kept" not in capsys.readouterr().out
    assert float32.read_bytes() == before


def test_a_damaged_file_is_made_again(dist, sources, command_line, monkeypatch):
    float32 = dist / "atpn_float32.tflite"
    before = float32.read_bytes()
    _reuse(monkeypatch, float32)
    float32.write_bytes(before[:1000])
    assert main(command_line("tflite", sources, dist, "--precision", "float32")) == 0
    assert float32.read_bytes() == before


def test_a_file_of_other_weights_is_refused_and_not_written(
    tmp_path, exported, sources, another_model, command_line, monkeypatch, capsys
):
    folder = shutil.copytree(sources, tmp_path / "sources")
    save_checkpoint(folder / "atpn.safetensors", another_model, {})
    _reuse(monkeypatch, exported / "atpn_float32.tflite")
    out = tmp_path / "dist"
    assert main(command_line("tflite", folder, out, "--precision", "float32")) == 1
    error = capsys.readouterr().err
    assert "atpn_float32.tflite was not written: out of bounds: landmarks" in error
    assert "allowed 0.0001" in error
    assert list(out.iterdir()) == []


def test_a_refused_file_leaves_the_older_one(dist, sources, command_line, monkeypatch, capsys):
    before = _fingerprint(dist)
    monkeypatch.setattr("export.pipeline.BOUNDS", {"float32": Bounds(landmarks=1e-12)})
    _reuse(monkeypatch, dist / "atpn_float32.tflite")
    assert main(command_line("tflite", sources, dist, "--precision", "float32", "--force")) == 1
    assert "landmarks" in capsys.readouterr().err
    assert _fingerprint(dist) == before


def test_a_full_disk_leaves_nothing_half_written(tmp_path, exported, sources, command_line, monkeypatch, capsys):
    _reuse(monkeypatch, exported / "atpn_float32.tflite")

    def full(self, content):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    out = tmp_path / "dist"
    assert main(command_line("tflite", sources, out, "--precision", "float32")) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_an_unusable_output_folder_is_reported(tmp_path, exported, sources, command_line, monkeypatch, capsys):
    _reuse(monkeypatch, exported / "atpn_float32.tflite")
    (tmp_path / "file").write_text("in the way")
    assert main(command_line("tflite", sources, tmp_path / "file", "--precision", "float32")) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize(("command", "module"), [("tflite", "litert_torch"), ("onnx", "onnx")])
def test_a_missing_converter_names_the_extra(tmp_path, sources, command_line, monkeypatch, capsys, command, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(command_line(command, sources, tmp_path / "dist", "--precision", "float32")) == 1
    assert "pip install '.[export]'" in capsys.readouterr().err


def test_missing_and_truncated_weights_are_reported(tmp_path, sources, command_line, capsys):
    folder = shutil.copytree(sources, tmp_path / "sources")
    weights = folder / "atpn.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert main(command_line("tflite", folder, tmp_path / "dist")) == 1
    assert "truncated" in capsys.readouterr().err
    weights.unlink()
    assert main(command_line("onnx", folder, tmp_path / "dist")) == 1
    assert "no checkpoint file" in capsys.readouterr().err
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("name", ["heldout.npz", "calibration.npz"])
def test_missing_crops_are_reported(tmp_path, sources, command_line, capsys, name):
    folder = shutil.copytree(sources, tmp_path / "sources")
    (folder / name).unlink()
    assert main(command_line("tflite", folder, tmp_path / "dist")) == 1
    assert "python -m export calibration-set" in capsys.readouterr().err


def test_unknown_commands_print_the_usage(capsys):
    assert main(["coreml"]) == 2
    assert "calibration-set" in capsys.readouterr().err
    assert main(["--help"]) == 0


def test_candidates_of_killed_exports_are_removed(dist, sources, command_line):
    leftover, other = dist / ".atpn_float32.tflite-abcd1234", dist / ".atpn_float32.onnx-abcd1234"
    for folder in (leftover, other):
        folder.mkdir()
        (folder / "candidate").touch()
    assert main(command_line("tflite", sources, dist, "--precision", "float32")) == 0
    assert not leftover.exists()
    assert other.exists()  # another export may be at it


def test_a_changed_exporter_makes_a_file_outdated(dist, sources, command_line, monkeypatch, capsys):
    float32 = dist / "atpn_float32.tflite"
    _reuse(monkeypatch, float32)
    monkeypatch.setattr("export.metadata.exporter_version", lambda: "0.1.0+changed")
    assert main(command_line("tflite", sources, dist, "--precision", "float32")) == 0
    assert "kept" not in capsys.readouterr().out
    assert ModelSpec.read(float32).versions["exporter"] == "0.1.0+changed"


def test_spec_of_a_changed_precision_makes_a_file_outdated(dist, sources, command_line, monkeypatch):
    float32, int8 = dist / "atpn_float32.tflite", dist / "atpn_int8.tflite"
    _reuse(monkeypatch, float32)
    shutil.copyfile(int8, float32)
    assert main(command_line("tflite", sources, dist, "--precision", "float32")) == 0
    assert ModelSpec.read(float32).precision == "float32"
