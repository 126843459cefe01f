"""The whole command against a program that answers as adb does."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.results import Results

HEADING = "List of devices attached\n"


def test_phone_measures_every_runner_and_removes_all_files(fake_phone, arguments, tmp_path, capsys):
    assert main(arguments("--repeats", "2", "--runs", "30")) == 0
    results = Results.read(tmp_path / "p.json")
    metrics = {(metric.table, metric.column): metric for metric in results.metrics}
    assert {metric.row for metric in results.metrics} == {"a b.tflite", "temperature"}
    assert metrics["median", "XNNPACK, 2 threads"].value == pytest.approx(2.41)
    assert metrics["mean", "CPU, 4 threads"].value == pytest.approx(8.99641)
    assert metrics["GPU", "nodes"].value == 54
    assert metrics["XNNPACK, 1 thread", "memory"].unit == "MiB"
    assert metrics["battery", "before"].value == metrics["battery", "after"].value == 32.6
    assert ("mean", "NNAPI") not in metrics
    assert list(results.notes) == [
        "GPU: took 54 of 231 nodes, the CPU the rest (a b.tflite)",
        "NNAPI: NN API returned error ANEURALNETWORKS_BAD_DATA at line 1068 while adding operation (a b.tflite)",
    ]
    assert results.machine["device"] == "Maker Phone [5G]"
    assert results.machine["processor"] == "QTI SM8250"
    assert results.machine["cores"] == 8
    assert results.machine["system"] == "Android 14 (API 34)"
    assert results.machine["versions"] == {"benchmark_model": hashlib.sha256(b"a program").hexdigest()}
    assert results.settings["runs"] == 30
    out = capsys.readouterr().out
    assert re.search(r"median\n +a b\.tflite\n", out)
    assert re.search(r"XNNPACK, 2 threads, ms +2\.410\n", out)

    pushes = [call[1:] for call in fake_phone.calls if call[0] == "push"]
    folder, program = pushes[0][1].rsplit("/", 1)
    assert folder == f"/data/local/tmp/{program}"
    assert pushes[1] == [str(tmp_path / "models" / "a b.tflite"), f"{folder}/0.tflite"]
    assert fake_phone.shells("chmod") == [f"chmod 755 {folder}/{program}"]
    runs = fake_phone.shells("--graph=")
    assert len(runs) == 7 * 2 + 1, "a failed case is not run again"
    assert runs[0].startswith(f"{folder}/{program} --graph={folder}/0.tflite --num_threads=1 --num_runs=30")
    assert fake_phone.calls[-2:] == [
        ["shell", f"pkill {program}; rm -rf {folder}"],
        ["shell", "dumpsys battery"],
    ]


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("", r"no phone is connected .* allow USB debugging"),
        ("A1\tunauthorized\n", r"A1 is not ready \(unauthorized\): unlock it and accept"),
        ("A1\toffline\n", r"A1 is not ready \(offline\): unplug it"),
        ("A1\tno permissions (verify udev rules); see [http://example.com]\n", r"\(no permissions\): allow this user"),
        (
            "A1\tdevice\nB2\toffline\n",
            r"2 devices are connected: choose one .* --serial: A1 \(device\), B2 \(offline\)",
        ),
    ],
)
def test_phone_explains_why_no_device_is_usable(fake_phone, arguments, devices, message, capsys):
    fake_phone.answer("devices", HEADING + devices)
    assert main(arguments()) == 1
    assert re.search(message, capsys.readouterr().err)
    assert fake_phone.calls == [["devices"]]


def test_phone_selects_a_device_by_serial_number(fake_phone, arguments, capsys):
    fake_phone.answer("devices", f"{HEADING}A1\tdevice\nR58M123\tdevice\n")
    assert main(arguments("--serial", "R58M123", "--repeats", "2")) == 0
    assert main(arguments("--serial", "C3")) == 1
    assert "no device C3 is connected, only A1, R58M123" in capsys.readouterr().err


def test_phone_names_missing_programs_and_models(arguments, tmp_path, capsys):
    assert main([*arguments(), "--adb", str(tmp_path / "none")]) == 1
    assert "install Android's platform tools, or name it with --adb" in capsys.readouterr().err
    assert main([*arguments(), "--benchmark-model", "none"]) == 1
    assert "give TFLite's program with --benchmark-model" in capsys.readouterr().err
    (tmp_path / "models" / "a b.tflite").unlink()
    assert main(arguments()) == 1
    assert "make export-tflite" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(arguments("--repeats", "1"))


def test_phone_writes_nothing_when_disconnected(fake_phone, arguments, tmp_path, capsys):
    fake_phone.answer("gone_after", "3")
    assert main(arguments()) == 1
    error = capsys.readouterr().err
    assert "phone R58M123 was disconnected: adb: device 'R58M123' not found" in error
    assert "/data/local/tmp/atpn-" in error, "the files that may be left"
    assert len(fake_phone.shells("--graph=")) == 4
    assert not (tmp_path / "p.json").exists()


def test_phone_fails_when_no_runner_works(fake_phone, arguments, tmp_path, capsys):
    for flag in ("--use_xnnpack=false", "--use_xnnpack=true", "--use_gpu=true", "--use_nnapi=true"):
        text = "/system/bin/sh: /data/local/tmp/atpn-0/atpn-0: not executable: 64-bit ELF file\n"
        fake_phone.answer(f"shell/{flag}", text)
    assert main(arguments()) == 1
    error = capsys.readouterr().err
    assert "nothing was measured on Maker Phone" in error
    assert "not executable: 64-bit ELF file" in error
    assert fake_phone.shells("rm -rf")
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_an_interruption_removes_the_files_from_the_phone(fake_phone, arguments, name):
    fake_phone.answer("signal", name)
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments()],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        # Whoever runs the tests in the background has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert done.returncode == 1
    assert "interrupted: nothing was written" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(fake_phone.shells("--graph=")) == 1
    assert fake_phone.calls[-1][1].startswith("pkill atpn-")
