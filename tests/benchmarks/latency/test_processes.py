"""Memory and start of real processes, on a model that takes no time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.latency import processes
from benchmarks.latency.processes import mebibytes, peak_memory, start

needs_proc = pytest.mark.skipif(not processes.STATUS.is_file(), reason="no /proc on this system")


@needs_proc
def test_peak_memory_does_not_decrease():
    held = np.ones(8 << 20)  # 64 MiB
    assert mebibytes("VmRSS") > held.nbytes >> 20
    del held
    assert mebibytes("VmHWM") >= mebibytes("VmRSS")


@needs_proc
def test_peak_memory_of_a_new_process_excludes_this_one(write_onnx):
    held = np.ones(32 << 20)  # 256 MiB
    imports, peak = peak_memory(write_onnx())
    assert 10 < imports < peak < held.nbytes >> 20


@needs_proc
def test_peak_memory_reports_why_a_process_failed(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken" * 9)
    with pytest.raises(ValueError, match=r"the process that runs .*broken\.onnx failed: .*damaged"):
        peak_memory(broken)


def test_start_stages_sum_to_less_than_the_whole(write_onnx, spec):
    sure = write_onnx(dataclasses.replace(spec, track_threshold=0.1, lost_threshold=0.05).to_json())
    seconds = start(sure)
    whole = seconds.pop("whole")
    assert list(seconds) == ["import", "load", "first face"]
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) < whole


def test_start_reports_why_a_process_failed(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken" * 9)
    with pytest.raises(ValueError, match=r"the process that runs .*broken\.onnx failed: .*damaged"):
        start(broken)


def test_start_rejects_a_model_that_finds_no_face(write_onnx, spec):
    blind = write_onnx(dataclasses.replace(spec, track_threshold=0.99).to_json())
    with pytest.raises(ValueError, match="no first face; neither detector nor network found one"):
        start(blind)
