"""`python -m benchmarks compare A B`: what changed between two runs of the same benchmarks, and what is only noise.

A and B are results that benchmarks wrote, or folders of them; results of the same benchmark belong together. Every
figure that both have is compared. Its change counts when it is larger than `--sigmas` times the noise of the
difference, which is the root of both squared noises; a time has to change by more than `--floor` besides. What repeats
exactly (no noise, not a time) counts at any change above rounding. Curves are not compared: what matters of them is in
the figures.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.inputs import files
from benchmarks.results import Figure, Results

TIME_UNITS = ("ms", "s")
ROUNDING = 1e-9
"""Relative change below which two numbers are the same number, computed in another order."""
ANOTHER_MACHINE = {"processor", "cores", "device"}
"""What of a machine's description makes times another machine's."""
MOST_NAMED = 8
"""Figures that only one run has."""
WORSE = 3
"""Exit status of `--gate` when something got worse."""

Verdict = Literal["worse", "better", "changed", "same"]
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "changed", "same")
"""In order of interest. `changed` is what changed where neither direction is better."""


@dataclass(frozen=True)
class Change:
    """One figure of two runs; both values are there."""

    before: Figure
    after: Figure

    @property
    def difference(self) -> float:
        """After minus before, in the figure's unit."""
        return self.after.value - self.before.value

    @property
    def noise(self) -> float:
        """Standard error of the difference, in the figure's unit."""
        return math.hypot(self.before.noise, self.after.noise)

    def verdict(self, sigmas: float, floor: float) -> Verdict:
        """Whether the change counts, with `floor` in % of the value before, and which way it goes."""
        size = abs(self.difference)
        least = sigmas * self.noise
        if self.after.unit in TIME_UNITS:
            least = max(least, floor / 100 * abs(self.before.value))
        elif not self.noise:
            least = ROUNDING * max(abs(self.before.value), abs(self.after.value))
        if size <= least:
            return "same"
        if not self.after.better:
            return "changed"
        return "better" if (self.difference < 0) == (self.after.better == "less") else "worse"


@dataclass(frozen=True)
class CompareConfig:
    """Options of `compare`."""

    before: Path = field(metadata={"help": "results of one benchmark, or a folder of several benchmarks' results"})
    after: Path = field(metadata={"help": "the same from another run"})
    sigmas: float = field(default=3.0, metadata={"help": "a change counts above so many times the noise of both runs"})
    floor: float = field(
        default=10.0,
        metadata={
            "help": "a time's change counts above so many percent besides, whatever its noise: repeats within one run "
            "do not know what another run would find, such as the processor's clock and heat, other load, or where the "
            "memory lay"
        },
    )
    all: bool = field(default=False, metadata={"help": "list the figures that stayed the same, too"})
    gate: bool = field(default=False, metadata={"help": f"exit status {WORSE} when a figure got worse"})

    def __post_init__(self) -> None:
        if self.sigmas < 0 or self.floor < 0:
            raise ValueError(f"--sigmas and --floor must be 0 or more, got {self.sigmas:g} and {self.floor:g}")


def compare(config: CompareConfig) -> None:
    """Print what changed as markdown.

    ResultsError for a file that is no results, FileNotFoundError for none, ValueError where both have no benchmark in
    common. Ends with exit status 3 when `gate` is set and a figure got worse.
    """
    before, after = read_all(config.before), read_all(config.after)
    names = [name for name in before if name in after]
    if not names:
        held = f"{config.before} holds {', '.join(before)}, {config.after} holds {', '.join(after)}"
        raise ValueError(f"nothing to compare: {held}; give two runs of the same benchmark")
    print(f"# {config.before} → {config.after}")
    for path, only in ((config.before, before.keys() - after), (config.after, after.keys() - before)):
        if only:
            print(f"\nOnly in {path}: {', '.join(sorted(only))}.")
    worse = 0
    for name in names:
        changes = common(before[name].figures, after[name].figures)
        verdicts = [change.verdict(config.sigmas, config.floor) for change in changes]
        worse += verdicts.count("worse")
        print(f"\n## {name}\n")
        print("\n".join([*conditions(before[name], after[name]), *summary(before[name], after[name], verdicts)]))
        shown = [pair for pair in zip(verdicts, changes, strict=True) if config.all or pair[0] != "same"]
        if shown:
            print("\n" + table(sorted(shown, key=lambda pair: VERDICTS.index(pair[0]))))
    if worse and config.gate:
        sys.exit(WORSE)


