"""`python -m benchmarks compare BEFORE AFTER`: significant differences between two runs of the same benchmarks.

BEFORE and AFTER are results files, or folders of them; results of the same benchmark are compared metric by metric. A
metric or a benchmark that AFTER lacks, or whose value there is not a number, fails a gate as a worse one does. A
change counts if it exceeds `--sigmas` standard errors of the difference; the change of a time must also exceed
`--floor`. A metric that repeats exactly counts at any change above rounding. Curves are not compared.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.inputs import check_minimum, find_files
from benchmarks.results import Metric, Results
from edge_runtime.flags import flag

TIME_UNITS = ("ms", "s")
ROUNDING = 1e-9
"""Largest relative difference of equal numbers that were computed in another order."""
MACHINE_KEYS = {"processor", "cores", "device"}
"""Keys of a machine's description without which times are not comparable."""
MAX_LISTED = 8
"""Number of listed metrics that only one run has."""
EXIT_WORSE = 3
"""Exit status of `--gate` when a metric got worse or is missing."""

Verdict = Literal["worse", "better", "changed", "same"]
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "changed", "same")
"""In order of interest. `changed` is for metrics of which neither direction is better."""


@dataclass(frozen=True)
class Change:
    """One metric in two runs; both have a value."""

    before: Metric
    after: Metric

    @property
    def difference(self) -> float:
        """After minus before, in the metric's unit."""
        return self.after.value - self.before.value

    @property
    def std_error(self) -> float:
        """Standard error of the difference, in the metric's unit."""
        return math.hypot(self.before.std_error, self.after.std_error)

    def verdict(self, sigmas: float, floor: float) -> Verdict:
        """Return whether the change is significant, and its direction; `floor` is in % of the value before."""
        threshold = sigmas * self.std_error
        if self.after.unit in TIME_UNITS:
            threshold = max(threshold, floor / 100 * abs(self.before.value))
        elif not self.std_error:
            threshold = ROUNDING * max(abs(self.before.value), abs(self.after.value))
        if abs(self.difference) <= threshold:
            return "same"
        if self.after.lower_is_better is None:
            return "changed"
        return "better" if (self.difference < 0) == self.after.lower_is_better else "worse"


@dataclass(frozen=True)
class CompareConfig:
    """Options of `compare`."""

    before: Path = field(metadata={"help": "results file, or a folder of several benchmarks' results"})
    after: Path = field(metadata={"help": "the same from another run"})
    sigmas: float = flag(3.0, "significance threshold, standard errors of the difference")
    floor: float = flag(
        10.0, "minimum change of a time in percent: clock, heat, and load differ more between runs than within"
    )
    all: bool = flag(False, "list metrics that stayed the same, too")
    gate: bool = flag(False, f"exit with status {EXIT_WORSE} when a metric got worse, or AFTER lacks it")

    def __post_init__(self) -> None:
        check_minimum(self, sigmas=0, floor=0)


def compare(config: CompareConfig) -> None:
    """Print the changes as Markdown. Exit with status 3 when `gate` is set and a metric got worse or is missing.

    Raises:
        ResultsError: A file is not a results file.
        FileNotFoundError: There are no results.
        ValueError: The runs have no benchmark in common.
    """
    before, after = read_all(config.before), read_all(config.after)
    names = [name for name in before if name in after]
    if not names:
        given = f"{config.before} has {', '.join(before)}, {config.after} has {', '.join(after)}"
        raise ValueError(f"nothing to compare: {given}; give two runs of the same benchmark")
    print(f"# {config.before} → {config.after}")
    for path, only in ((config.before, before.keys() - after), (config.after, after.keys() - before)):
        if only:
            print(f"\nOnly in {path}: {', '.join(sorted(only))}.")
    failed = len(before.keys() - after)
    for name in names:
        changes = common(before[name].metrics, after[name].metrics)
        verdicts = [change.verdict(config.sigmas, config.floor) for change in changes]
        failed += verdicts.count("worse") + len(_by_key(before[name].metrics).keys() - _by_key(after[name].metrics))
        print(f"\n## {name}\n")
        print("\n".join([*conditions(before[name], after[name]), *summary(before[name], after[name], verdicts)]))
        shown = [pair for pair in zip(verdicts, changes, strict=True) if config.all or pair[0] != "same"]
        if shown:
            print("\n" + table(sorted(shown, key=lambda pair: VERDICTS.index(pair[0]))))
    if failed and config.gate:
        sys.exit(EXIT_WORSE)


