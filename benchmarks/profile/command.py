"""`python -m benchmarks profile`: time of a network by block and by kind of operator."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.inputs import check_minimum, model_files, models_option, out_option
from benchmarks.profile.graph import WARM_UP, Graph, Operator, load_call
from benchmarks.results import Metric, Results, median_and_error
from benchmarks.tables import publish
from benchmarks.timing import time_in_turn
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFile
from edge_runtime.spec import ModelSpec, read_spec

BLOCKS = (
    ("stem", r"normali[sz]e|backbone/stem"),
    ("backbone, a quarter of the input's grid", r"backbone/low"),
    ("backbone, an eighth", r"backbone/mid"),
    ("backbone, a sixteenth", r"backbone/high"),
    ("fusion", r"\w+_lateral|\w+_to_mid|\w+_to_low|fuse"),
    ("multiview, a quarter", r"low_views"),
    ("multiview, an eighth", r"mid_views"),
    ("multiview, a sixteenth", r"high_views"),
    ("downsampling with coordinates", r"low_down|mid_down"),
    ("landmarks from the vector", r"to_vector|gather|activation|residual|log_sigma|decode"),
    ("refinement of landmarks", r"refinement"),
    ("heatmap", r"heatmap"),
    ("tracking branch", r"tracking_branch"),
    ("pose branch", r"pose_branch"),
    ("point head", r"points"),
    ("expression branch", r"expression_branch"),
    ("sums and results between them", r"$|serving_default"),
)
"""Name and pattern of module paths, matched at the beginning; the first match counts."""
WHOLE = "whole file"
NOTES = (
    "Each block is extracted from the file and run alone on noise, in turn, so that it finds the caches as the others "
    "leave them. The difference of their sum to the whole file is the cost of the extraction.",
    "By operator: each alone, with warm caches; padding together with its convolution.",
)


def blocks_of(operators: Sequence[Operator], path: Path) -> dict[str, list[Operator]]:
    """Return the file's operators by block. Raise ValueError for names that this version's exporter does not write."""
    found: dict[str, list[Operator]] = {}
    for operator in operators:
        name = next((block for block, pattern in BLOCKS if re.match(pattern, operator.name)), None)
        if name is None:
            raise ValueError(f"{path}: {operator.name!r} is in no block of the network: run `make export-tflite` again")
        found.setdefault(name, []).append(operator)
    return {block: found[block] for block, _ in BLOCKS if block in found}


def kinds_of(operators: Sequence[Operator]) -> dict[str, list[list[Operator]]]:
    """Return the operators by kind and precision; each is a group of its own, with a padding before it."""
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

    models: Path = models_option(".tflite")
    out: OutputFile = out_option("profile")
    runs: int = flag(100, "timed runs of each part")

    def __post_init__(self) -> None:
        check_minimum(self, runs=1)


def profile(config: ProfileConfig) -> None:
    """Time every tracking network's parts, write the results, and print them."""
    paths = [path for path in model_files(config.models, ".tflite") if isinstance(read_spec(path), ModelSpec)]
    metrics: list[Metric] = []
    for path in paths:
        graph = Graph(path.read_bytes())

        def part(operators: Sequence[Operator], graph: Graph = graph) -> Callable[[], None]:
            return load_call(graph.part([o.index for o in operators]))

        blocks = blocks_of(graph.operators, path)
        calls = {name: part(block) for name, block in blocks.items()}
        samples = time_in_turn(calls | {WHOLE: load_call(path.read_bytes())}, config.runs, WARM_UP)
        macs = {name: sum(o.macs for o in block) for name, block in blocks.items()}
        macs[WHOLE] = sum(macs.values())
        metrics += _rows(f"time by block, {path.name}", samples, macs)
        kinds = kinds_of(graph.operators)
        groups = {(kind, i): group for kind, several in kinds.items() for i, group in enumerate(several)}
        alone = time_in_turn({key: part(group) for key, group in groups.items()}, config.runs, WARM_UP, twice=True)
        sums = {kind: np.sum([alone[kind, i] for i in range(len(several))], axis=0) for kind, several in kinds.items()}
        macs = {kind: sum(o.macs for group in several for o in group) for kind, several in kinds.items()}
        ordered = dict(sorted(sums.items(), key=lambda pair: -float(np.median(pair[1]))))
        metrics += _rows(f"time by operator, {path.name}", ordered, macs)
    publish(Results("profile", metrics, notes=NOTES, settings={"runs": config.runs, "threads": 1}), config.out)


def _rows(table: str, samples: Mapping[str, Sequence[float]], macs: Mapping[str, int]) -> list[Metric]:
    """Return the metrics of one table."""
    times = {name: median_and_error(values) for name, values in samples.items()}
    whole = sum(median for name, (median, _) in times.items() if name != WHOLE)
    metrics = []
    for name, (median, error) in times.items():
        million, percent = macs[name] / 1e6, 100 * median / whole
        rate, relative = million / median, error / median
        metrics += [
            Metric(table, name, "time", median, "ms", error),
            Metric(table, name, "fraction of the parts' sum", percent, "%", percent * relative, lower_is_better=None),
            Metric(table, name, "million multiply-adds", million, "", lower_is_better=None),
            Metric(table, name, "GMAC/s", rate, "", rate * relative, lower_is_better=False),
        ]
    return metrics
