"""Results that the Android app shares: one JSON object.

{
  "format": 1,
  "device": {
    "manufacturer": "Google",        Build.MANUFACTURER
    "model": "Pixel 8",              Build.MODEL
    "soc": "Google Tensor G3",       Build.SOC_MANUFACTURER and SOC_MODEL; null below API level 31
    "hardware": "zuma",              Build.HARDWARE
    "cores": 9,                      Runtime.availableProcessors()
    "fingerprint": "google/…"        Build.FINGERPRINT
  },
  "android": {"release": "15", "api": 35},
  "app": {"version": "0.1.0", "litert": "1.4.0"},
  "battery_celsius": {"before": 28.4, "after": 31.0},      either is null where unknown
  "runs": [
    {
      "model": "atpn_int8.tflite",   the file's name
      "sha256": "…",                 of the file, 64 hexadecimal digits
      "delegate": "xnnpack",         cpu, xnnpack, gpu or nnapi
      "threads": 4,                  of the CPU, also beside a delegate
      "init_ms": 31.5,               from the file's bytes to a ready interpreter; null after an error
      "frames_ms": [9.1, 2.2, …],    each frame's network from crop to outputs, in order, the first inference first:
                                     200 of them; empty after an error
      "nodes_delegated": null,       null where unknown
      "error": null                  what failed, such as a delegate that refuses the network
    }
  ]
}
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.phone.adb import phone_description
from benchmarks.phone.benchmark_model import Delegate, Runner
from benchmarks.phone.metrics import battery_metrics, compute_metrics
from benchmarks.results import Metric, Results, median_and_error
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_json

FORMAT = 1
WARM_UP = 0.1
"""Fraction of the frames, at the beginning, that the statistics leave out."""
MIN_FRAMES = 20
"""Minimum number of frames for the standard error of a median."""


class AppResultsError(EdgeRuntimeError, ValueError):
    """A file was not shared by the app."""


@dataclass(frozen=True)
class AppRun:
    """One model on one runner of the app. Raises ValueError for invalid values."""

    model: str
    sha256: str
    delegate: Delegate
    threads: int
    init_ms: float | None
    frames_ms: list[float]
    nodes_delegated: int | None
    error: str | None

    def __post_init__(self) -> None:
        if self.delegate not in get_args(Delegate):
            raise ValueError(f"delegate {self.delegate!r} is none of {', '.join(get_args(Delegate))}")
        if len(self.sha256) != 64:
            raise ValueError(f"sha256 of {self.model} has {len(self.sha256)} digits instead of 64")
        if self.error is None:
            if len(self.frames_ms) < MIN_FRAMES:
                frames = len(self.frames_ms)
                raise ValueError(f"{self.model} on {self.delegate} has {frames} frames, fewer than {MIN_FRAMES}")
            if not all(math.isfinite(each) and each >= 0 for each in (self.init_ms, *self.frames_ms)):
                raise ValueError(f"{self.model} on {self.delegate} has an invalid time")

    @property
    def runner(self) -> Runner:
        """The runner of the network."""
        return Runner(self.delegate, self.threads)

    def metrics(self) -> list[Metric]:
        """Return the metrics; none after an error."""
        if self.error is not None:
            return []
        kept = self.frames_ms[round(WARM_UP * len(self.frames_ms)) :]
        values = {
            "median": median_and_error(kept),
            "start": (self.init_ms, 0.0),
            "first": (self.frames_ms[0], 0.0),
            "95 %": (float(np.percentile(kept, 95)), 0.0),
            "fastest": (min(kept), 0.0),
            "slowest": (max(kept), 0.0),
            "deviation": (float(np.std(kept)), 0.0),
        }
        if self.nodes_delegated is not None:
            values["nodes"] = (self.nodes_delegated, 0.0)
        return compute_metrics(self.model, self.runner, values)


def read_app_results(path: Path) -> Results:
    """Read the app's file as results. Raise AppResultsError for another file, FileNotFoundError for none."""
    try:
        content = read_json(path, limit=MAX_MODEL_BYTES)
        if content["format"] != FORMAT:
            raise ValueError(f"format is {content['format']!r}, expected {FORMAT}")
        runs = [AppRun(**run) for run in content["runs"]]
        if not runs:
            raise ValueError("it has no runs")
        return Results(
            "phone-app",
            [*(metric for run in runs for metric in run.metrics()), *battery_metrics(**content["battery_celsius"])],
            notes=[f"{run.runner.name}: {run.error} ({run.model})" for run in runs if run.error is not None],
            settings={"frames": max(len(run.frames_ms) for run in runs), "sha256": {r.model: r.sha256 for r in runs}},
            machine=_machine(content),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AppResultsError(
            f"{path} was not shared by the app ({quote(repr(error))}); share it from the app again"
        ) from error


def _machine(content: dict[str, Any]) -> dict[str, Any]:
    device, android = content["device"], content["android"]
    description = phone_description(
        device=f"{device['manufacturer']} {device['model']}",
        processor=device["soc"] or device["hardware"],
        android=android["release"],
        api=android["api"],
        cores=device["cores"],
    )
    return description | {"build": device["fingerprint"], "versions": dict(content["app"])}
