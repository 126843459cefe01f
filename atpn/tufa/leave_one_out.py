"""`python -m atpn tufa leave-one-out`: each dataset's landmarks by a network that was trained on the others.

As tables 6.9 and 6.11 of the thesis: WFLW's 98 landmarks after training on other datasets, zero-shot and with a few
labeled faces.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from atpn.data.store import SampleStore
from atpn.evaluate.command import library_versions
from atpn.model import load_checkpoint
from atpn.tufa.few_shot import FewShotConfig, error, evaluation_crops, measure_few_shot, unseen_plane
from atpn.tufa.fit import STEPS
from atpn.tufa.train import TrainTUFAConfig, train
from atpn.weights import SHIPPED
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import SCHEMES


@dataclass(frozen=True)
class LeaveOneOutConfig(TrainTUFAConfig):
    """Train on all sets, and on all but one, and compare on the one; finished runs are not trained again.

    The options of training are those of `tufa train`; `out` gets a run per network, and `leave_one_out.json`.
    """

    held_out: tuple[Path, ...] = field(kw_only=True)
    """Folders of shards to evaluate on, one for each of --data."""
    leave_out: tuple[str, ...] = field(default=(), kw_only=True)
    """Names of the sets to leave out, each in turn; default: all."""
    sizes: tuple[int, ...] = field(default=(), kw_only=True)
    """Numbers of labeled faces for few-shot fitting: 1 10 20 50 in the thesis; default: zero-shot only."""
    fractions: tuple[float, ...] = field(default=(), kw_only=True)
    """Further numbers, as fractions of the set's faces: 0.05 0.2 1 in the thesis."""
    repeats: int = field(default=5, kw_only=True)
    """Random draws of the faces per number, the thesis'."""
    fit_steps: int = field(default=STEPS, kw_only=True)
    """Steps of each fit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.data) < 2:
            raise ValueError(f"leaving one out needs two --data or more, got {len(self.data)}")
        if len(self.held_out) != len(self.data):
            raise ValueError(f"--held-out needs a folder per --data ({len(self.data)}), got {len(self.held_out)}")
        if unknown := sorted(set(self.leave_out) - set(self.names)):
            raise ValueError(f"--leave-out: unknown sets {', '.join(unknown)}; the sets are {', '.join(self.names)}")
        if self.fractions and not self.sizes:
            raise ValueError("--fractions needs --sizes as well")

    def training(self, out: str, left_out: str | None = None) -> TrainTUFAConfig:
        """Return the options of the run without one set."""
        kept = [number for number, name in enumerate(self.names) if name != left_out]
        options = {each.name: getattr(self, each.name) for each in fields(TrainTUFAConfig) if each.init}
        weights = tuple(self.sampling_weights[number] for number in kept) if self.sampling_weights else ()
        options |= {"sampling_weights": weights if len(kept) > 1 else (), "out": self.out / out}
        options |= {name: tuple(getattr(self, name)[number] for number in kept) for name in ("data", "names")}
        return TrainTUFAConfig(**options)


def leave_one_out(config: LeaveOneOutConfig) -> dict[str, Any]:
    """Return the report, also written to `out` after each set, and print it as a table.

    By set: NME over the eye distance of its landmarks, of the network `trained` on all sets, and `zero_shot` of that
    trained without this one; `few_shot` is the curve of `tufa few-shot`. ValueError for a set whose landmarks no known
    scheme shares.
    """
    report: dict[str, Any] = {
        "data": list(config.names),
        "seed": config.seed,
        "sets": {},
        "versions": library_versions(),
    }
    atpn, _ = load_checkpoint(SHIPPED)
    for name in config.leave_out or config.names:
        number = config.names.index(name)
        data, held_out = config.data[number], config.held_out[number]
        store, evaluated = SampleStore.read(data), SampleStore.read(held_out)
        if store.scheme.name not in SCHEMES:
            raise ValueError(f"cannot leave {name} out: its landmarks are of {store.scheme.name}, which no set shares")
        scheme, run = store.scheme.name, f"without-{name}"
        everything, others = train(config.training("all")), train(config.training(run, name))
        row: dict[str, Any] = {"scheme": scheme}
        for key, model in (("trained", everything), ("zero_shot", others)):
            crops, target = evaluation_crops(evaluated, scheme, model, atpn.mean_shape.numpy())
            plane = model.anchors(name).cpu().numpy() if key == "trained" else unseen_plane(model, store, scheme)
            row[key] = error(model.cpu().eval(), plane, scheme, crops, target)
        report["sets"][name] = row
        if config.sizes:
            fit = FewShotConfig(data, held_out, config.out / run / "tufa.safetensors", scheme)
            fit = replace(fit, sizes=config.sizes, fractions=config.fractions, repeats=config.repeats)
            row["few_shot"] = measure_few_shot(replace(fit, steps=config.fit_steps, seed=config.seed))["curve"]
        write_atomically(config.out / "leave_one_out.json", (json.dumps(report, indent=2) + "\n").encode())
    print(table(report["sets"]))
    return report


def table(sets: dict[str, dict[str, Any]]) -> str:
    """Format NME in percent of the eye distance as markdown."""
    sizes: Sequence[int] = sorted({point["faces"] for row in sets.values() for point in row.get("few_shot", ())} - {0})
    columns = ["trained", "zero-shot", "more", *(f"{size} faces" for size in sizes)]
    lines = ["| left out | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name, row in sets.items():
        fitted = {point["faces"]: f"{100 * point['nme']:.2f}" for point in row.get("few_shot", ())}
        cells = [f"{100 * row[key]:.2f}" for key in ("trained", "zero_shot")]
        cells += [f"{100 * (row['zero_shot'] / row['trained'] - 1):.0f} %", *(fitted.get(size, "-") for size in sizes)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
