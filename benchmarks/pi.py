"""All measurements for a Raspberry Pi in one command that needs the plain install only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.board import BoardState, board_name, board_state
from benchmarks.inputs import model_files
from benchmarks.latency.command import LatencyConfig, latency
from benchmarks.results import Metric, Results
from benchmarks.soak import SoakConfig, soak
from edge_runtime import models
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFolder
from platform_checks.comparison import EXACT, OTHER_PROCESSOR, compare, comparison_table, problems
from platform_checks.device_outputs import IMAGES, DeviceOutputs, device_outputs


@dataclass(frozen=True)
class PiConfig:
    """Options of `pi`."""

    models: Path = flag(models.FOLDER, "folder of .tflite files, or one file")
    out: OutputFolder = flag(Path("dist/pi"), "folder of the results and their report")
    runs: int = flag(200, "timed runs of each stage")
    frames: int = flag(3000, "length of the soak test, frames")
    reference: Path | None = flag(None, "file that `platform_checks outputs` wrote on another machine, to compare with")

    def __post_init__(self) -> None:
        LatencyConfig(runs=self.runs), SoakConfig(frames=self.frames)  # validate

    @property
    def soak_model(self) -> Path:
        """Model file of the soak test."""
        return self.models if self.models.is_file() else self.models / "atpn_int8.tflite"


def pi(config: PiConfig) -> None:
    """Measure, and write the results and a report. Raise ValueError at the end for what failed."""
    from benchmarks.report import write_report

    before = board_state()
    metrics: list[Metric] = []
    failed: list[str] = []
    parts = {  # soak first: memory that `latency` leaves behind would count
        "soak": lambda: soak(SoakConfig(config.soak_model, config.out / "soak.json", config.frames)),
        "latency": lambda: latency(LatencyConfig(config.models, config.out / "latency.json", config.runs)),
        "outputs": lambda: metrics.extend(_compare_outputs(config, failed)),
    }
    for name, part in parts.items():
        print(f"{name} ...", flush=True)
        (config.out / f"{name}.json").unlink(missing_ok=True)  # else the report shows an earlier run's if this fails
        try:
            part()
        except (EdgeRuntimeError, OSError, ValueError) as error:
            failed.append(f"{name}: {error}")
    board_results(before, board_state(), metrics, failed).write(config.out / "pi.json")
    for path in write_report(config.out):
        print(f"written: {path}")
    if failed:
        raise ValueError("\n  ".join(["checks failed:", *failed]))


def board_results(before: BoardState, after: BoardState, metrics: list[Metric], failed: list[str]) -> Results:
    """Return the board's name, temperature, and throttling with the other metrics."""
    name = board_name()
    notes = [f"Board: {name}." if name else "The system reports no board name."]
    if "Raspberry Pi" not in name:
        notes.append("Not a Raspberry Pi: the results do not apply to one.")
    temperatures = {"before": before.temperature, "after": after.temperature}
    heat = [
        Metric("board", "temperature", when, value, "°C", lower_is_better=None)
        for when, value in temperatures.items()
        if value is not None
    ]
    if not heat:
        notes.append("The system reports no temperature.")
    if after.throttling is None:
        notes.append("Throttling is unknown: `vcgencmd` gave no answer.")
    else:
        notes.append(f"Throttling, after: {'; '.join(after.throttling) or 'none since the board started'}.")
        notes.append(f"Throttling, before: {'; '.join(before.throttling or ()) or 'none'}.")
    return Results("pi", [*heat, *metrics], notes=[*notes, *(f"Failed: {problem}" for problem in failed)])


def _compare_outputs(config: PiConfig, failed: list[str]) -> list[Metric]:
    """Return differences from another machine's outputs; none without a reference."""
    if config.reference is None:
        print("skipped: give another machine's outputs with --reference")
        return []
    reference = DeviceOutputs.read(config.reference)
    count = max((len(array) for name, array in reference.arrays.items() if name.startswith(IMAGES)), default=1)
    models = [path for path in model_files(config.models, ".tflite") if path.name in reference.precisions]
    if not models:
        known = ", ".join(name for name in reference.precisions if "," not in name)
        failed.append(f"outputs: {config.models} has none of the files of {config.reference} ({known}): copy them")
    here = device_outputs(models, count, reference)
    here.write(config.out / "outputs.npz")
    rows = compare(here, reference, OTHER_PROCESSOR)
    print(comparison_table(rows))
    failed += [f"outputs: {problem}" for problem in problems(rows, {*here.unsupported, *reference.unsupported})]
    return [
        Metric("difference from another machine's outputs", name, column, value, "")
        for row in rows
        for name in [f"{row.group}: images" if row.tolerance == EXACT else row.group]
        for column, value in (("largest", row.largest), ("mean", row.mean))
    ]
