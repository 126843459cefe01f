"""The start of a real new process, on a model that takes no time."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.latency.start import start


def test_a_new_process_finds_its_first_face_and_the_stages_fit_into_the_whole(write_onnx, spec):
    sure = write_onnx(dataclasses.replace(spec, track_threshold=0.1, lost_threshold=0.05).to_json())
    seconds = start(sure)
    whole = seconds.pop("whole")
    assert list(seconds) == ["import", "load", "first face"]
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) < whole


def test_what_the_process_says_is_passed_on(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken" * 9)
    with pytest.raises(ValueError, match=r"no first face; .*damaged"):
        start(broken)


def test_a_program_that_finds_no_face_is_no_start(write_onnx, spec):
    blind = write_onnx(dataclasses.replace(spec, track_threshold=0.99).to_json())
    with pytest.raises(ValueError, match="no first face; neither detector nor network found one"):
        start(blind)
