"""Comparison of two machines' or engines' outputs: every group of arrays against its tolerance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from platform_checks.device_outputs import DeviceOutputs


@dataclass(frozen=True)
class Tolerance:
    """Allowed differences of arrays; None for no limit."""

    largest: float | None = None
    mean: float | None = None
    """Limit per array, for int8: a value on the other side of a rounding step changes the outputs of one image a lot,
    while wrong arithmetic changes those of all."""

    def __str__(self) -> str:
        named = {"": self.largest, "mean ": self.mean}
        return " and ".join(f"{name}{limit:g}" for name, limit in named.items() if limit is not None) or "any"


EXACT = Tolerance(largest=0.0)
ROUNDING = Tolerance(largest=1e-5)
"""For sums in another order."""
OTHER_PROCESSOR = {"fp32": ROUNDING, "fp16": ROUNDING, "int8": Tolerance(mean=2e-3)}
"""By precision, for the same engine on another processor, whose int8 kernels can round differently. 2e-3 rad is 0.1°, a
twentieth of the error that int8 adds to float."""
OTHER_ENGINE = {"fp32": ROUNDING, "fp16": ROUNDING, "int8": Tolerance(mean=3e-2)}
"""By precision, for an older engine, whose int8 kernels round differently: tflite-runtime's landmarks differ by 2e-3 of
a crop in the mean, gaze by 2e-2 rad. Wrong arithmetic differs by tenths."""


@dataclass(frozen=True)
class GroupDifference:
    """Differences of one group of arrays."""

    group: str
    largest: float
    """Largest difference in any of its arrays, in their own units; infinite if shapes or missing values differ."""
    where: str
    """Name of that array."""
    mean: float
    """Largest mean difference of an array."""
    tolerance: Tolerance

    @property
    def within(self) -> bool:
        """Whether the differences are within the tolerance."""
        pairs = (self.largest, self.tolerance.largest), (self.mean, self.tolerance.mean)
        return all(limit is None or value <= limit for value, limit in pairs)


def compare(
    reference: DeviceOutputs, other: DeviceOutputs, tolerances: Mapping[str, Tolerance], images: Tolerance = EXACT
) -> list[GroupDifference]:
    """Compare each group of `reference`, with `tolerances` by precision and `images` for arrays of uint8.

    ValueError if there is no tolerance for a precision.
    """
    arrays: dict[tuple[str, Tolerance], list[str]] = {}
    for name, array in reference.arrays.items():
        group = name.rpartition("/")[0]
        if group.partition(",")[0] not in other.unsupported:
            precision = reference.precisions.get(group)
            if array.dtype != np.uint8 and precision not in tolerances:
                known = ", ".join(tolerances)
                raise ValueError(
                    f"{group} has precision {precision!r}, expected one of {known}: write the outputs again"
                )
            tolerance = images if array.dtype == np.uint8 or precision is None else tolerances[precision]
            arrays.setdefault((group, tolerance), []).append(name)
    rows = []
    for (group, tolerance), names in arrays.items():
        found = {n.rpartition("/")[2]: _differences(reference.arrays[n], other.arrays.get(n)) for n in names}
        where = max(found, key=lambda name: found[name][0])
        rows.append(GroupDifference(group, found[where][0], where, max(mean for _, mean in found.values()), tolerance))
    return rows


def _differences(reference: np.ndarray, other: np.ndarray | None) -> tuple[float, float]:
    """Return the largest and the mean difference; infinite if shapes or missing values differ."""
    if other is None or reference.shape != other.shape or not np.array_equal(np.isnan(reference), np.isnan(other)):
        return np.inf, np.inf
    difference = np.abs(np.nan_to_num(reference.astype(np.float64)) - np.nan_to_num(other.astype(np.float64)))
    return float(difference.max()), float(difference.mean())


def problems(rows: list[GroupDifference], unsupported: Collection[str]) -> list[str]:
    """Return a sentence for each exceeded tolerance and each file that one side should support and does not."""
    found = [
        f"{row.group}, {row.where}: largest difference {row.largest:.3g}, mean {row.mean:.3g}, allowed {row.tolerance}"
        for row in rows
        if not row.within
    ]
    return found + [f"{name} is not supported by both and was not compared" for name in sorted(unsupported)]


def comparison_table(rows: list[GroupDifference]) -> str:
    """Return one line per group."""
    lines = [f"{'group':42} {'largest':>9} {'mean':>9}  {'allowed':12} largest in"]
    for row in rows:
        mark = "" if row.within else "  <- exceeds the tolerance"
        lines.append(f"{row.group:42} {row.largest:9.2g} {row.mean:9.2g}  {row.tolerance!s:12} {row.where}{mark}")
    return "\n".join(lines)
