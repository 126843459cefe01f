"""The doctor's report on this machine, with tiny models, and on machines that lack parts."""

import json

import pytest

from edge_runtime import __version__, backends, doctor, models, recommendation
from edge_runtime.doctor import as_text, diagnose, main
from edge_runtime.models import landmark_models, model_path


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without cameras and with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "list_cameras", list)


@pytest.fixture
def tiny_models(monkeypatch, tiny_tflite):
    """The tiny model in place of the shipped ones."""
    pytest.importorskip("ai_edge_litert")
    for module in (doctor, recommendation):
        monkeypatch.setattr(module, "model_path", lambda name: tiny_tflite)
    return tiny_tflite


def test_report_measures_recommends_and_remembers(tiny_models, capsys):
    assert main(["--json", "--seconds", "0.2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["edge_runtime"] == __version__
    assert report["engines"]["litert"]["problem"] is None
    assert report["processor"]["cores"] >= 1
    assert list(report["milliseconds"]) == landmark_models()
    assert "1" in report["milliseconds"]["atpn_fp16"]
    advice = report["recommendation"]
    assert advice["model"] == str(tiny_models)
    found = recommendation.recommended()
    assert (found.measured, found.threads, found.reason) == (True, advice["threads"], advice["reason"])


def test_text_has_a_line_per_part(tiny_models, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "list_cameras", lambda: [(0, "HD Webcam"), (2, "")])
    assert main(["--seconds", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    text = dict(line.split(maxsplit=1) for line in lines)
    assert f"edge_runtime {__version__}, Python 3." in text["version"]
    assert text["cameras"] == "0 HD Webcam, 2"
    assert " core" in text["processor"]
    assert sum(line.startswith("engine ") for line in lines) == 3
    assert sum(line.startswith("time per face ") for line in lines) == len(landmark_models())
    assert text["recommended"].startswith(f"--model {tiny_models} --threads ")
    assert "remembered" in text
    assert "problem" not in text


def test_every_shipped_network_is_measured(tiny_models, monkeypatch):
    monkeypatch.setattr(models, "NETWORKS", {"atpn": "atpn", "small": "atpn_small"})
    report = diagnose(0.1)
    assert list(report["milliseconds"]) == ["atpn_int8", "atpn_fp16", "atpn_small_int8", "atpn_small_fp16"]
    assert "per face: atpn is the most accurate within 11.1 ms" in report["recommendation"]["reason"]
    assert recommendation.recommended().measured


def test_zero_seconds_measure_and_remember_nothing(tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(backends, "int8_speeds_up", lambda: False)
    report = diagnose(0)
    assert report["milliseconds"] == {}
    assert report["recommendation"]["model"] == str(model_path("atpn_fp16"))
    assert report["recommendation"]["reason"].startswith("not measured")
    assert not (tmp_path / "cache").exists()


def test_without_an_engine_the_report_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(backends, "_is_installed", lambda name: False)
    assert main([]) == 1
    text = capsys.readouterr().out
    assert "problem       no model file can run: litert is not installed: pip install ai-edge-litert" in text
    assert "recommended   nothing" in text


def test_an_engine_that_does_not_start_is_a_line(monkeypatch):
    monkeypatch.setattr(backends, "_is_installed", lambda name: name == "litert")

    def fail(name):
        raise RuntimeError("compiled for another numpy\nmore lines")

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    report = diagnose(0.2)
    assert "does not start here (compiled for another numpy)" in report["engines"]["litert"]["problem"]
    assert report["recommendation"] is None
    assert report["problems"] == [f"no model file can run: litert is {report['engines']['litert']['problem']}"]


def test_onnxruntime_alone_needs_a_file(monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backends, "__file__", str(tmp_path / "package" / "backends.py"))
    monkeypatch.setattr(backends, "_is_installed", lambda name: name == "onnxruntime")
    report = diagnose(0.2)
    assert report["recommendation"] is None
    assert len(report["problems"]) == 1
    assert "make export-onnx" in report["problems"][0]


def test_errors_of_parts_are_lines_and_not_the_end(tiny_models, monkeypatch, tmp_path):
    def fail():
        raise OSError("a driver fails")

    monkeypatch.setattr(doctor, "list_cameras", fail)
    (tmp_path / "cache").write_text("a file where the folder should be")
    report = diagnose(0.2)
    assert report["cameras"] == []
    assert report["recommendation"]["saved"] is None
    cache, cameras = report["problems"]
    assert cache.startswith("not remembered: ")
    assert cameras == "cameras: a driver fails"
    assert "problem       cameras: a driver fails" in as_text(report)


def test_a_model_that_does_not_run_is_a_line(tiny_models, monkeypatch, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    monkeypatch.setattr(doctor, "model_path", lambda name: broken if name == "atpn_int8" else tiny_models)
    report = diagnose(0.2)
    assert "the only file of atpn that runs here" in report["recommendation"]["reason"]
    assert len(report["problems"]) == 1
    assert report["problems"][0].startswith("atpn_int8: ")


@pytest.mark.parametrize("seconds", ["-1", "601", "nan"])
def test_invalid_seconds_are_rejected(seconds, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--seconds", seconds])
    assert exit_info.value.code == 2
    assert "--seconds must lie in [0, 600]" in capsys.readouterr().err
