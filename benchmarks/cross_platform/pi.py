"""All that makes sense on a Raspberry Pi, in one command that needs the plain install only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cross_platform.agreement import EXACT, ROUNDING, agreement_table, compare, problems
from benchmarks.cross_platform.arm64 import INT8
from benchmarks.cross_platform.board import BoardState, board_name, board_state
from benchmarks.cross_platform.command import MAKE_TFLITE
from benchmarks.cross_platform.device_outputs import PICTURES, DeviceOutputs, device_outputs
from benchmarks.endurance import EnduranceConfig, endurance
from benchmarks.inputs import files
from benchmarks.latency.command import LatencyConfig, latency
from benchmarks.results import Figure, Results
from edge_runtime.errors import EdgeRuntimeError


@dataclass(frozen=True)
class PiConfig:
    """Options of `pi`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite files, or one file"})
    out: Path = field(default=Path("dist/pi"), metadata={"help": "folder for the results and their report"})
    runs: int = field(default=200, metadata={"help": "timed runs of each stage"})
    frames: int = field(default=3000, metadata={"help": "frames of the run that watches memory"})
    past: Path | None = field(
        default=None, metadata={"help": "what `outputs` wrote on another machine, to compare what this one computes"}
    )

    def __post_init__(self) -> None:
        LatencyConfig(runs=self.runs), EnduranceConfig(frames=self.frames)  # they refuse what they cannot take

    @property
    def lasting_model(self) -> Path:
        """The file whose memory is watched."""
        return self.models if self.models.is_file() else self.models / "atpn_int8.tflite"


def pi(config: PiConfig) -> None:
    """Measure, write the results and a report; ValueError at the end names what could not be measured."""
    from benchmarks.report import write_report

    before = board_state()
    figures: list[Figure] = []
    failed: list[str] = []
    parts = {  # endurance first: what latency leaves in memory is none of its
        "endurance": lambda: endurance(
            EnduranceConfig(config.lasting_model, config.out / "endurance.json", config.frames)
        ),
        "latency": lambda: latency(LatencyConfig(config.models, config.out / "latency.json", config.runs)),
        "agreement": lambda: figures.extend(_agreement(config, failed)),
    }
    for name, part in parts.items():
        print(f"{name} ...", flush=True)
        (config.out / f"{name}.json").unlink(missing_ok=True)  # else an earlier run's stands in for what fails now
        try:
            part()
        except (EdgeRuntimeError, OSError, ValueError) as error:
            failed.append(f"{name}: {error}")
    board_results(before, board_state(), figures, failed).write(config.out / "pi.json")
    for path in write_report(config.out):
        print(f"written: {path}")
    if failed:
        raise ValueError("\n  ".join(["not all is well:", *failed]))


def board_results(before: BoardState, after: BoardState, figures: list[Figure], failed: list[str]) -> Results:
    """The board's name and state beside what else was found."""
    name = board_name()
    notes = [f"Board: {name}." if name else "This machine tells no board's name."]
    if "Raspberry Pi" not in name:
        notes.append("It is no Raspberry Pi: figures say nothing of one.")
    temperatures = {"before": before.temperature, "after": after.temperature}
    heat = [
        Figure("board", "temperature", when, value, "°C", better="")
        for when, value in temperatures.items()
        if value is not None
    ]
    if not heat:
        notes.append("The system tells no temperature.")
    if after.throttling is None:
        notes.append("The system does not tell whether the board was throttled (no answer of `vcgencmd`).")
    else:
        notes.append(f"Throttling, after: {'; '.join(after.throttling) or 'none since the board started'}.")
        notes.append(f"Throttling, before: {'; '.join(before.throttling or ()) or 'none'}.")
    return Results("pi", [*heat, *figures], notes=[*notes, *(f"Failed: {problem}" for problem in failed)])


def _agreement(config: PiConfig, failed: list[str]) -> list[Figure]:
    """What this machine computes beside what another did; nothing without that."""
    if config.past is None:
        print("left out: name another machine's outputs with --past")
        return []
    past = DeviceOutputs.read(config.past)
    count = max((len(array) for name, array in past.arrays.items() if name.startswith(PICTURES)), default=1)
    models = [path for path in files(config.models, (".tflite",), MAKE_TFLITE) if path.name in past.precisions]
    here = device_outputs(models, count, past)
    here.write(config.out / "outputs.npz")
    rows = compare(here, past, {"fp32": ROUNDING, "fp16": ROUNDING, "int8": INT8})
    print(agreement_table(rows))
    failed += [f"agreement: {problem}" for problem in problems(rows, here.refused)]
    return [
        Figure("difference from another machine's outputs", name, column, value, "")
        for row in rows
        for name in [f"{row.group}: pictures" if row.bound == EXACT else row.group]
        for column, value in (("largest", row.largest), ("mean", row.mean))
    ]
