"""`python -m atpn slpt ablate`: the thesis' ablations (tables 4.5 to 4.9 and 5.13 to 5.17) in equally long runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atpn.slpt.config import NetworkName, Size
from atpn.slpt.evaluate import EvaluateSLPTConfig, evaluate
from atpn.slpt.train import TrainSLPTConfig, train
from edge_runtime.files import write_atomically
from edge_runtime.output_paths import OutputFolder


@dataclass(frozen=True)
class Row:
    """A variant."""

    changes: Mapping[str, Any]
    """Options of `slpt train` that differ."""
    slpt: float | None = None
    """Published NME of SLPT on WFLW, percent, with HRNetW18C-lite; None if not published."""
    dslpt: float | None = None
    """The same of DSLPT; rows of layers with HRNetW18C."""


_NEITHER = {"self_attention": False, "cross_attention": False}
ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "default": Row({}, 4.14, 4.02),
        "stages-1": Row({"stages": 1}, 4.79, 4.34),
        "stages-2": Row({"stages": 2}, 4.27, 4.05),
        "stages-4": Row({"stages": 4}, 4.24, 4.11),
        "no-attention": Row(_NEITHER, 4.48, 4.27),
        "no-cross-attention": Row({"cross_attention": False}, 4.20, 4.07),
        "no-self-attention": Row({"self_attention": False}, 4.17, 4.08),
        "no-structure-encoding": Row({"structure_encoding": False}, 4.16, 4.08),
        "tokens-from-zeros": Row({"own_patch": False}),
        "patch-5": Row({"patch": 5}, 4.17),
        "patch-9": Row({"patch": 9}, 4.16),
        "layers-2": Row({"layers": 2}, 4.19, 4.05),
        "layers-4": Row({"layers": 4}, 4.17, 4.02),
        "layers-6": Row({"layers": 6}, 4.14, 4.01),
        "layers-12": Row({"layers": 12}, 4.12, 3.98),
        "gaussian-halved": Row({"loss": "gaussian", "shrink": (0.5, 0.5)}, dslpt=4.064),
        "gaussian-0.7": Row({"loss": "gaussian", "shrink": (0.7, 0.7)}, dslpt=4.084),
        "laplace": Row({"loss": "laplace", "shrink": (0.5, 0.7)}, dslpt=4.018),
        "laplace-halved": Row({"loss": "laplace", "shrink": (0.5, 0.5)}, dslpt=4.059),
        "laplace-0.7": Row({"loss": "laplace", "shrink": (0.7, 0.7)}, dslpt=4.070),
        "l1": Row({"loss": "l1", "shrink": (0.5, 0.5)}, dslpt=4.076),
        "l2": Row({"loss": "l2", "shrink": (0.5, 0.5)}, dslpt=4.083),
    }
)
"""Variants by name."""


@dataclass(frozen=True)
class AblateSLPTConfig:
    """Train and evaluate every variant; finished ones are not trained again."""

    data: Path
    """Renders to train on."""
    held_out: Path
    """Renders to evaluate on."""
    out: OutputFolder
    """Folder: one run per variant, and the report."""
    afw: Path | None = None
    """Folder of AFW's images and labels, to evaluate on."""
    network: NetworkName = "dslpt"
    """Network that the variants change."""
    size: Size = "small"
    """Its size."""
    rows: tuple[str, ...] = field(default=tuple(ROWS))
    """Variants."""
    samples: int = 16_000
    """Training crops per variant."""
    seed: int = 0
    """Seed of all random choices."""
    workers: int = 1
    """Loader processes."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.rows) - set(ROWS)):
            raise ValueError(f"unknown variants {', '.join(unknown)}; known: {', '.join(ROWS)}")


def ablate(config: AblateSLPTConfig) -> dict[str, Any]:
    """Return the report, also written after each variant to `out/ablation.json` and as a table to `out/ablation.md`."""
    report: dict[str, Any] = {key: getattr(config, key) for key in ("network", "size", "samples", "seed")}
    report["rows"] = {}
    base = TrainSLPTConfig(data=config.data, out=config.out, network=config.network, size=config.size)
    base = replace(base, samples=config.samples, seed=config.seed, workers=config.workers)
    for name in config.rows:
        folder = config.out / name
        train(replace(base, out=folder, **ROWS[name].changes))
        options = EvaluateSLPTConfig(folder / "slpt.safetensors", config.held_out, afw=config.afw, detector="none")
        report["rows"][name] = _figures(evaluate(options))
        write_atomically(config.out / "ablation.json", (json.dumps(report, indent=2) + "\n").encode())
        write_atomically(config.out / "ablation.md", ablation_table(report).encode())
    print(ablation_table(report))
    return report


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return the NME by stage, and the uncertainty's rank correlation, of an evaluation's report."""
    figures: dict[str, Any] = {}
    for name in ("rendered", "afw"):
        if name in report:
            figures[name] = {"stages": [stage["nme"] for stage in report[name]["stages"]]}
            if "uncertainty" in report[name]:
                figures[name]["rank_correlation"] = report[name]["uncertainty"]["rank_correlation"]
    return figures


def ablation_table(report: dict[str, Any]) -> str:
    """Format NME in percent of the eye distance, after each stage, as markdown beside the published one on WFLW."""
    data = [name for name in ("rendered", "afw") if any(name in row for row in report["rows"].values())]
    lines = [f"| variant | {' | '.join(f'{name}: stages' for name in data)} | WFLW, published |"]
    lines.append("| --- |" + " ---: |" * (len(data) + 1))
    for name, row in report["rows"].items():
        cells = [", ".join(f"{100 * nme:.2f}" for nme in row[key]["stages"]) if key in row else "-" for key in data]
        published = getattr(ROWS[name], report["network"])
        cells.append("-" if published is None else f"{published:g}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
