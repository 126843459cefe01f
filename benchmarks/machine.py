"""The machine and the versions that measured figures belong to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from edge_runtime.machine import processor_name

PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime", "torch")
FREQUENCIES = Path("/sys/devices/system/cpu/cpu0/cpufreq")
CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Processor, its cores and MHz as far as the system tells, system, and installed packages' versions."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "mhz": megahertz(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }


def megahertz() -> dict[str, float]:
    """`now` and, where the system scales frequencies, `most`; empty where it tells neither."""
    found = {}
    for key, file in (("now", "scaling_cur_freq"), ("most", "cpuinfo_max_freq")):
        try:
            found[key] = int((FREQUENCIES / file).read_text()) / 1000
        except (OSError, ValueError):
            continue
    if "now" not in found:
        try:
            lines = CPUINFO.read_text().splitlines()
        except OSError:
            return found
        values = [line.partition(":")[2] for line in lines if line.startswith("cpu MHz")]
        if values:
            found["now"] = max(float(value) for value in values)
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
