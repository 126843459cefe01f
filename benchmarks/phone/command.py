"""`python -m benchmarks phone`: the exported models on an Android phone, on its CPU, XNNPACK, GPU and NNAPI.

It pushes the models and TFLite's `benchmark_model`, a program for Android that you name with `--benchmark-model`, runs
each model on each runner, reads what the program prints and removes all of it from the phone. Runs are repeated in
rounds, all models on all runners each, so that the noise of a figure knows of the phone getting warm. A runner that is
absent or fails, or leaves the work to the CPU, has no times but a note that says why; one that takes a part of the
network has times and a note. `--app-results` takes instead what the Android app measured and shared
(`benchmarks.phone.app` defines it).
"""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.inputs import files
from benchmarks.phone.adb import Phone, PhoneError
from benchmarks.phone.app import read_app_results
from benchmarks.phone.benchmark_model import LONGEST, RUNNERS, Output, Runner, read_output
from benchmarks.phone.figures import HEADLINES, battery_figures, figures
from benchmarks.results import Figure, Results, mean_and_noise

PATIENCE = 3 * LONGEST + 60
"""Seconds for one run: warm-up and measurement, and a GPU's compiler, which takes long on some phones."""

Case = tuple[Path, Runner]


@dataclass(frozen=True)
class PhoneConfig:
    """Options of `phone`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite files, or one file"})
    benchmark_model: Path | None = field(
        default=None,
        metadata={"help": "TFLite's program for the phone's processor: docs/benchmarks.md says where to get it"},
    )
    adb: str = field(default="adb", metadata={"help": "the program adb: a name on PATH, or a path"})
    serial: str | None = field(default=None, metadata={"help": "which of several devices, as `adb devices` lists them"})
    runs: int = field(default=50, metadata={"help": "inferences of a run, at least; a run takes a second or more"})
    repeats: int = field(default=3, metadata={"help": "rounds over all models and runners"})
    app_results: Path | None = field(default=None, metadata={"help": "what the Android app shared: needs no phone"})
    out: Path | None = field(
        default=None, metadata={"help": "where results are written: dist/bench/phone.json, of the app phone-app.json"}
    )

    def __post_init__(self) -> None:
        if self.runs < 1 or self.repeats < 2:
            given = f"{self.runs} and {self.repeats}"
            raise ValueError(f"--runs must be 1 or more and --repeats 2 or more, which tells the noise; got {given}")


def phone(config: PhoneConfig) -> None:
    """Measure or read, print what was found, write results; PhoneError where there is nothing to measure."""
    try:
        results = _measure(config) if config.app_results is None else read_app_results(config.app_results)
    except KeyboardInterrupt:
        raise PhoneError("interrupted: nothing was written") from None
    headlines = [figure for figure in results.figures if figure.table in HEADLINES]
    if not headlines:
        raise PhoneError(f"nothing was measured on {results.machine['device']}:\n  " + "\n  ".join(results.notes))
    print(_table(headlines))
    out = config.out or Path("dist/bench") / f"{results.benchmark}.json"
    results.write(out)
    print("\n".join([*results.notes, f"written to {out}"]))


def _measure(config: PhoneConfig) -> Results:
    device = Phone.find(config.adb, config.serial)
    if config.benchmark_model is None or not config.benchmark_model.is_file():
        given = config.benchmark_model or "none was given"
        raise FileNotFoundError(f"no benchmark_model ({given}): name TFLite's program with --benchmark-model")
    models = files(config.models, (".tflite",), "run `make export-tflite` first")
    description, before = device.description(), device.battery_temperature()
    outputs = _run_all(device, config.benchmark_model, models, config)
    battery = battery_figures(before, device.battery_temperature())
    measured = [figure for case, found in outputs.items() for figure in _figures(case, found)]
    return Results(
        "phone",
        [*measured, *battery],
        notes=_notes(outputs),
        settings={"runs": config.runs, "repeats": config.repeats, "sha256": {m.name: _sha256(m) for m in models}},
        machine=description | {"versions": {"benchmark_model": _sha256(config.benchmark_model)}},
    )


def _run_all(device: Phone, program: Path, models: Sequence[Path], config: PhoneConfig) -> dict[Case, list[Output]]:
    """Every case's outputs, one per round; a case that fails is not tried again."""
    outputs: dict[Case, list[Output]] = {(model, runner): [] for model in models for runner in RUNNERS}
    with device.folder() as folder:
        name = folder.rpartition("/")[2]
        device.push(program, f"{folder}/{name}")
        device.shell(f"chmod 755 {folder}/{name}")
        targets = {model: f"{folder}/{number}.tflite" for number, model in enumerate(models)}
        for model, target in targets.items():
            device.push(model, target)
        for number in range(1, config.repeats + 1):
            for (model, runner), found in outputs.items():
                if any(output.problem for output in found):
                    continue
                print(f"round {number} of {config.repeats}: {model.name} on {runner.name}", file=sys.stderr)
                command = runner.command(f"{folder}/{name}", targets[model], config.runs)
                found.append(read_output(device.shell(command, PATIENCE), runner))
                if found[-1].problem:
                    device.shell(f"pkill {name}")  # A driver that hangs would slow down what follows.
    return outputs


def _figures(case: Case, outputs: Sequence[Output]) -> list[Figure]:
    """Means over the rounds, and their standard error; none of a case that failed in any."""
    if any(output.problem for output in outputs):
        return []
    names = [name for name in outputs[0].values if all(name in output.values for output in outputs)]
    values = {name: mean_and_noise([output.values[name] for output in outputs]) for name in names}
    return figures(case[0].name, case[1], values)


def _table(headlines: Sequence[Figure]) -> str:
    """Milliseconds of the first headline that there is, a line per runner."""
    name = next(name for name in HEADLINES if any(figure.table == name for figure in headlines))
    times = {(figure.column, figure.row): f"{figure.value:.2f}" for figure in headlines if figure.table == name}
    models = list(dict.fromkeys(row for _, row in times))
    lines = [f"{name + ' ms':18}" + "".join(f" {model:>15}" for model in models)]
    for column in dict.fromkeys(column for column, _ in times):
        cells = (f"{times.get((column, model), ''):>{max(15, len(model))}}" for model in models)
        lines.append(f"{column:18} " + " ".join(cells))
    return "\n".join(lines)


def _notes(outputs: Mapping[Case, Iterable[Output]]) -> list[str]:
    """What to know of each runner, the models that it holds for together."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (model, runner), series in outputs.items():
        for text in dict.fromkeys(output.problem or output.remark for output in series):
            if text:
                found[runner.name, text].append(model.name)
    return [f"{runner}: {text} ({', '.join(models)})" for (runner, text), models in found.items()]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
