"""`python -m atpn tufa ablate`: measure each ingredient in equally long runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atpn.tufa.anchors import DENSE, WFLW_WITHOUT_IBUG
from atpn.tufa.evaluate import EvaluateTUFAConfig, evaluate
from atpn.tufa.train import TrainTUFAConfig, train
from edge_runtime.files import write_atomically
from edge_runtime.output_paths import OutputFolder

_HIDDEN = ("cofw29", WFLW_WITHOUT_IBUG)
ROWS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "all": {},
        "no-alignment": {"align": False},
        "no-dense": {"sources": ("wflw98", "ibug68", "cofw29")},
        "without-68": {"sources": (*_HIDDEN, DENSE)},
        "without-68-no-dense": {"sources": _HIDDEN},
        "with-68-hidden-98": {"sources": ("ibug68", *_HIDDEN, DENSE)},
        "masked-75": {"sources": ("wflw98",), "points": 24},
        "masked-0": {"sources": ("wflw98",), "points": 98},
        "masked-50": {"sources": ("wflw98",), "points": 49},
        "masked-85": {"sources": ("wflw98",), "points": 15},
    }
)
"""Variants: name and changes to the default. The `without-68` rows have iBUG's points only where COFW has them: their
other scheme is the rest of WFLW. `with-68-hidden-98` adds the 68, to compare zero-shot with."""


@dataclass(frozen=True)
class AblateTUFAConfig:
    """Train and evaluate every variant; finished ones are not trained again."""

    data: Path
    """Renders to train on."""
    held_out: Path
    """Renders to evaluate on."""
    out: OutputFolder
    """Folder: one run per variant, and the report."""
    afw: Path | None = None
    """Folder of AFW's images and labels, to evaluate on."""
    rows: tuple[str, ...] = tuple(ROWS)
    """Variants."""
    samples: int = 24_000
    """Training crops per variant."""
    seed: int = 0
    """Seed of all random choices."""
    workers: int = 1
    """Loader processes."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.rows) - set(ROWS)):
            raise ValueError(f"unknown variants {', '.join(unknown)}; known: {', '.join(ROWS)}")


def ablate(config: AblateTUFAConfig) -> dict[str, Any]:
    """Return the report, also written after each variant to `out/ablation.json` and as a table to `out/ablation.md`."""
    report: dict[str, Any] = {"samples": config.samples, "seed": config.seed, "rows": {}}
    for name in config.rows:
        folder = config.out / name
        base = TrainTUFAConfig((config.data,), folder, samples=config.samples, seed=config.seed, workers=config.workers)
        train(replace(base, **ROWS[name]))
        report["rows"][name] = evaluate(EvaluateTUFAConfig(folder / "tufa.safetensors", config.held_out, config.afw))
        write_atomically(config.out / "ablation.json", (json.dumps(report, indent=2) + "\n").encode())
        write_atomically(config.out / "ablation.md", ablation_table(report).encode())
    print(ablation_table(report))
    return report


def ablation_table(report: dict[str, Any]) -> str:
    """Format NME in percent of the eye distance as markdown; a dash for schemes that a variant does not know."""
    columns = [("rendered", key) for key in ("wflw98", "ibug68", "cofw29", "zero_shot", "dense")]
    columns += [("afw", key) for key in ("ibug68", "wflw98_as_ibug68", "zero_shot")]
    lines = ["| variant | " + " | ".join(f"{data}: {key}" for data, key in columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for name, row in report["rows"].items():
        values = [row.get(data, {}).get(key) for data, key in columns]
        lines.append(f"| {name} | " + " | ".join("-" if v is None else f"{100 * v:.2f}" for v in values) + " |")
    return "\n".join(lines) + "\n"
