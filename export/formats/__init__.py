"""Model file formats: a module per format, and the table of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.formats.base import Format

FORMATS = {
    "tflite": "write .tflite files for LiteRT, on phones, Raspberry Pis, and desktops",
    "onnx": "write .onnx files for onnxruntime",
    "coreml": "write .mlpackage folders for CoreML, on Apple's systems",
}
"""Module in this package, which defines FORMAT: the command's line of help."""


def load_format(name: str) -> Format:
    """Import a format of the table."""
    kind: Format = import_module(f"{__name__}.{name}").FORMAT
    return kind
