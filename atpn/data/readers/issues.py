"""Problems that a reader reports: missing or corrupt files, and samples that a protocol leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge_runtime.reading import quote

MAX_MESSAGE = 1000
"""Maximum length of a message, characters: labels may hold megabytes."""


class Severity(StrEnum):
    """Kind of an issue."""

    MISSING = "missing"
    """A file that another one refers to, or that every copy has, does not exist."""
    CORRUPT = "corrupt"
    """A file exists but cannot be used."""
    LEFT_OUT = "left out"
    """Not an error: the dataset's protocol or labels exclude it."""
    WARNING = "warning"
    """Not an error, but worth a look: labels that may be meant otherwise."""

    @property
    def is_error(self) -> bool:
        """Whether data are missing or cannot be used."""
        return self in (Severity.MISSING, Severity.CORRUPT)


@dataclass(frozen=True)
class Issue:
    """One problem of a dataset."""

    severity: Severity
    message: str
    """The file or sample, and what is wrong with it."""
    split: str = ""
    """The split concerned; empty if it may be any."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", quote(self.message, MAX_MESSAGE))


Report = Callable[[Issue], None]
"""Receives a reader's issues. The reader continues with the next sample unless it raises."""


def raise_issue(issue: Issue) -> None:
    """Raise ValueError for a missing or corrupt file."""
    if issue.severity.is_error:
        raise ValueError(f"{issue.severity}: {issue.message}; run `python -m atpn datasets check` for the full list")
