"""Errors that a user can act on. Anything else that escapes the runtime is a bug.

Each also is the builtin error it resembles, so callers may catch either.
"""

from __future__ import annotations


class EdgeRuntimeError(Exception):
    """Base of what the runtime refuses; the message says what was given, what was expected and what to do."""


class ModelFileError(EdgeRuntimeError, ValueError):
    """A model file is empty, damaged, without a spec, or not what its spec says."""


class BackendError(EdgeRuntimeError, ImportError):
    """The inference engine asked for is not installed, does not start, or does not read this format."""


class DetectorError(EdgeRuntimeError, RuntimeError):
    """The face detector cannot be made with the OpenCV at hand."""


class FrameError(EdgeRuntimeError, ValueError):
    """An array is not a picture that the runtime takes."""


class CalibrationError(EdgeRuntimeError, ValueError):
    """A file or a frame size does not belong to a calibrated camera."""


class TemplateError(EdgeRuntimeError, ValueError):
    """A template is no template, or not one that the model can find."""


class SourceError(EdgeRuntimeError, OSError):
    """A camera, video, image or folder gives no frames."""


class SinkError(EdgeRuntimeError, OSError):
    """A result cannot be written."""


class DisplayError(EdgeRuntimeError, RuntimeError):
    """No window can be opened here."""


def first_line(error: Exception) -> str:
    """What another library's error says, without its stack of details."""
    return str(error).strip().partition("\n")[0]
