"""Do two machines, or two engines, compute the same? Every group of arrays against its bound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.cross_platform.device_outputs import DeviceOutputs


@dataclass(frozen=True)
class Bound:
    """How far arrays may differ; None: not bounded."""

    largest: float | None = None
    mean: float | None = None
    """Of each array, for int8: where one value falls on the other side of a rounding step the outputs of that picture
    leap, while wrong arithmetic moves all of them."""

    def __str__(self) -> str:
        named = {"": self.largest, "mean ": self.mean}
        return " and ".join(f"{name}{bound:g}" for name, bound in named.items() if bound is not None) or "any"


EXACT = Bound(largest=0.0)
ROUNDING = Bound(largest=1e-5)
"""Sums in another order."""


@dataclass(frozen=True)
class Row:
    """One group of arrays."""

    group: str
    largest: float
    """Largest difference in any of its arrays, in their own units; infinite when they do not match at all."""
    where: str
    """The array that holds it."""
    mean: float
    """Mean difference of the array where it is largest."""
    bound: Bound

    @property
    def within(self) -> bool:
        """Whether the group keeps its bound."""
        return all(
            bound is None or found <= bound
            for found, bound in ((self.largest, self.bound.largest), (self.mean, self.bound.mean))
        )


def compare(
    ours: DeviceOutputs, theirs: DeviceOutputs, bounds: Mapping[str, Bound], pictures: Bound = EXACT
) -> list[Row]:
    """One row per group of `ours`. `bounds` are by precision, `pictures` is that of whatever is a picture."""
    arrays: dict[tuple[str, Bound], list[str]] = {}
    for name, array in ours.arrays.items():
        group = name.rpartition("/")[0]
        if group.partition(",")[0] in theirs.refused:
            continue
        bound = pictures if array.dtype == np.uint8 else bounds[ours.precisions[group]]
        arrays.setdefault((group, bound), []).append(name)
    rows = []
    for (group, bound), names in arrays.items():
        found = {name.rpartition("/")[2]: _differences(ours.arrays[name], theirs.arrays.get(name)) for name in names}
        where = max(found, key=lambda name: found[name][0])
        rows.append(Row(group, found[where][0], where, max(mean for _, mean in found.values()), bound))
    return rows


def _differences(ours: np.ndarray, theirs: np.ndarray | None) -> tuple[float, float]:
    """Largest and mean difference; infinite where one has a number and the other has none."""
    if theirs is None or ours.shape != theirs.shape or not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return np.inf, np.inf
    difference = np.abs(np.nan_to_num(ours.astype(np.float64)) - np.nan_to_num(theirs.astype(np.float64)))
    return float(difference.max()), float(difference.mean())


def problems(rows: list[Row], refused: Collection[str], may_refuse: Collection[str] = ()) -> list[str]:
    """What is out of bounds, and files refused that should not be, a sentence each; empty when all is well."""
    found = [
        f"{row.group}, {row.where}: largest difference {row.largest:.3g}, mean {row.mean:.3g}, allowed {row.bound}"
        for row in rows
        if not row.within
    ]
    return found + [f"{name} is refused" for name in sorted(set(refused) - set(may_refuse))]


def agreement_table(rows: list[Row]) -> str:
    """One line per group."""
    lines = [f"{'what':42} {'largest':>9} {'mean':>9}  {'allowed':12} largest in"]
    for row in rows:
        mark = "" if row.within else "  <- out of bounds"
        lines.append(f"{row.group:42} {row.largest:9.2g} {row.mean:9.2g}  {row.bound!s:12} {row.where}{mark}")
    return "\n".join(lines)
