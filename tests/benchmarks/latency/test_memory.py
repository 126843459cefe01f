"""What processes hold."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.latency import memory
from benchmarks.latency.memory import mebibytes, peak_memory

pytestmark = pytest.mark.skipif(not memory.STATUS.is_file(), reason="this system tells no memory in /proc")


def test_what_a_process_held_stays_its_peak():
    held = np.ones(8 << 20)  # 64 MiB
    assert mebibytes("VmRSS") > held.nbytes >> 20
    del held
    assert mebibytes("VmHWM") >= mebibytes("VmRSS")


def test_a_new_process_holds_more_once_it_ran_the_model_and_nothing_of_this_one(write_onnx):
    held = np.ones(32 << 20)  # 256 MiB
    imports, peak = peak_memory(write_onnx())
    assert 10 < imports < peak < held.nbytes >> 20


def test_a_process_that_fails_says_why(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken" * 9)
    with pytest.raises(ValueError, match=r"the process that runs .*broken\.onnx failed: .*damaged"):
        peak_memory(broken)
