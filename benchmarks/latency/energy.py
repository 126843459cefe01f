"""Energy of Intel and AMD processors by the counters of Linux (RAPL)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
UNAVAILABLE = (
    f"Energy: unavailable for this user (no readable {POWERCAP}/intel-rapl:*/energy_uj; most systems let only root "
    "read it)."
)


@dataclass(frozen=True)
class EnergyMeter:
    """Reader of the counters of whole processor packages, which include other programs and idling."""

    packages: tuple[Path, ...]

    @classmethod
    def find(cls) -> EnergyMeter | None:
        """Return the machine's meter; None if this user cannot read any."""
        packages = tuple(sorted(path for path in POWERCAP.glob("intel-rapl:*") if _is_readable_package(path)))
        return cls(packages) if packages else None

    def read(self) -> tuple[int, ...]:
        """Return each package's counter in microjoules; see `since`."""
        return tuple(int((package / "energy_uj").read_text()) for package in self.packages)

    def since(self, before: tuple[int, ...]) -> float:
        """Return the millijoules of all packages since `read` returned `before`, at most one wrap-around ago."""
        total = 0
        for package, then, now in zip(self.packages, before, self.read(), strict=True):
            total += now - then if now >= then else now - then + int((package / "max_energy_range_uj").read_text())
        return total / 1e3


def _is_readable_package(zone: Path) -> bool:
    """Return False for zones that are parts of a package, or the whole platform."""
    try:
        (zone / "energy_uj").read_text()
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False
