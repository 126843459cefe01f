"""What a reader notices on its way: files that are missing or broken, samples that a protocol leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """How bad it is."""

    MISSING = "missing"
    """Another file speaks of it, or every copy has it, but it is not there."""
    CORRUPT = "corrupt"
    """It is there and cannot be what it should be."""
    LEFT_OUT = "left out"
    """Nothing is wrong: the dataset's own protocol or labels say to leave it out."""


@dataclass(frozen=True)
class Finding:
    """One thing noticed."""

    fault: Fault
    what: str
    """Which file or sample, and what is the matter."""
    split: str = ""
    """The one split that it concerns; empty: perhaps all."""


Report = Callable[[Finding], None]
"""Where readers tell what they notice; they go on with the next sample afterwards, unless it raises."""


def refuse(finding: Finding) -> None:
    """Raise ValueError for what is missing or corrupt: to train on half a dataset is no good surprise."""
    if finding.fault is not Fault.LEFT_OUT:
        raise ValueError(f"{finding.fault}: {finding.what}; `python -m atpn datasets check` lists all of it")
