"""`python -m benchmarks COMMAND`: measure exported files, and report and compare the results."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.flags import parse_flags
from edge_runtime.output_paths import check_config

COMMANDS = {
    "latency": ("latency.command", "latency", "LatencyConfig", "time per stage, start time, and memory of files here"),
    "roofline": ("profile.roofline", "roofline", "RooflineConfig", "network time relative to this core's peak"),
    "profile": ("profile.command", "profile", "ProfileConfig", "network time by block and by operator"),
    "accuracy": ("accuracy.command", "accuracy", "AccuracyConfig", "errors of exported files and of the checkpoint"),
    "stability": ("stability.command", "stability", "StabilityConfig", "jitter, lag, and failures of tracking"),
    "expressions": ("expressions", "expressions", "ExpressionsConfig", "flicker and agreement of expressions and gaze"),
    "detector": ("detector.command", "detector", "DetectorConfig", "recall, false tracks, and time of face detectors"),
    "baselines": ("baselines.command", "compare", "BaselinesConfig", "time and errors of other landmark networks"),
    "soak": ("soak", "soak", "SoakConfig", "memory over a long run"),
    "load": ("load", "load", "LoadConfig", "memory and open files over hours, many clients, and many openings"),
    "pi": ("pi", "pi", "PiConfig", "all measurements for a Raspberry Pi, and a report"),
    "phone": ("phone.command", "phone", "PhoneConfig", "time of exported models on an Android phone, through adb"),
    "report": ("report", "report", "ReportConfig", "one page of all results, as Markdown and HTML"),
    "compare": ("comparison", "compare", "CompareConfig", "significant differences between two runs"),
}
"""Name: module, function, dataclass of the options, help. A command loads its own module only: some need nothing but
the plain install."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return 0 for success, 1 after an error message, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        help_requested = bool(arguments) and arguments[0] in {"-h", "--help"}
        lines = [f"  {name:11} {text}" for name, (_, _, _, text) in COMMANDS.items()]
        usage = "\n".join(["usage: python -m benchmarks COMMAND [--help]", *lines])
        print(usage, file=sys.stdout if help_requested else sys.stderr)
        return 0 if help_requested else 2
    name, *rest = arguments
    module_name, function, options, text = COMMANDS[name]
    module = importlib.import_module(f"benchmarks.{module_name}")
    config = parse_flags(getattr(module, options), f"python -m benchmarks {name}", text, rest)
    try:
        check_config(config)
        getattr(module, function)(config)
    except (EdgeRuntimeError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
