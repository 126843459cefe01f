"""The machine and the package versions that results belong to."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edge_runtime.machine import processor_name
from platform_checks.device_outputs import package_versions

FREQUENCIES = Path("/sys/devices/system/cpu/cpu0/cpufreq")
CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Return the processor, its cores and MHz where known, the system, and versions of installed packages."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "mhz": megahertz(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": package_versions(),
    }


def megahertz() -> dict[str, float]:
    """Return the clock `now` and, where the system scales it, its maximum (`most`); empty where unknown."""
    found = {}
    for key, file in (("now", "scaling_cur_freq"), ("most", "cpuinfo_max_freq")):
        try:
            found[key] = int((FREQUENCIES / file).read_text()) / 1000
        except (OSError, ValueError):
            continue
    if "now" not in found and CPUINFO.is_file():
        lines = CPUINFO.read_text().splitlines()
        values = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        if values:
            found["now"] = max(values)
    return found
