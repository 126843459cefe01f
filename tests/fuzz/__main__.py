"""`python -m tests.fuzz`: try damaged files, hostile requests, and wild outputs on every reader and on the loop.

Prints a table of what the inputs gave: each is in one column. The exit code is 1 if there is a fault.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from edge_runtime.errors import require
from edge_runtime.files import write_atomically
from edge_runtime.flags import flag, parse_flags
from tests.fuzz.outcome import Kind
from tests.fuzz.session import SPECIAL_FILES, Row, fuzz, replay, shares
from tests.fuzz.target import Target
from tests.fuzz.targets import ALL
from tests.fuzz.worker import Worker

EXTRA = f"a reader of files {len(SPECIAL_FILES)} special ones, such as a pipe, besides"
"""What is tried besides the inputs that are asked for."""


@dataclass(frozen=True)
class FuzzConfig:
    """Flags of the command. ValueError names an invalid flag."""

    inputs: int = flag(
        10_000, f"number of damaged inputs of all targets together; each target gets one or more, and {EXTRA}"
    )
    seed: int = flag(0, "seed of the inputs; the same seed gives the same inputs")
    targets: tuple[str, ...] = flag(tuple(ALL), "targets to try")
    json: Path | None = flag(None, "file for the table and the faults as JSON")
    save: Path | None = flag(None, "folder for the inputs that show a fault")
    replay: Path | None = flag(None, "folder of one saved input to try again: SAVE/TARGET/NUMBER")

    def __post_init__(self) -> None:
        require(self.inputs >= 1, f"--inputs must be 1 or more, got {self.inputs}")
        unknown = sorted(set(self.targets) - set(ALL))
        require(not unknown, f"unknown targets {', '.join(unknown)}; known: {', '.join(ALL)}")
        name = None if self.replay is None else self.replay.resolve().parent.name
        require(name is None or name in ALL, f"--replay is SAVE/TARGET/NUMBER, got {self.replay}: no target {name}")


def main() -> int:
    """Run the command; return its exit code."""
    config = parse_flags(FuzzConfig, "python -m tests.fuzz", __doc__ or "")
    if config.replay is not None:
        target = ALL[config.replay.resolve().parent.name]
        with Worker() as worker:
            outcome = replay(target, worker, config.replay)
        print(f"{target.name}: {outcome.kind}: {outcome.reason or 'accepted'}")
        return int(outcome.kind.is_fault)
    chosen = {name: ALL[name] for name in config.targets}
    rows = _run(config, chosen)
    print(table(rows))
    faults = [fault for row in rows for fault in row.faults]
    print("\n".join(faults))
    if config.json is not None:
        content = {
            "inputs": config.inputs,
            "seed": config.seed,
            "rows": [{"target": row.target, "tried": row.tried, **row.outcomes} for row in rows],
            "faults": faults,
        }
        write_atomically(config.json, (json.dumps(content, indent=1) + "\n").encode())
    return int(bool(faults))


def _run(config: FuzzConfig, chosen: dict[str, Target]) -> list[Row]:
    numbers, rows = shares(chosen.values(), config.inputs), []
    with Worker() as worker:
        for name, target in tqdm(chosen.items(), unit=" targets"):
            rows.append(fuzz(target, worker, numbers[name], config.seed, config.save))
    return rows


def table(rows: list[Row]) -> str:
    """Return the numbers of outcomes per target, and their sums, as a table of text."""
    cells = [["target", "inputs tried", *Kind]]
    cells += [[row.target, str(row.tried), *(str(row.outcomes[kind]) for kind in Kind)] for row in rows]
    sums = [sum(int(line[column]) for line in cells[1:]) for column in range(1, len(cells[0]))]
    cells.append(["all", *map(str, sums)])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([lines[0], " | ".join("-" * width for width in widths), *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