def read_all(where: Path) -> dict[str, Results]:
    """Results by their benchmark's name, of one file or a folder's. ValueError for two of one benchmark."""
    found: dict[str, Results] = {}
    for path in files(where, (".json",), "run benchmarks first"):
        results = Results.read(path)
        if results.benchmark in found:
            raise ValueError(f"{where} holds two results of {results.benchmark}: compare files instead of folders")
        found[results.benchmark] = results
    return found


def common(before: Sequence[Figure], after: Sequence[Figure]) -> list[Change]:
    """Figures that both have, in the order after."""
    past = _named(before)
    return [Change(past[name], figure) for name, figure in _named(after).items() if name in past]


def conditions(before: Results, after: Results) -> list[str]:
    """Lines of markdown that tell where machine, versions and settings differ; none where they do not."""
    machines = _differences(_steady(before.machine), _steady(after.machine))
    differing = {**machines, **_differences(before.settings, after.settings)}
    lines = [f"- `{name}`: {past} → {present}" for name, (past, present) in differing.items()]
    if not ANOTHER_MACHINE.isdisjoint(machines):
        lines.append("- **Warning**: the machines differ, so the times tell of the machines, too.")
    return ["Both runs differ in:", "", *lines, ""] if lines else []


def summary(before: Results, after: Results, verdicts: Sequence[Verdict]) -> list[str]:
    """Lines of markdown: how many figures changed, and which only one run has."""
    counts = Counter(verdicts)
    lines = [
        ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict != "changed" or counts[verdict])
    ]
    past, present = _named(before.figures), _named(after.figures)
    for when, ours, theirs in (("before", past, present), ("after", present, past)):
        only = [_title(figure) for name, figure in ours.items() if name not in theirs]
        if only:
            more = f"; and {len(only) - MOST_NAMED} more" if len(only) > MOST_NAMED else ""
            lines += ["", f"Only {when}: {'; '.join(only[:MOST_NAMED])}{more}."]
    return lines


def table(changes: Sequence[tuple[Verdict, Change]]) -> str:
    """Markdown with one row per change; `/ noise` is the difference in units of its noise."""
    lines = ["| | figure | before | after | change | / noise |", "|---|---|--:|--:|--:|--:|"]
    for verdict, change in changes:
        values = " | ".join(_value(figure) for figure in (change.before, change.after))
        share = _signed(100 * change.difference / abs(change.before.value)) + " %" if change.before.value else ""
        noise = _signed(change.difference / change.noise) if change.noise else ""
        lines.append(f"| {verdict} | {_title(change.after)} | {values} | {share} | {noise} |")
    return "\n".join(lines)


def _named(figures: Sequence[Figure]) -> dict[tuple[str, ...], Figure]:
    """Those that have a value. The unit is part of the name: numbers of different units cannot be compared."""
    return {(f.table, f.row, f.column, f.unit): f for f in figures if f.value is not None}


def _steady(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Without the frequency of the moment, which always differs."""
    mhz = {name: value for name, value in machine.get("mhz", {}).items() if name != "now"}
    return {**machine, "mhz": mhz}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    past, present = _flat(before), _flat(after)
    pairs = {name: (past.get(name, "not told"), present.get(name, "not told")) for name in past | present}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one with names such as `versions.numpy`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value) if isinstance(value, Mapping) else None
        flat |= {name: value} if inner is None else {f"{name}.{key}": each for key, each in inner.items()}
    return flat


def _title(figure: Figure) -> str:
    return " / ".join((figure.table, figure.row, figure.column)).replace("|", "\\|")


def _value(figure: Figure) -> str:
    noise = f" ± {figure.noise:.1g}" if figure.noise else ""
    return f"{figure.value:.4g}{noise} {figure.unit}".rstrip()


def _signed(number: float) -> str:
    return f"{number:+.1f}" if abs(number) >= 0.1 else f"{number:+.1g}"
