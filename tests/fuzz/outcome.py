"""What a reader did with an input."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_MESSAGE = 2000
"""Maximum length of an error message, characters: more does not fit a terminal."""


class Kind(StrEnum):
    """Class of an outcome. All but the first two are faults."""

    FINE = "accepted"
    CLEAR = "clear errors"
    """A documented error, whose message is bounded and names the input."""
    UNDOCUMENTED = "undocumented"
    """Any other exception, a message that is too long or names no file, or a property that does not hold."""
    CRASH = "crashes"
    """The process ended, or took more memory than allowed."""
    HANG = "hangs"
    SILENT = "silent differences"
    """A damaged input with a checksum was accepted and gives another result."""

    @property
    def is_fault(self) -> bool:
        """Whether the code must be mended."""
        return self not in (Kind.FINE, Kind.CLEAR)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one input."""

    kind: Kind
    reason: str = ""
    """One line: the error, and where it was raised."""
    value: str | None = None
    """Digest of the result of an accepted input, if the target compares results."""


class PropertyError(AssertionError):
    """A property of a target does not hold."""


def check(valid: object, message: str) -> None:
    """Raise PropertyError with this message if `valid` is false."""
    if not valid:
        raise PropertyError(message)
