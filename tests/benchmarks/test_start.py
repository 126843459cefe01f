"""The start command: a real new process, on a model that takes no time."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks.__main__ import main
from benchmarks.start import start


@pytest.fixture
def model(write_onnx, spec):
    """Sure of a face wherever the picture is not black."""
    return write_onnx(dataclasses.replace(spec, track_threshold=0.1, lost_threshold=0.05).to_json())


def test_a_new_process_finds_its_first_face_and_the_stages_fit_into_the_whole(model):
    result = start(model, runs=1)
    assert all(seconds > 0 for seconds in result.stages.values())
    assert sum(result.stages.values()) < result.total


def test_what_the_process_says_is_passed_on(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken" * 9)
    with pytest.raises(ValueError, match=r"no first face; (.|\n)*damaged"):
        start(broken, runs=1)


def test_the_command_writes_what_it_prints(model, tmp_path, capsys):
    out = tmp_path / "start.json"
    assert main(["start", "--models", str(model), "--out", str(out), "--runs", "1"]) == 0
    (result,) = json.loads(out.read_text())["results"]
    assert f"{result['total']:.3f}" in capsys.readouterr().out
