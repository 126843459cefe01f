"""`python -m benchmarks phone`: the exported models on an Android phone, on its CPU, XNNPACK, GPU, and NNAPI.

It copies the models and TFLite's `benchmark_model` (`--benchmark-model`) to the phone, runs each model on each runner,
parses the output, and removes all files. Runs are repeated in rounds over all models and runners, so that the standard
error includes the phone's warming up. A runner that is missing, fails, or leaves the work to the CPU has a note and no
times; one that takes a part of the network has both. `--app-results` reads what the Android app measured instead
(format: `benchmarks.phone.app`).
"""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import check_minimum, model_files, models_option
from benchmarks.phone.adb import Phone, PhoneError
from benchmarks.phone.app import read_app_results
from benchmarks.phone.benchmark_model import MAX_SECONDS, RUNNERS, Output, Runner, read_output
from benchmarks.phone.metrics import HEADLINES, battery_metrics, compute_metrics
from benchmarks.results import Metric, Results, mean_and_error
from benchmarks.tables import publish
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFile

TIMEOUT = 3 * MAX_SECONDS + 60
"""Maximum seconds of one run: warm-up, measurement, and a GPU's compiler, which is slow on some phones."""

Case = tuple[Path, Runner]


@dataclass(frozen=True)
class PhoneConfig:
    """Options of `phone`."""

    models: Path = models_option(".tflite")
    benchmark_model: Path | None = flag(None, "TFLite's program for the phone's processor (docs/benchmarks.md)")
    adb: str = flag("adb", "name or path of the program adb")
    serial: str | None = flag(None, "serial number of one of several devices, as in `adb devices`")
    runs: int = flag(50, "minimum number of inferences per run; a run takes a second or more")
    repeats: int = flag(3, "rounds over all models and runners")
    app_results: Path | None = flag(None, "file that the Android app shared; needs no phone")
    out: OutputFile | None = flag(None, "results file: dist/bench/phone.json, of the app phone-app.json")

    def __post_init__(self) -> None:
        check_minimum(self, runs=1, repeats=2)  # two rounds for the standard error


def phone(config: PhoneConfig) -> None:
    """Measure or read, write the results, and print them. Raise PhoneError if nothing was measured."""
    try:
        results = _measure(config) if config.app_results is None else read_app_results(config.app_results)
    except KeyboardInterrupt:
        raise PhoneError("interrupted: nothing was written") from None
    if not any(metric.table in HEADLINES for metric in results.metrics):
        raise PhoneError(f"nothing was measured on {results.machine['device']}:\n  " + "\n  ".join(results.notes))
    out = config.out or Path("dist/bench") / f"{results.benchmark}.json"
    publish(results, out, lambda title: title in HEADLINES)
    print("\n".join(results.notes))


def _measure(config: PhoneConfig) -> Results:
    device = Phone.find(config.adb, config.serial)
    if config.benchmark_model is None or not config.benchmark_model.is_file():
        given = config.benchmark_model or "none was given"
        raise FileNotFoundError(f"no benchmark_model ({given}): give TFLite's program with --benchmark-model")
    models = model_files(config.models, ".tflite")
    description, before = device.description(), device.battery_temperature()
    outputs = _run_all(device, config.benchmark_model, models, config)
    battery = battery_metrics(before, device.battery_temperature())
    measured = [metric for case, found in outputs.items() for metric in _metrics(case, found)]
    return Results(
        "phone",
        [*measured, *battery],
        notes=_notes(outputs),
        settings={"runs": config.runs, "repeats": config.repeats, "sha256": {m.name: _sha256(m) for m in models}},
        machine=description | {"versions": {"benchmark_model": _sha256(config.benchmark_model)}},
    )


def _run_all(device: Phone, program: Path, models: Sequence[Path], config: PhoneConfig) -> dict[Case, list[Output]]:
    """Return every case's outputs, one per round; a case that failed is not run again."""
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
                found.append(read_output(device.shell(command, TIMEOUT), runner))
                if found[-1].problem:
                    device.shell(f"pkill {name}")  # A hanging driver would slow down the next runs.
    return outputs


def _metrics(case: Case, outputs: Sequence[Output]) -> list[Metric]:
    """Return means over the rounds with standard error; none for a case that failed in any."""
    if any(output.problem for output in outputs):
        return []
    names = [name for name in outputs[0].values if all(name in output.values for output in outputs)]
    values = {name: mean_and_error([output.values[name] for output in outputs]) for name in names}
    return compute_metrics(case[0].name, case[1], values)


def _notes(outputs: Mapping[Case, Iterable[Output]]) -> list[str]:
    """Return problems and remarks of each runner, with the models that they apply to."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (model, runner), series in outputs.items():
        for text in dict.fromkeys(output.problem or output.remark for output in series):
            if text:
                found[runner.name, text].append(model.name)
    return [f"{runner}: {text} ({', '.join(models)})" for (runner, text), models in found.items()]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