def read_all(path: Path) -> dict[str, Results]:
    """Read one results file or a folder of them, by benchmark. Raise ValueError for two of one benchmark."""
    found: dict[str, Results] = {}
    for file in find_files(path, (".json",), "run benchmarks first"):
        results = Results.read(file)
        if results.benchmark in found:
            raise ValueError(f"{path} has two results of {results.benchmark}; compare files instead of folders")
        found[results.benchmark] = results
    return found


def common(before: Sequence[Metric], after: Sequence[Metric]) -> list[Change]:
    """Return the metrics that both runs have, in the order of `after`."""
    earlier = _by_key(before)
    return [Change(earlier[key], metric) for key, metric in _by_key(after).items() if key in earlier]


def conditions(before: Results, after: Results) -> list[str]:
    """Return Markdown lines for differences of machine, versions, and settings."""
    machines = _differences(_without_clock(before.machine), _without_clock(after.machine))
    differing = {**machines, **_differences(before.settings, after.settings)}
    lines = [f"- `{name}`: {old} → {new}" for name, (old, new) in differing.items()]
    if not MACHINE_KEYS.isdisjoint(machines):
        lines.append("- **Warning**: the machines differ, so times are not comparable.")
    return ["The runs differ in:", "", *lines, ""] if lines else []


def summary(before: Results, after: Results, verdicts: Sequence[Verdict]) -> list[str]:
    """Return Markdown lines: the number of changes, and the metrics that only one run has."""
    counts = Counter(verdicts)
    shown = [verdict for verdict in VERDICTS if verdict != "changed" or counts[verdict]]
    lines = [", ".join(f"{counts[verdict]} {verdict}" for verdict in shown)]
    earlier, later = _by_key(before.metrics), _by_key(after.metrics)
    for when, metrics, others in (("before", earlier, later), ("after", later, earlier)):
        only = [_title(metric) for key, metric in metrics.items() if key not in others]
        if only:
            more = f"; and {len(only) - MAX_LISTED} more" if len(only) > MAX_LISTED else ""
            lines += ["", f"Only {when}: {'; '.join(only[:MAX_LISTED])}{more}."]
    return lines


def table(changes: Sequence[tuple[Verdict, Change]]) -> str:
    """Return a Markdown table with one row per change; `/ std error` is the difference in standard errors."""
    lines = ["| | metric | before | after | change | / std error |", "|---|---|--:|--:|--:|--:|"]
    for verdict, change in changes:
        values = " | ".join(_value(metric) for metric in (change.before, change.after))
        relative = _signed(100 * change.difference / abs(change.before.value)) + " %" if change.before.value else ""
        errors = _signed(change.difference / change.std_error) if change.std_error else ""
        lines.append(f"| {verdict} | {_title(change.after)} | {values} | {relative} | {errors} |")
    return "\n".join(lines)


def _by_key(metrics: Sequence[Metric]) -> dict[tuple[str, ...], Metric]:
    """Return the metrics with a value. The unit is part of the key, because other units are not comparable."""
    return {(*metric.key, metric.unit): metric for metric in metrics if metric.value is not None}


def _without_clock(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the current clock frequency, which always differs."""
    return {**machine, "mhz": {name: value for name, value in machine.get("mhz", {}).items() if name != "now"}}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    earlier, later = _flat(before), _flat(after)
    pairs = {name: (earlier.get(name, "unknown"), later.get(name, "unknown")) for name in earlier | later}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested mappings to keys such as `versions.numpy`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping)
        flat |= {f"{name}.{key}": each for key, each in _flat(value).items()} if nested else {name: value}
    return flat


def _title(metric: Metric) -> str:
    return " / ".join(metric.key).replace("|", "\\|")


def _value(metric: Metric) -> str:
    error = f" ± {metric.std_error:.1g}" if metric.std_error else ""
    return f"{metric.value:.4g}{error} {metric.unit}".rstrip()


def _signed(number: float) -> str:
    return f"{number:+.1f}" if abs(number) >= 0.1 else f"{number:+.1g}"
