"""Output of TFLite's program in the formats of several years, with synthetic numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.phone.benchmark_model import FLAGS, RUNNERS, Runner, read_output
from benchmarks.phone.metrics import METRICS

OUTPUTS = Path(__file__).parent / "outputs"
CPU, XNNPACK, GPU, NNAPI = (Runner(delegate, 4) for delegate in FLAGS)


def read(name, runner):
    return read_output((OUTPUTS / f"{name}.txt").read_text(), runner)


def test_command_lines():
    assert Runner("xnnpack", 2).command("/d/atpn-1/atpn-1", "/d/atpn-1/0.tflite", 50) == (
        "/d/atpn-1/atpn-1 --graph=/d/atpn-1/0.tflite --num_threads=2 --num_runs=50 --max_secs=20 --use_xnnpack=true"
    )
    assert "--use_xnnpack=false" in Runner("cpu", 1).command("p", "m", 1), "newer programs take it otherwise"
    assert [runner.name for runner in RUNNERS] == [
        *("CPU, 1 thread", "CPU, 2 threads", "CPU, 4 threads"),
        *("XNNPACK, 1 thread", "XNNPACK, 2 threads", "XNNPACK, 4 threads", "GPU", "NNAPI"),
    ]


def test_read_output_of_a_current_program():
    output = read("2024_xnnpack", XNNPACK)
    assert output.problem == output.remark == ""
    assert output.values == pytest.approx(
        {
            "start": 31.24,
            "first": 4.129,
            "warm-up": 2.48713,
            "mean": 2.43108,
            "median": 2.41,
            "95 %": 2.551,
            "fastest": 2.369,
            "slowest": 2.91,
            "deviation": 0.071,
            "memory at start": 10.1172,
            "memory": 14.8164,
            "nodes": 231,
        }
    )
    assert set(output.values) <= set(METRICS)


@pytest.mark.parametrize(
    ("name", "runner", "start", "first", "mean", "memory"),
    [
        ("2018_cpu", CPU, 9.933, 12.742, 6.6766, None),
        ("2020_gpu_complete", GPU, 870.557, 13.056, 11.9375, 138.809),
        ("2023_nnapi_complete", NNAPI, 66.002, 637.079, 1.88574, 7.83203),
        ("2024_cpu", CPU, 5.579, 9.054, 8.99641, 14.8164),
        ("2025_litert_xnnpack", XNNPACK, 12.45, 4.947, 3.1054, 12.25),
    ],
)
def test_read_output_of_other_years(name, runner, start, first, mean, memory):
    output = read(name, runner)
    assert output.problem == output.remark == ""
    values = output.values
    assert [values[key] for key in ("start", "first", "mean")] == pytest.approx([start, first, mean])
    assert values.get("memory") == memory
    assert ("median" in values) == (name >= "2024")


def test_read_output_parses_exponents_and_equal_times():
    text = (OUTPUTS / "2024_xnnpack.txt").read_text()
    text = text.replace("avg=2431.08", "avg=1.24027e+06")
    assert read_output(text, XNNPACK).values["mean"] == 1240.27
    equal = re.sub(r"count=410 .*", "count=410 curr=2400(all same)", text)
    values = read_output(equal, XNNPACK).values
    assert values["fastest"] == values["slowest"] == values["mean"] == 2.4
    assert values["deviation"] == 0


def test_read_output_remarks_partial_delegation():
    output = read("2024_gpu_partial", GPU)
    assert output.values["nodes"] == 54, "not those that XNNPACK took of the rest"
    assert output.values["mean"] == pytest.approx(4.89369)
    assert output.remark == "took 54 of 231 nodes, the CPU the rest"
    litert = (OUTPUTS / "2024_gpu_partial.txt").read_text().replace("TfLiteGpuDelegateV2", "LITERT_CL")
    assert read_output(litert, GPU) == output
    uncounted = "Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 2"
    text = (OUTPUTS / "2020_gpu_complete.txt").read_text()
    old = read_output("\n".join(uncounted if line.startswith("Explicitly") else line for line in text.split("\n")), GPU)
    assert old.remark == "took a part of the nodes, the CPU the rest"
    assert "nodes" not in old.values


@pytest.mark.parametrize(
    ("name", "runner", "problem"),
    [
        (
            "2020_nnapi_fails",
            NNAPI,
            "NN API returned error ANEURALNETWORKS_BAD_DATA at line 1068 while adding operation",
        ),
        ("2024_gpu_fails", GPU, "TfLiteGpuDelegate Init: Batch size mismatch, expected 1 but got 3"),
        ("2024_gpu_absent", GPU, "GPU acceleration is unsupported on this platform; the CPU did the work"),
        ("2024_nnapi_reference", NNAPI, "no accelerator here, only its CPU reference; the CPU did the work"),
        ("2024_cpu", GPU, "it took none of the network; the CPU did the work"),
        ("2024_xnnpack", CPU, "this benchmark_model does not run without TfLiteXNNPackDelegate"),
        ("2025_litert_cpu", CPU, "this benchmark_model does not run without TfLiteXNNPackDelegate"),
        ("2025_litert_nnapi", NNAPI, "this benchmark_model does not know --use_nnapi; the CPU did the work"),
    ],
)
def test_read_output_reports_why_times_are_missing(name, runner, problem):
    output = read(name, runner)
    assert output.problem == problem
    assert output.values == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it printed nothing"),
        ("INFO: STARTING!\nSegmentation fault \n", "Segmentation fault"),
        ("ERROR: no answer within 120 s\n", "no answer within 120 s"),
        (
            "/system/bin/sh: /data/local/tmp/atpn-0/atpn-0: not executable: 64-bit ELF file\n",
            "/system/bin/sh: /data/local/tmp/atpn-0/atpn-0: not executable: 64-bit ELF file",
        ),
        (
            "INFO: STARTING!\nERROR: Node number 3 (CONV_2D) failed to prepare.\n"
            "ERROR: Failed to apply the default TensorFlow Lite delegate indexed at 0.\nERROR: Benchmarking failed.\n",
            "Node number 3 (CONV_2D) failed to prepare",
        ),
    ],
)
def test_read_output_reports_the_first_complaint(text, problem):
    assert read_output(text, XNNPACK).problem == problem


def test_read_output_rejects_truncated_output():
    text = (OUTPUTS / "2024_xnnpack.txt").read_text()
    for end in range(0, text.rindex("Inference timings"), 7):
        assert read_output(text[:end], XNNPACK).problem
