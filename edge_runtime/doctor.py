"""Report what this machine has, measure the shipped model files on it, and recommend one.

`FaceTracker` without a model file then takes the recommended one.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2

import edge_runtime
from edge_runtime import recommendation, software_bill
from edge_runtime.backends import ENGINES, engine_problem, resolve_engine
from edge_runtime.errors import DisplayError, EdgeRuntimeError, first_line
from edge_runtime.flags import flag, parse_flags
from edge_runtime.machine import processor
from edge_runtime.models import landmark_models, model_path
from edge_runtime.sources import list_cameras
from edge_runtime.window import check_display

Result = TypeVar("Result")


@dataclass(frozen=True)
class DoctorConfig:
    """Flags of the command. ValueError names an invalid flag."""

    json: bool = flag(False, "report as JSON; of --licenses as CycloneDX 1.5")
    licenses: bool = flag(False, "only the installed packages and model files of the runtime, and their licenses")
    seconds: float = flag(2.0, "time to measure each model file, seconds; 0: no measurement")

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= 600:
            raise ValueError(f"--seconds must lie in [0, 600], got {self.seconds}")


class _Problems(list[str]):
    """Messages of what failed."""

    def attempt(self, part: str, action: Callable[[], Result]) -> Result | None:
        """Return the action's result; note its error and return None if it fails."""
        try:
            return action()
        except Exception as error:  # other libraries raise anything, and the other parts are still of use
            self.append(f"{part}: {first_line(error) or type(error).__name__}")
            return None


def diagnose(seconds: float = 2.0) -> dict[str, Any]:
    """Return the report, and remember the recommendation for this machine.

    Args:
        seconds: Time to measure each file; 0: nothing is measured and nothing is remembered.

    Returns:
        What `--json` prints. Errors of a part are texts in `problems`.
    """
    problems, here = _Problems(), processor()
    engines = {
        name: {"version": recommendation.engine_version(name), "problem": engine_problem(name)} for name in ENGINES
    }
    engine = resolve_engine()
    advice: dict[str, Any] | None = None
    timings: Mapping[str, Mapping[int, float]] = {}
    if engines[engine]["problem"] is not None:
        problems.append(f"no model file can run: {engine} is {engines[engine]['problem']}")
    elif seconds and engine != "onnxruntime":
        timings, advice = _measure(seconds, here.cores, problems)
    elif found := problems.attempt("model", recommendation.recommended):
        advice = {"model": str(found.model), "threads": found.threads, "reason": found.reason, "saved": None}
    return {
        "edge_runtime": edge_runtime.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": {"name": here.name, "cores": here.cores, "features": dict(here.features)},
        "engines": engines,
        "opencv": {"version": cv2.__version__, "window_problem": _window_problem()},
        "cameras": [
            {"number": number, "name": name} for number, name in problems.attempt("cameras", list_cameras) or []
        ],
        "milliseconds": timings,
        "recommendation": advice,
        "problems": list(problems),
    }


def _measure(
    seconds: float, cores: int, problems: _Problems
) -> tuple[Mapping[str, Mapping[int, float]], dict[str, Any] | None]:
    """Return the files' times and the recommendation, which is remembered."""
    files = problems.attempt("models", lambda: {name: model_path(name) for name in landmark_models()}) or {}
    counts = recommendation.thread_counts(cores)
    measured = problems.attempt("time", lambda: recommendation.measure(files, counts, seconds))
    if measured is None:
        return {}, None
    problems += [f"{name}: {problem}" for name, problem in measured.problems.items()]
    if not measured.milliseconds:
        return {}, None
    name, threads, reason = recommendation.choose(measured.milliseconds)
    saved = problems.attempt("not remembered", lambda: str(recommendation.save(measured.milliseconds)))
    advice = {"model": str(files[name]), "threads": threads, "reason": reason, "saved": saved}
    return measured.milliseconds, advice


def _window_problem() -> str | None:
    try:
        check_display()
    except DisplayError as error:
        return str(error)
    return None


def as_text(report: Mapping[str, Any]) -> str:
    """Return a report as lines of text."""
    cpu, opencv = report["processor"], report["opencv"]
    features = ", ".join(f"{name} {'yes' if has else 'no'}" for name, has in cpu["features"].items())
    window = "opens windows" if opencv["window_problem"] is None else f"opens no window: {opencv['window_problem']}"
    cameras = ", ".join(f"{camera['number']} {camera['name']}".rstrip() for camera in report["cameras"])
    lines = [
        ("version", f"edge_runtime {report['edge_runtime']}, Python {report['python']}, {report['system']}"),
        ("processor", f"{cpu['name']}, {_count(cpu['cores'], 'core')}"),
        ("instructions", features or "unknown"),
        *(
            ("engine", f"{name} {engine['version']}".rstrip() + (f": {engine['problem']}" if engine["problem"] else ""))
            for name, engine in report["engines"].items()
        ),
        ("OpenCV", f"{opencv['version']}, {window}"),
        ("cameras", cameras or "none found"),
    ]
    for name, times in report["milliseconds"].items():
        each = ", ".join(f"{_count(threads, 'thread')} {value:.2f} ms" for threads, value in times.items())
        lines.append(("time per face", f"{name}: {each}"))
    lines += [("problem", problem) for problem in report["problems"]]
    if (advice := report["recommendation"]) is None:
        lines.append(("recommended", "nothing: no model file runs here; the lines above say why"))
    else:
        lines.append(("recommended", f"--model {advice['model']} --threads {advice['threads']}"))
        lines.append(("because", advice["reason"]))
        if advice["saved"]:
            lines.append(("remembered", f"{advice['saved']}: the model that FaceTracker takes if it is given none"))
    return "\n".join(f"{label:14}{text}" for label, text in lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_licenses(as_json: bool) -> int:
    try:
        components = software_bill.installed_components()
    except EdgeRuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    bill = (
        json.dumps(software_bill.as_cyclonedx(components), indent=1) if as_json else software_bill.as_table(components)
    )
    print(bill)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 if no model file runs here, 2 for invalid flags."""
    config = parse_flags(DoctorConfig, "python -m edge_runtime.doctor", __doc__ or "", arguments)
    if config.licenses:
        return _print_licenses(config.json)
    report = diagnose(config.seconds)
    print(json.dumps(report, indent=1) if config.json else as_text(report))
    return 0 if report["recommendation"] else 1


if __name__ == "__main__":
    sys.exit(main())
