"""The energy that processors say they took: Intel's and AMD's counters, as Linux shows them (RAPL)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
NOT_TOLD = (
    f"Energy: this system tells none to this user (no readable {POWERCAP}/intel-rapl:*/energy_uj; most systems "
    "let only root read it)."
)


@dataclass(frozen=True)
class EnergyMeter:
    """Reads the counters of whole processor packages: all that runs on them, idling included."""

    packages: tuple[Path, ...]

    @classmethod
    def find(cls) -> EnergyMeter | None:
        """The machine's meter; None when there is none that this user may read."""
        packages = tuple(sorted(path for path in POWERCAP.glob("intel-rapl:*") if _is_readable_package(path)))
        return cls(packages) if packages else None

    def read(self) -> tuple[int, ...]:
        """Microjoules of each package since some time ago; see `since`."""
        return tuple(int((package / "energy_uj").read_text()) for package in self.packages)

    def since(self, before: tuple[int, ...]) -> float:
        """Millijoules of all packages since `before`, what `read` gave then, less than a turn of the counters ago."""
        total = 0
        for package, then, now in zip(self.packages, before, self.read(), strict=True):
            total += now - then if now >= then else now - then + int((package / "max_energy_range_uj").read_text())
        return total / 1e3


def _is_readable_package(zone: Path) -> bool:
    """Other zones are parts of a package, or the whole platform with the packages in it."""
    try:
        (zone / "energy_uj").read_text()
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False
