"""Errors that a user can correct. Each derives from a builtin error, too; any other exception is a bug."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


class EdgeRuntimeError(Exception):
    """Base class. The message states what was given, what was expected, and what to do."""


class ModelFileError(EdgeRuntimeError, ValueError):
    """A model file is empty or damaged, has no spec, or does not match it."""


class BackendError(EdgeRuntimeError, ImportError):
    """The inference engine is not installed, does not start, or does not read this format."""


class DetectorError(EdgeRuntimeError, ValueError):
    """A face detector is unknown, the installed OpenCV lacks it, or it does not return ROIs."""


class FrameError(EdgeRuntimeError, ValueError):
    """The shape, dtype, or value range of a frame is not supported."""


class CalibrationError(EdgeRuntimeError, ValueError):
    """A calibration file is invalid or does not fit the frames."""


class TemplateError(EdgeRuntimeError, ValueError):
    """A template is invalid, or the model cannot find it."""


class SchemeError(EdgeRuntimeError, ValueError):
    """A landmark scheme's file is invalid."""


class InputFileError(EdgeRuntimeError, ValueError):
    """A file is not a regular one, too large, damaged, or not of the expected format."""


class SourceError(EdgeRuntimeError, OSError):
    """A camera, video, image, or folder has no frames."""


class SinkError(EdgeRuntimeError, OSError):
    """A result cannot be written."""


class DisplayError(EdgeRuntimeError, RuntimeError):
    """No window can be opened."""


def first_line(error: Exception) -> str:
    """Return the first line of another library's error message."""
    return str(error).strip().partition("\n")[0]


def require(valid: object, message: str) -> None:
    """Raise ValueError with this message if `valid` is false."""
    if not valid:
        raise ValueError(message)


def is_finite(value: Any) -> bool:
    """Return whether a caller's value is a finite number of a float's range, of numpy, too; booleans are none."""
    if type(value) is float:  # nearly always, and the other way takes ten times as long
        return math.isfinite(value)
    try:
        return _is_number(value, Real) and math.isfinite(value)
    except OverflowError:  # a whole number or fraction beyond a float's range
        return False


def is_whole(value: Any) -> bool:
    """Return whether a caller's value is a whole number, of numpy, too; booleans are none."""
    return _is_number(value, Integral)


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
