"""`python -m platform_checks outputs|compare|arm64`: check that other machines and engines compute the same.

These are checks of the runtime and its ports, not measurements: emulated boards say nothing about speed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_runtime import models
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.files import locked
from edge_runtime.flags import flag, parse_flags
from edge_runtime.output_paths import OutputFile, check_config
from platform_checks.comparison import OTHER_ENGINE, OTHER_PROCESSOR, compare, comparison_table, problems
from platform_checks.device_outputs import DeviceOutputs, device_outputs
from platform_checks.emulated_python import BOARDS, EmulatedPython, build

TESTS = "tests/edge_runtime"


@dataclass(frozen=True)
class OutputsConfig:
    """Options of `outputs`."""

    models: Path = flag(models.FOLDER, "folder of .tflite files, or one file")
    out: OutputFile = flag(Path("dist/outputs.npz"), "file of the arrays")
    images: int = flag(40, "number of held-out images per file")
    reference: Path | None = flag(None, "another machine's file, whose tracking steps are followed")

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"--images must be 1 or more, got {self.images}")


@dataclass(frozen=True)
class CompareConfig:
    """Options of `compare`."""

    reference: Path = flag(Path("dist/outputs.npz"), "file that `outputs` wrote")
    other: Path = flag(Path("other.npz"), "file that it wrote elsewhere, with --reference REFERENCE")


@dataclass(frozen=True)
class Arm64Config:
    """Options of `arm64`."""

    board: Literal["both", "pi4", "pi5"] = flag("both", "Raspberry Pi to emulate")
    models: Path = flag(models.FOLDER, "folder of .tflite files")
    cache: Path = flag(Path(".arm64"), "folder for downloads, which later runs use")
    images: int = flag(40, "number of held-out images per file")
    skip_tests: bool = flag(False, "compare outputs only")


def write_outputs(config: OutputsConfig) -> None:
    """Write the outputs of this machine."""
    reference = None if config.reference is None else DeviceOutputs.read(config.reference)
    result = device_outputs(_model_files(config.models), config.images, reference)
    result.write(config.out)
    for reason in result.unsupported.values():
        print(f"not supported: {reason}")


def compare_outputs(config: CompareConfig) -> None:
    """Compare two machines' outputs. Raise ValueError for exceeded tolerances."""
    reference, other = DeviceOutputs.read(config.reference), DeviceOutputs.read(config.other)
    rows = compare(reference, other, OTHER_ENGINE)
    print(comparison_table(rows))
    _raise_for(problems(rows, {*reference.unsupported, *other.unsupported}))


def check_arm64(config: Arm64Config) -> None:
    """Check emulated boards. Raise ValueError for failed tests and exceeded tolerances, OSError without emulator."""
    config.cache.mkdir(parents=True, exist_ok=True)
    with locked(config.cache):  # a second check waits: it would write into the same emulated system
        _raise_for(_check_boards(config))


def _check_boards(config: Arm64Config) -> list[str]:
    paths = _model_files(config.models)
    python = build(config.cache)
    reference = device_outputs(paths, config.images)
    reference.write(python.folder / "here.npz")
    found: list[str] = []
    for board in list(BOARDS) if config.board == "both" else [config.board]:
        print(f"{board}: {BOARDS[board].cpu}, emulated", flush=True)
        found += [f"{board}: {problem}" for problem in _check_board(python, board, reference, paths[0].parent, config)]
    return found


def _check_board(
    python: EmulatedPython, board: str, reference: DeviceOutputs, folder: Path, config: Arm64Config
) -> list[str]:
    found = []
    if not config.skip_tests:
        arguments = ["-m", "pytest", "-rs", "-p", "no:cacheprovider", TESTS]
        if status := python.command(BOARDS[board], arguments, with_test_packages=True):
            found.append(f"{TESTS} failed with exit status {status}, see above")
    path = python.folder / f"{board}.npz"
    path.unlink(missing_ok=True)
    arguments = ["-m", "platform_checks", "outputs", "--models", str(folder.resolve()), "--out", str(path)]
    arguments += ["--images", str(config.images), "--reference", str(python.folder / "here.npz")]
    if status := python.command(BOARDS[board], arguments):
        return [*found, f"the plain install failed with exit status {status}, see above"]
    other = DeviceOutputs.read(path)
    rows = compare(reference, other, OTHER_PROCESSOR)
    print(comparison_table(rows), flush=True)
    print(", ".join(f"{name} {version}" for name, version in other.versions.items() if version), file=sys.stderr)
    return found + problems(rows, {*reference.unsupported, *other.unsupported})


def _model_files(path: Path) -> list[Path]:
    paths = [path] if path.is_file() else sorted(path.glob("*.tflite"))
    if not paths:
        raise FileNotFoundError(f"no .tflite file in {path}: give a folder that has one, such as {models.FOLDER}")
    return paths


def _raise_for(found: list[str]) -> None:
    if found:
        raise ValueError("\n  ".join(["checks failed:", *found]))


COMMANDS: dict[str, tuple[Callable[[Any], None], type[Any], str]] = {
    "outputs": (write_outputs, OutputsConfig, "write what TFLite files compute on this machine"),
    "compare": (compare_outputs, CompareConfig, "compare the outputs of two machines or engines"),
    "arm64": (check_arm64, Arm64Config, "check the plain install on emulated Raspberry Pis"),
}
"""Name: function, dataclass of the options, help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return 0 for success, 1 after an error message, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        help_requested = bool(arguments) and arguments[0] in {"-h", "--help"}
        lines = [f"  {name:10} {text}" for name, (_, _, text) in COMMANDS.items()]
        usage = "\n".join(["usage: python -m platform_checks COMMAND [--help]", *lines])
        print(usage, file=sys.stdout if help_requested else sys.stderr)
        return 0 if help_requested else 2
    name, *rest = arguments
    command, options, text = COMMANDS[name]
    config = parse_flags(options, f"python -m platform_checks {name}", text, rest)
    try:
        check_config(config)
        command(config)
    except (EdgeRuntimeError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
