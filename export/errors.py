"""Errors that end an export with a message and exit status 1."""

from __future__ import annotations


class ExportError(ValueError):
    """Something that the export needs is missing or unusable; the message says what to do."""


class ParityError(ExportError):
    """A converted file exceeds a tolerance, so it was not written."""
