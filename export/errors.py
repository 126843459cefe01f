"""Errors that end an export with a message and exit status 1."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class ExportError(ValueError):
    """Something that the export needs is missing or unusable; the message says what to do."""


class ParityError(ExportError):
    """A converted file exceeds a tolerance, so it was not written."""


@contextlib.contextmanager
def requires(extra: str) -> Iterator[None]:
    """Turn a failed import into an ExportError that names the extra to install."""
    try:
        yield
    except ImportError as error:
        raise ExportError(f"{error.name} is not installed ({error}): pip install -e '.[{extra}]'") from error
