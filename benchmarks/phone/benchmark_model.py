"""TFLite's `benchmark_model`: its command line, and what its output says.

The program prints the same lines since 2018, with or without a prefix such as `INFO: `: `Initialized session in …ms`,
then two lines of statistics in µs that begin with `count=`, of the warm-up and of what counts. The summary below them
(`Inference timings in us: …`, or the table of LiteRT's newer program) repeats these numbers; it shows that all went
well. Delegates tell what they took in `Replacing N out of M node(s) with delegate (…)`, `Explicitly applied … delegate,
and the model graph will be …` and `Though … delegate is explicitly applied, …`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Delegate = Literal["cpu", "xnnpack", "gpu", "nnapi"]
NAMES: dict[Delegate, str] = {"cpu": "CPU", "xnnpack": "XNNPACK", "gpu": "GPU", "nnapi": "NNAPI"}
"""As in the program's sentences, and as a column is named."""
FLAGS: dict[Delegate, str] = {
    # Newer programs take XNNPACK for what no other delegate takes unless they are told not to.
    "cpu": "--use_xnnpack=false",
    "xnnpack": "--use_xnnpack=true",
    "gpu": "--use_gpu=true",
    "nnapi": "--use_nnapi=true",
}
KERNELS: dict[Delegate, str] = {
    "xnnpack": "XNNPack",
    "gpu": "Gpu|LITERT_CL|LITERT_OPENGL",
    "nnapi": "Nnapi",
}
"""In the names that delegates give their nodes: TfLiteXNNPackDelegate, TfLiteGpuDelegateV2, TfLiteNnapiDelegate, …"""
LONGEST = 20.0
"""Seconds that warm-up and measurement may take each."""
NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
SERIES = re.compile(r"Running benchmark for at least .*?\bcount=\d+ ([^\n]*\bcurr=[^\n]*)$", re.DOTALL | re.MULTILINE)
SUMMARY = re.compile(r"[Ii]nference timings in us: |BENCHMARK RESULTS")
TROUBLE = re.compile(
    r"^.*(?:ERROR: |Failed to |Segmentation fault|Aborted|Illegal instruction|CANNOT LINK|not executable|No such file|"
    r"Permission denied|is unsupported on this platform).*(?<!:)$",
    re.MULTILINE,
)
"""A complaint that is no heading of others."""


@dataclass(frozen=True)
class Runner:
    """What runs the network, with how many CPU threads."""

    delegate: Delegate
    threads: int

    @property
    def name(self) -> str:
        """A column's or a table's name."""
        if self.delegate in ("gpu", "nnapi"):
            return NAMES[self.delegate]
        return f"{NAMES[self.delegate]}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def command(self, program: str, model: str, runs: int) -> str:
        """The phone's command line for at least `runs` inferences."""
        flags = f"--num_threads={self.threads} --num_runs={runs} --max_secs={LONGEST:.0f} {FLAGS[self.delegate]}"
        return f"{shlex.quote(program)} --graph={shlex.quote(model)} {flags}"


RUNNERS = (
    *(Runner(delegate, threads) for delegate in ("cpu", "xnnpack") for threads in (1, 2, 4)),
    # The threads run what these two leave to the CPU.
    Runner("gpu", 4),
    Runner("nnapi", 4),
)


@dataclass(frozen=True)
class Output:
    """What one run of the program measured."""

    values: Mapping[str, float] = field(default_factory=dict)
    """By a figure's name (see `phone.figures`): ms, MiB or nodes; empty where there is a problem."""
    problem: str = ""
    """Why the times are not those of the runner: it failed, or the CPU did the work."""
    remark: str = ""
    """What a reader of the times has to know: the delegate took a part only."""


def read_output(text: str, runner: Runner) -> Output:
    """Read what the program printed, whatever it is; it never raises."""
    session = re.search(rf"Initialized session in ({NUMBER}) ?ms", text)
    series = SERIES.findall(text)
    is_whole = SUMMARY.search(text) is not None and "Benchmarking failed" not in text
    if session is None or len(series) < 2 or not is_whole:
        return Output(problem=_trouble(text))
    nodes, problem, remark = _delegation(text, runner)
    if problem:
        return Output(problem=problem)
    warm_up, timed = (_statistics(line) for line in series[:2])
    values = {
        "start": float(session[1]),
        "first": warm_up["first"],
        "warm-up": warm_up["avg"],
        "mean": timed["avg"],
        "fastest": timed["min"],
        "slowest": timed["max"],
        "deviation": timed["std"],
    }
    values |= {name: timed[key] for name, key in (("median", "median"), ("95 %", "p95")) if key in timed}
    return Output(values | _memory(text) | ({} if nodes is None else {"nodes": nodes}), remark=remark)


def _statistics(line: str) -> dict[str, float]:
    """Milliseconds by the program's names; a series of equal times has only `curr`."""
    told = {key: float(value) / 1000 for key, value in re.findall(rf"(\w+)=({NUMBER})", line)}
    equal = dict.fromkeys(("first", "min", "max", "avg"), told["curr"])
    return equal | {"std": 0.0} | told


def _memory(text: str) -> dict[str, float]:
    """MiB above what the program itself takes."""
    found = re.search(rf"footprint.*\(MB\): init=({NUMBER}) overall=({NUMBER})", text) or re.search(
        rf"Init footprint: +({NUMBER}) MB.*?Overall footprint: +({NUMBER}) MB", text, re.DOTALL
    )
    return {} if found is None else {"memory at start": float(found[1]), "memory": float(found[2])}


def _delegation(text: str, runner: Runner) -> tuple[float | None, str, str]:
    """Nodes that the delegate took, a problem and a remark."""
    taken = re.findall(r"Replacing (\d+)(?: out of (\d+))? node\(s\) with delegate \((\w+)\)", text)
    ignored = re.search(r"Unconsumed cmdline flags:.*(--use_\w+)", text)
    if runner.delegate == "cpu":
        culprit = taken[0][2] if taken else "XNNPACK"
        return None, f"this benchmark_model does not run without {culprit}" if ignored or taken else "", ""
    name = NAMES[runner.delegate]
    ours = [
        (int(count), int(total or 0)) for count, total, kernel in taken if re.search(KERNELS[runner.delegate], kernel)
    ]
    nodes, total = (sum(column) for column in zip(*ours, strict=True)) if ours else (0, 0)
    applied = re.search(rf"Explicitly applied {name} delegate, and the model graph will be (\w+)", text)
    if not nodes and applied is None:
        if ignored:
            reason = f"this benchmark_model does not know {ignored[1]}"
        elif "accelerators available: [nnapi-reference]" in text:
            reason = "no accelerator here, only its CPU reference"
        else:
            reason = _trouble(text, "it took none of the network")
        return None, f"{reason}; the CPU did the work", ""
    if nodes < total:
        return nodes, "", f"took {nodes} of {total} nodes, the CPU the rest"
    if applied is not None and applied[1] == "partially":
        return nodes or None, "", "took a part of the nodes, the CPU the rest"
    return nodes or None, "", ""


def _trouble(text: str, otherwise: str = "") -> str:
    """The first line that complains, else the last one."""
    found = TROUBLE.search(text)
    line = found[0] if found else otherwise or text.strip().rpartition("\n")[2] or "it printed nothing"
    return re.sub(r"^(?:INFO|WARN|WARNING|ERROR): ", "", line).strip().rstrip(".")
