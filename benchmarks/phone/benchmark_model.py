"""Command line and output of TFLite's `benchmark_model`.

The program prints the same lines since 2018, with or without a prefix such as `INFO: `: `Initialized session in …ms`,
then two lines of statistics in µs that begin with `count=`, for the warm-up and the measurement. The summary below them
(`Inference timings in us: …`, or the table of LiteRT's newer program) repeats these numbers, and means success.
Delegates report their nodes in `Replacing N out of M node(s) with delegate (…)`, `Explicitly applied … delegate, and
the model graph will be …`, and `Though … delegate is explicitly applied, …`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Delegate = Literal["cpu", "xnnpack", "gpu", "nnapi"]
NAMES: dict[Delegate, str] = {"cpu": "CPU", "xnnpack": "XNNPACK", "gpu": "GPU", "nnapi": "NNAPI"}
"""Names in the program's output and in columns."""
FLAGS: dict[Delegate, str] = {
    # By default, newer programs use XNNPACK for all nodes that no other delegate takes.
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
"""Parts of the names of delegates' nodes: TfLiteXNNPackDelegate, TfLiteGpuDelegateV2, TfLiteNnapiDelegate, …"""
MAX_SECONDS = 20.0
"""Maximum seconds of warm-up and of measurement."""
NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
SERIES = re.compile(r"Running benchmark for at least .*?\bcount=\d+ ([^\n]*\bcurr=[^\n]*)$", re.DOTALL | re.MULTILINE)
SUMMARY = re.compile(r"[Ii]nference timings in us: |BENCHMARK RESULTS")
COMPLAINT = re.compile(
    r"^.*(?:ERROR: |Failed to |Segmentation fault|Aborted|Illegal instruction|CANNOT LINK|not executable|No such file|"
    r"Permission denied|is unsupported on this platform).*(?<!:)$",
    re.MULTILINE,
)
"""Pattern of an error message that is not a heading of others."""


@dataclass(frozen=True)
class Runner:
    """A delegate and its number of CPU threads."""

    delegate: Delegate
    threads: int

    @property
    def name(self) -> str:
        """Name for a column or a table."""
        if self.delegate in ("gpu", "nnapi"):
            return NAMES[self.delegate]
        return f"{NAMES[self.delegate]}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def command(self, program: str, model: str, runs: int) -> str:
        """Return the phone's command line for at least `runs` inferences."""
        flags = f"--num_threads={self.threads} --num_runs={runs} --max_secs={MAX_SECONDS:.0f} {FLAGS[self.delegate]}"
        return f"{shlex.quote(program)} --graph={shlex.quote(model)} {flags}"


RUNNERS = (
    *(Runner(delegate, threads) for delegate in ("cpu", "xnnpack") for threads in (1, 2, 4)),
    # The threads run the nodes that these two do not take.
    Runner("gpu", 4),
    Runner("nnapi", 4),
)


@dataclass(frozen=True)
class Output:
    """Measurements of one run of the program."""

    values: Mapping[str, float] = field(default_factory=dict)
    """ms, MiB, or nodes by name (see `phone.metrics`); empty if there is a problem."""
    problem: str = ""
    """Why there are no times: the runner failed, or the CPU did the work."""
    remark: str = ""
    """A restriction of the times: the delegate took only some of the nodes."""


def read_output(text: str, runner: Runner) -> Output:
    """Parse the program's output. Never raises: another output is a problem."""
    session = re.search(rf"Initialized session in ({NUMBER}) ?ms", text)
    series = SERIES.findall(text)
    is_whole = SUMMARY.search(text) is not None and "Benchmarking failed" not in text
    if session is None or len(series) < 2 or not is_whole:
        return Output(problem=_complaint(text))
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
    """Parse milliseconds by the program's names; a series of equal times has only `curr`."""
    values = {key: float(value) / 1000 for key, value in re.findall(rf"(\w+)=({NUMBER})", line)}
    equal = dict.fromkeys(("first", "min", "max", "avg"), values["curr"])
    return equal | {"std": 0.0} | values


def _memory(text: str) -> dict[str, float]:
    """Parse MiB above those of the program itself."""
    found = re.search(rf"footprint.*\(MB\): init=({NUMBER}) overall=({NUMBER})", text) or re.search(
        rf"Init footprint: +({NUMBER}) MB.*?Overall footprint: +({NUMBER}) MB", text, re.DOTALL
    )
    return {} if found is None else {"memory at start": float(found[1]), "memory": float(found[2])}


def _delegation(text: str, runner: Runner) -> tuple[float | None, str, str]:
    """Return the number of nodes that the delegate took, a problem, and a remark."""
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
            reason = _complaint(text, "it took none of the network")
        return None, f"{reason}; the CPU did the work", ""
    if nodes < total:
        return nodes, "", f"took {nodes} of {total} nodes, the CPU the rest"
    if applied is not None and applied[1] == "partially":
        return nodes or None, "", "took a part of the nodes, the CPU the rest"
    return nodes or None, "", ""


def _complaint(text: str, otherwise: str = "") -> str:
    """Return the first error message, else the last line."""
    found = COMPLAINT.search(text)
    line = found[0] if found else otherwise or text.strip().rpartition("\n")[2] or "it printed nothing"
    return re.sub(r"^(?:INFO|WARN|WARNING|ERROR): ", "", line).strip().rstrip(".")
