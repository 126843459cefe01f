from __future__ import annotations

import importlib.metadata
import pathlib
import shutil
import sys

import pytest

from atpn.model import save_checkpoint
from edge_runtime.files import locked
from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.formats.base import sha256_of


def _fingerprint(folder):
    return {path.name: sha256_of(path) for path in folder.iterdir() if not path.name.startswith("report")}


def test_up_to_date_files_are_kept(dist, sources, command_line, capsys):
    before = _fingerprint(dist)
    assert main(command_line("tflite", sources, dist)) == 0
    captured = capsys.readouterr()
    assert captured.out.count("up to date") == 3
    assert "atpn_int8.tflite is up to date" in captured.err
    assert _fingerprint(dist) == before


def _reuse(monkeypatch, path):
    """Let the converter return this file's network, whatever it is asked to convert."""
    content = path.read_bytes()
    monkeypatch.setattr("export.formats.tflite.convert", lambda *given, **options: content)


def test_force_makes_the_file_again(dist, sources, command_line, monkeypatch, capsys):
    float32 = dist / "atpn_fp32.tflite"
    _reuse(monkeypatch, float32)
    before = float32.read_bytes()
    float32.touch()
    assert main(command_line("tflite", sources, dist, "--precision", "fp32", "--force")) == 0
    assert "up to date" not in capsys.readouterr().out
    assert float32.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda whole: whole[:1000], lambda whole: whole.replace(b"\x01", b"\x02", 1)])
def test_a_damaged_file_is_made_again(dist, sources, command_line, monkeypatch, damage):
    float32 = dist / "atpn_fp32.tflite"
    before = float32.read_bytes()
    _reuse(monkeypatch, float32)
    float32.write_bytes(damage(before))
    assert main(command_line("tflite", sources, dist, "--precision", "fp32")) == 0
    assert float32.read_bytes() == before


def test_a_file_of_other_weights_is_refused_and_not_written(
    tmp_path, exported, sources, another_model, command_line, monkeypatch, capsys
):
    folder = shutil.copytree(sources, tmp_path / "sources")
    save_checkpoint(folder / "atpn.safetensors", another_model, {})
    _reuse(monkeypatch, exported / "atpn_fp32.tflite")
    out = tmp_path / "dist"
    assert main(command_line("tflite", folder, out, "--precision", "fp32")) == 1
    error = capsys.readouterr().err
    assert "atpn_fp32.tflite was not written: landmarks is" in error
    assert "tolerance 0.0001" in error
    assert list(out.iterdir()) == []


def test_a_refused_file_leaves_the_older_one(dist, sources, command_line, monkeypatch, capsys):
    before = _fingerprint(dist)
    monkeypatch.setattr("export.landmarks.LandmarkEvaluator.tolerances", {"fp32": {"landmarks": 1e-12}})
    _reuse(monkeypatch, dist / "atpn_fp32.tflite")
    assert main(command_line("tflite", sources, dist, "--precision", "fp32", "--force")) == 1
    assert "landmarks" in capsys.readouterr().err
    assert _fingerprint(dist) == before


def test_a_full_disk_leaves_nothing_half_written(tmp_path, exported, sources, command_line, monkeypatch, capsys):
    _reuse(monkeypatch, exported / "atpn_fp32.tflite")

    def full(self, content):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    out = tmp_path / "dist"
    assert main(command_line("tflite", sources, out, "--precision", "fp32")) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_an_unusable_output_folder_is_reported(tmp_path, exported, sources, command_line, monkeypatch, capsys):
    _reuse(monkeypatch, exported / "atpn_fp32.tflite")
    (tmp_path / "file").write_text("in the way")
    assert main(command_line("tflite", sources, tmp_path / "file", "--precision", "fp32")) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [("tflite", "litert_torch", "export"), ("onnx", "onnx", "export"), ("coreml", "coremltools", "coreml")],
)
def test_a_missing_converter_names_the_extra(
    tmp_path, sources, command_line, monkeypatch, capsys, command, module, extra
):
    for name in [known for known in sys.modules if known.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    precision = "fp16" if command == "coreml" else "fp32"
    assert main(command_line(command, sources, tmp_path / "dist", "--precision", precision)) == 1
    assert f"pip install -e '.[{extra}]'" in capsys.readouterr().err


def test_an_uninstalled_library_names_the_extra(tmp_path, sources, command_line, monkeypatch, capsys):
    def version(library):
        raise importlib.metadata.PackageNotFoundError(library)

    monkeypatch.setattr("importlib.metadata.version", version)
    monkeypatch.setattr("export.metadata.exporter_version", lambda: "")
    assert main(command_line("coreml", sources, tmp_path / "dist")) == 1
    assert "torch is not installed" in capsys.readouterr().err


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
    assert main(["tensorrt"]) == 2
    assert "calibration-set" in capsys.readouterr().err
    assert main(["--help"]) == 0


def test_candidates_of_killed_exports_are_removed(dist, sources, command_line):
    leftover, other, live = (
        dist / f".atpn_fp32.{name}" for name in ("tflite-abcd1234", "onnx-abcd1234", "tflite-live5678")
    )
    for folder in (leftover, other, live):
        folder.mkdir()
        (folder / "candidate").touch()
    with locked(live):
        assert main(command_line("tflite", sources, dist, "--precision", "fp32")) == 0
    assert not leftover.exists()
    assert other.exists()  # another export may be at it
    assert live.exists()


def test_a_changed_exporter_makes_a_file_outdated(dist, sources, command_line, monkeypatch, capsys):
    float32 = dist / "atpn_fp32.tflite"
    _reuse(monkeypatch, float32)
    monkeypatch.setattr("export.metadata.exporter_version", lambda: "0.1.0+changed")
    assert main(command_line("tflite", sources, dist, "--precision", "fp32")) == 0
    assert "up to date" not in capsys.readouterr().out
    assert ModelSpec.read(float32).versions["exporter"] == "0.1.0+changed"


def test_spec_of_a_changed_precision_makes_a_file_outdated(dist, sources, command_line, monkeypatch):
    float32, int8 = dist / "atpn_fp32.tflite", dist / "atpn_int8.tflite"
    _reuse(monkeypatch, float32)
    shutil.copyfile(int8, float32)
    assert main(command_line("tflite", sources, dist, "--precision", "fp32")) == 0
    assert ModelSpec.read(float32).precision == "fp32"


@pytest.mark.slow
def test_a_package_is_replaced_whole(dist, sources, command_line, monkeypatch):
    package = dist / "atpn_fp16.mlpackage"
    (package / "stray").touch()
    assert main(command_line("coreml", sources, dist, "--precision", "fp16", "--force")) == 0
    assert not (package / "stray").exists()
    assert ModelSpec.read(package).precision == "fp16"
    assert not list(dist.glob(".*"))


def test_unknown_precisions_are_refused(tmp_path, sources, command_line, capsys):
    with pytest.raises(SystemExit):
        main(command_line("tflite", sources, tmp_path, "--precision", "int4"))
    assert "int4" in capsys.readouterr().err
    assert main(command_line("onnx", sources, tmp_path, "--precision", "fp16")) == 1
    assert "--precision fp16: onnx has no such precision" in capsys.readouterr().err
