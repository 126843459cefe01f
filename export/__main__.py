"""`python -m export COMMAND`: export model files, check them, make the images they are evaluated with."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import tyro

from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.output_paths import check_config
from export.config import (
    CheckConfig,
    CropSetConfig,
    DetectorConfig,
    ExportConfig,
    GoldenConfig,
    ImageSetConfig,
    ListConfig,
    ModelsConfig,
)
from export.formats import FORMATS

COMMANDS: dict[str, tuple[str, type[Any], str]] = {
    **{name: ("landmarks.export_landmarks", ExportConfig, text) for name, text in FORMATS.items()},
    "all": ("landmarks.export_landmarks", ExportConfig, "write every format in every precision"),
    "detector": ("detector.export_detector", DetectorConfig, "write the face detector's files"),
    "models": (
        "shipped.write_models",
        ModelsConfig,
        "write the files that edge_runtime ships, from the shipped weights",
    ),
    "check": ("check.check", CheckConfig, "evaluate exported files again, with the weights"),
    "list": ("check.list_files", ListConfig, "list the model files of a folder"),
    "golden": (
        "testing.golden.command.write_golden",
        GoldenConfig,
        "write test vectors for ports of the runtime: short sequences and their results",
    ),
    "calibration-set": (
        "crop_set.make_crop_sets",
        CropSetConfig,
        "write rendered crops for int8 calibration and for evaluation",
    ),
    "image-set": (
        "image_set.make_image_sets",
        ImageSetConfig,
        "write rendered images for int8 calibration and evaluation of detectors",
    ),
}
"""Name: what runs, imported on first use as converters take seconds; the dataclass of its options; a line of help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        help_requested = bool(arguments) and arguments[0] in {"-h", "--help"}
        lines = [f"  {name:16} {text}" for name, (_, _, text) in COMMANDS.items()]
        stream = sys.stdout if help_requested else sys.stderr
        print("\n".join(["usage: python -m export COMMAND [--help]", *lines]), file=stream)
        return 0 if help_requested else 2
    name, *rest = arguments
    function, options, text = COMMANDS[name]
    _show_progress()
    try:
        config = tyro.cli(options, args=rest, prog=f"python -m export {name}", description=text)
        check_config(config)
        more = {"formats": tuple(FORMATS) if name == "all" else (name,)} if options is ExportConfig else {}
        module, _, attribute = function.rpartition(".")
        getattr(import_module(f"export.{module}"), attribute)(config, **more)
    except (ValueError, ImportError, OSError, EdgeRuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: no file was partly written", file=sys.stderr)
        return 130
    return 0


def _show_progress() -> None:
    """Show this package's messages on standard error, not the converters' logs."""
    log = logging.getLogger("export")
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False  # a converter may set up the root logger for itself


if __name__ == "__main__":
    sys.exit(main())
