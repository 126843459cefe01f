"""`python -m export COMMAND`: write model files, check them, or cut the crops that they are checked with."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from edge_runtime.errors import EdgeRuntimeError
from export.config import (
    AllConfig,
    CheckConfig,
    CoreMLConfig,
    CropSetConfig,
    DetectorConfig,
    GoldenConfig,
    ListConfig,
    OnnxConfig,
    PictureSetConfig,
    TFLiteConfig,
)


def _export(config: TFLiteConfig | OnnxConfig | CoreMLConfig | AllConfig) -> None:
    from export.pipeline import export

    export(config)


def _detector(config: DetectorConfig) -> None:
    from export.detector import export_detector

    export_detector(config)


def _check(config: CheckConfig) -> None:
    from export.check import check

    check(config)


def _list(config: ListConfig) -> None:
    from export.check import list_files

    list_files(config)


def _crop_sets(config: CropSetConfig) -> None:
    from export.crop_set import make_crop_sets

    make_crop_sets(config)


def _picture_sets(config: PictureSetConfig) -> None:
    from export.picture_set import make_picture_sets

    make_picture_sets(config)


def _golden(config: GoldenConfig) -> None:
    from export.golden.command import write_golden

    write_golden(config)


COMMANDS: dict[str, tuple[Callable[[Any], None], type[Any], str]] = {
    "tflite": (_export, TFLiteConfig, "write .tflite files for LiteRT, on phones, Pis and desktops"),
    "onnx": (_export, OnnxConfig, "write .onnx files for onnxruntime"),
    "coreml": (_export, CoreMLConfig, "write .mlpackage folders for CoreML, on Apple's systems"),
    "all": (_export, AllConfig, "write every format in every precision"),
    "detector": (_detector, DetectorConfig, "write the face detector's files"),
    "check": (_check, CheckConfig, "measure exported files again, against their own specs and the weights"),
    "list": (_list, ListConfig, "tell what the model files of a folder are"),
    "golden": (_golden, GoldenConfig, "record what the runtime does on short sequences, for its ports to be tested by"),
    "calibration-set": (_crop_sets, CropSetConfig, "cut the crops that calibrate and check the files, from renders"),
    "picture-set": (_picture_sets, PictureSetConfig, "put together the pictures that do so for the detector's files"),
}
"""Name: what runs, the dataclass of its options, a line of help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        asked = bool(arguments) and arguments[0] in {"-h", "--help"}
        lines = [f"  {name:16} {text}" for name, (_, _, text) in COMMANDS.items()]
        print("\n".join(["usage: python -m export COMMAND [--help]", *lines]), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    name, *rest = arguments
    command, options, text = COMMANDS[name]
    _show_progress()
    try:
        command(tyro.cli(options, args=rest, prog=f"python -m export {name}", description=text))
    except (ValueError, ImportError, OSError, EdgeRuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; files are written whole or not at all, so nothing is half done", file=sys.stderr)
        return 130
    return 0


def _show_progress() -> None:
    """This room's messages on standard error; the converters' own logs stay off."""
    log = logging.getLogger("export")
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False  # a converter may set up the root logger for itself


if __name__ == "__main__":
    sys.exit(main())
