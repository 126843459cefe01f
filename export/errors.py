"""Errors that end an export with a message and exit status 1."""

from __future__ import annotations


class ExportError(ValueError):
    """Something that the export needs is missing or unusable; the message says what to do."""


class GateError(ExportError):
    """A converted file differs from the network by more than the bounds allow, so it was not written."""
