"""The machine: its processor, and the instruction sets that decide which model file is fast on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_X86 = {"AVX2": "avx2", "AVX-512 VNNI": "avx512_vnni", "AVX-VNNI": "avx_vnni", "AMX-int8": "amx_int8"}
_ARM = {"dotprod": "asimddp", "i8mm": "i8mm"}
"""Instruction sets, and their flags in /proc/cpuinfo."""
_MAC_X86 = {"AVX2": "AVX2", "AVX-512 VNNI": "AVX512VNNI"}
_MAC_ARM = {"dotprod": "hw.optional.arm.FEAT_DotProd", "i8mm": "hw.optional.arm.FEAT_I8MM"}
"""The same in macOS: names in `machdep.cpu.leaf7_features`, and values of their own."""
_WITHOUT_INT8 = {"AVX2"}
"""Instruction sets without products of int8 vectors that add up in int32."""


@dataclass(frozen=True)
class Processor:
    """The processor as a program sees it."""

    name: str
    cores: int
    """Number of cores that this process may use."""
    features: Mapping[str, bool]
    """Whether the processor has each instruction set; empty if the system does not say."""

    @property
    def int8_features(self) -> list[str]:
        """Instruction sets for int8 dot products that the processor has."""
        return [name for name, present in self.features.items() if present and name not in _WITHOUT_INT8]


def processor() -> Processor:
    """Return what the system says about the processor."""
    try:
        text = CPUINFO.read_text(errors="replace")
    except OSError:
        text = ""
    if text:
        name, features = parse_cpuinfo(text)
    elif sys.platform == "darwin":
        name, features = parse_sysctl(_sysctl())
    else:
        name, features = "", {}
    return Processor(name or platform.processor() or platform.machine(), available_cores(), features)


def processor_name() -> str:
    """Return the processor's name, or the board's where the system reports no processor."""
    return processor().name


def int8_speeds_up() -> bool:
    """Return whether int8 model files are known to be faster than float ones here: whether int8 dot products are.

    Without them, int8 takes as long as float. False if the system does not say.
    """
    return bool(processor().int8_features)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_cpuinfo(text: str) -> tuple[str, dict[str, bool]]:
    """Return the processor's or board's name, and the instruction sets, from the text of /proc/cpuinfo."""
    pairs = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    names = [value for key, value in pairs if key in {"model name", "Model"}]
    for key, known in (("flags", _X86), ("Features", _ARM)):
        cores = [set(value.split()) for name, value in pairs if name == key]
        if cores:
            shared = set.intersection(*cores)  # small and large cores may differ
            return next(iter(names), ""), {name: flag in shared for name, flag in known.items()}
    return next(iter(names), ""), {}


def parse_sysctl(text: str) -> tuple[str, dict[str, bool]]:
    """Return the processor's name and the instruction sets from `sysctl hw.optional machdep.cpu` of macOS."""
    values = {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    features: dict[str, bool] = {}
    if leaf7 := values.get("machdep.cpu.leaf7_features"):
        features = {name: flag in leaf7.split() for name, flag in _MAC_X86.items()}
    elif any(key.startswith("hw.optional.arm") for key in values):
        features = {name: values.get(key) == "1" for name, key in _MAC_ARM.items()}
    return values.get("machdep.cpu.brand_string", ""), features


def _sysctl() -> str:
    try:
        command = ["/usr/sbin/sysctl", "hw.optional", "machdep.cpu"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
