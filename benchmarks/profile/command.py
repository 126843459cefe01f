"""Where a network's time goes: block by block, and by kind of operator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.inputs import files
from benchmarks.profile.graph import Graph, Operator, runner, take_turns
from benchmarks.results import Figure, Results, median_and_noise
from edge_runtime.spec import ModelSpec

BLOCKS = (
    ("stem", r"normalise|backbone/stem"),
    ("backbone, a quarter of the input's grid", r"backbone/low"),
    ("backbone, an eighth", r"backbone/mid"),
    ("backbone, a sixteenth", r"backbone/high"),
    ("fusion", r"\w+_lateral|\w+_to_mid|\w+_to_low|fuse"),
    ("multiview, a quarter", r"low_views"),
    ("multiview, an eighth", r"mid_views"),
    ("multiview, a sixteenth", r"high_views"),
    ("downsampling with coordinates", r"low_down|mid_down"),
    ("landmarks from the vector", r"to_vector|gather|activation|residual|log_sigma|decode"),
    ("heatmap", r"heatmap"),
    ("tracking branch", r"tracking_branch"),
    ("pose branch", r"pose_branch"),
    ("point head", r"points"),
    ("sums and results between them", r"$|serving_default"),
)
"""Name and pattern of the modules' paths, from their beginning: the first that matches counts."""
NOTES = (
    "Each block is cut out of the file and run alone on noise, in turn, so that it finds the caches as the others "
    "leave them; their sum tells how much the cutting adds.",
    "By operator: each alone, from warm caches; padding together with the convolution that takes it in.",
)


def blocks_of(operators: Sequence[Operator], path: Path) -> dict[str, list[Operator]]:
    """The file's operators by block. ValueError for names that an exporter of this version does not give."""
    found: dict[str, list[Operator]] = {}
    for operator in operators:
        name = next((block for block, pattern in BLOCKS if re.match(pattern, operator.name)), None)
        if name is None:
            raise ValueError(f"{path}: {operator.name!r} is in no block of the network: run `make export-tflite` again")
        found.setdefault(name, []).append(operator)
    return {block: found[block] for block, _ in BLOCKS if block in found}


def kinds_of(operators: Sequence[Operator]) -> dict[str, list[list[Operator]]]:
    """The operators by kind and precision; each is a group of its own, with a padding before it."""
    found: dict[str, list[list[Operator]]] = {}
    group: list[Operator] = []
    for operator in operators:
        group.append(operator)
        if operator.kind != "PAD":
            found.setdefault(f"{operator.kind}, {operator.precision}", []).append(group)
            group = []
    return found


@dataclass(frozen=True)
class ProfileConfig:
    """Options of `profile`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite files, or one file"})
    out: Path = field(default=Path("dist/bench/profile.json"), metadata={"help": "where the results are written"})
    runs: int = field(default=100, metadata={"help": "timed runs of each part"})

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"--runs must be 1 or more, got {self.runs}")


def profile(config: ProfileConfig) -> None:
    """Time every tracking network's parts, print tables, write the results."""
    paths = files(config.models, (".tflite",), "run `make export-tflite` first")
    paths = [path for path in paths if not ModelSpec.read(path).is_detector]
    figures: list[Figure] = []
    for path in paths:
        graph = Graph(path.read_bytes())
        blocks = blocks_of(graph.operators, path)
        calls = {name: runner(graph.part([o.index for o in block])) for name, block in blocks.items()}
        samples = take_turns(calls | {"whole file": runner(path.read_bytes())}, config.runs, again=False)
        macs = {name: sum(o.macs for o in block) for name, block in blocks.items()}
        macs["whole file"] = sum(macs.values())
        print(f"\n{path.name}")
        figures += _rows(f"time by block, {path.name}", samples, macs)
        kinds = kinds_of(graph.operators)
        groups = {f"{kind}#{i}": group for kind, several in kinds.items() for i, group in enumerate(several)}
        alone = take_turns(
            {name: runner(graph.part([o.index for o in group])) for name, group in groups.items()},
            config.runs,
            again=True,
        )
        sums = {
            kind: np.sum([alone[f"{kind}#{i}"] for i in range(len(several))], axis=0).tolist()
            for kind, several in kinds.items()
        }
        macs = {kind: sum(o.macs for group in several for o in group) for kind, several in kinds.items()}
        ordered = {kind: sums[kind] for kind in sorted(sums, key=lambda kind: -float(np.median(sums[kind])))}
        figures += _rows(f"time by operator, {path.name}", ordered, macs)
    Results("profile", figures, notes=NOTES, settings={"runs": config.runs, "threads": 1}).write(config.out)
    print(f"\nwritten: {config.out}")


def _rows(table: str, samples: dict[str, list[float]], macs: dict[str, int]) -> list[Figure]:
    """Figures of one table, which is printed, too."""
    times = {name: median_and_noise(values) for name, values in samples.items()}
    whole = sum(median for name, (median, _) in times.items() if name != "whole file")
    figures = []
    print(f"{'':40} {'ms':>8} {'%':>6} {'MMAC':>8} {'GMAC/s':>8}")
    for name, (median, noise) in times.items():
        million, share = macs[name] / 1e6, 100 * median / whole
        print(f"{name:40} {median:8.3f} {share:6.1f} {million:8.2f} {million / median:8.1f}")
        for column, value, unit, of_value, better in (
            ("time", median, "ms", noise, "less"),
            ("share of the parts' sum", share, "%", share * noise / median, ""),
            ("million multiply-adds", million, "", 0.0, ""),
            ("GMAC/s", million / median, "", million / median * noise / median, "more"),
        ):
            figures.append(Figure(table, name, column, value, unit, of_value, better))  # type: ignore[arg-type]
    return figures
