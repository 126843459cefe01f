"""`python -m benchmarks COMMAND`: what exported files cost, how they track, whether they compute the same elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.flags import parse_flags

COMMANDS = {
    "latency": ("latency.command", "latency", "LatencyConfig", "what files cost here: time by stage, start, memory"),
    "roofline": ("profile.roofline", "roofline", "RooflineConfig", "how near the networks come to this core's peak"),
    "profile": ("profile.command", "profile", "ProfileConfig", "where a network's time goes, by block and by operator"),
    "accuracy": ("accuracy.command", "accuracy", "AccuracyConfig", "errors of exported files beside the checkpoint's"),
    "stability": (
        "stability.command",
        "stability",
        "StabilityConfig",
        "how trackers hold and shake: flicker, loss",
    ),
    "detector": ("detector.command", "detector", "DetectorConfig", "face detectors on the same pictures: finds, time"),
    "peers": ("peers.command", "compare", "PeersConfig", "other people's networks on the same faces: time, errors"),
    "endurance": ("endurance", "endurance", "EnduranceConfig", "the memory of a long run"),
    "pi": ("cross_platform.pi", "pi", "PiConfig", "on a Raspberry Pi: time, memory, heat, outputs, and a report"),
    "phone": ("phone.command", "phone", "PhoneConfig", "time exported models on an Android phone, through adb"),
    "report": ("report", "report", "ReportConfig", "one page of all results, as markdown and HTML"),
    "compare": ("comparison", "compare", "CompareConfig", "what changed between two runs, and what is only noise"),
    "outputs": ("cross_platform.command", "outputs", "OutputsConfig", "write what TFLite files compute here"),
    "agree": ("cross_platform.command", "agree", "AgreeConfig", "compare that with another machine or engine"),
    "arm64": ("cross_platform.command", "check_arm64", "Arm64Config", "the plain install on emulated Raspberry Pis"),
}
"""Name: module, function, the dataclass of its options, a line of help. Each loads only what it needs: some run where
there is nothing but the plain install."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 1 with a message when there is nothing to measure, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        lines = [f"  {name:10} {text}" for name, (_, _, _, text) in COMMANDS.items()]
        print("\n".join(["usage: python -m benchmarks COMMAND [--help]", *lines]), file=sys.stderr)
        return 2
    name, *rest = arguments
    module_name, function, options, text = COMMANDS[name]
    module = importlib.import_module(f"benchmarks.{module_name}")
    config = parse_flags(getattr(module, options), f"python -m benchmarks {name}", text, rest)
    try:
        getattr(module, function)(config)
    except (EdgeRuntimeError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
