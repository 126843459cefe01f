"""Results that the Android app shares."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.results import Results

RUN = {
    "model": "atpn_int8.tflite",
    "sha256": "0f" * 32,
    "delegate": "xnnpack",
    "threads": 4,
    "init_ms": 31.5,
    "frames_ms": [9.0, *([4.0] * 19), *np.linspace(2, 3, 180).tolist()],
    "nodes_delegated": None,
    "error": None,
}
SHARED = {
    "format": 1,
    "device": {
        "manufacturer": "Maker",
        "model": "Phone",
        "soc": None,
        "hardware": "kona",
        "cores": 8,
        "fingerprint": "maker/phone:14/1",
    },
    "android": {"release": "14", "api": 34},
    "app": {"version": "0.1.0", "litert": "1.4.0"},
    "battery_celsius": {"before": 28.5, "after": None},
    "runs": [
        RUN,
        RUN | {"delegate": "nnapi", "init_ms": None, "frames_ms": [], "error": "ANEURALNETWORKS_BAD_DATA"},
        RUN | {"delegate": "gpu", "nodes_delegated": 54},
    ],
}


def share(tmp_path, **changes):
    path = tmp_path / "shared.json"
    path.write_text(json.dumps(SHARED | changes))
    return ["phone", "--app-results", str(path), "--out", str(tmp_path / "out.json")]


def test_app_results_become_metrics(tmp_path, capsys):
    assert main(share(tmp_path)) == 0
    results = Results.read(tmp_path / "out.json")
    metrics = {(metric.table, metric.row, metric.column): metric for metric in results.metrics}
    median = metrics["median", "atpn_int8.tflite", "XNNPACK, 4 threads"]
    assert median.value == pytest.approx(2.5), "without the first tenth, which warms up"
    assert median.std_error > 0
    column = {name: metrics["GPU", "atpn_int8.tflite", name].value for name in ("start", "first", "slowest", "nodes")}
    assert column == {"start": 31.5, "first": 9.0, "slowest": 3.0, "nodes": 54}
    assert metrics["battery", "temperature", "before"].value == 28.5
    assert metrics["battery", "temperature", "after"].value is None
    assert not any("NNAPI" in name for key in metrics for name in key)
    assert list(results.notes) == ["NNAPI: ANEURALNETWORKS_BAD_DATA (atpn_int8.tflite)"]
    assert results.benchmark == "phone-app"
    assert results.machine["device"] == "Maker Phone"
    assert results.machine["processor"] == "kona"
    assert results.machine["versions"] == SHARED["app"]
    assert results.settings == {"frames": 200, "sha256": {"atpn_int8.tflite": "0f" * 32}}
    assert "XNNPACK, 4 threads, ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format is 2, expected 1"),
        ({"runs": []}, "it has no runs"),
        ({"runs": [RUN | {"delegate": "tpu"}]}, "delegate 'tpu' is none of cpu, xnnpack, gpu, nnapi"),
        ({"runs": [RUN | {"sha256": "0f"}]}, "has 2 digits instead of 64"),
        ({"runs": [RUN | {"frames_ms": [1.0]}]}, "has 1 frames, fewer than 20"),
        ({"runs": [RUN | {"frames_ms": [float("nan")] * 30}]}, "all must be finite"),
        ({"runs": [RUN | {"frames_ms": [-1.0] * 30}]}, "an invalid time"),
        ({"runs": [RUN | {"init_ms": None}]}, "was not shared by the app"),
        ({"runs": [{"model": "a"}]}, "was not shared by the app"),
        ({"runs": [RUN, RUN]}, "two metrics for"),
        ({"device": {}}, "manufacturer"),
    ],
)
def test_app_results_reject_another_file(tmp_path, changes, message, capsys):
    assert main(share(tmp_path, **changes)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_app_results_reject_no_file_and_no_times(tmp_path, capsys):
    assert main(["phone", "--app-results", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
    assert main(share(tmp_path, runs=SHARED["runs"][1:2])) == 1
    assert "nothing was measured on Maker Phone" in capsys.readouterr().err
