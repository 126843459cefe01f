"""Energy counters in Linux's layout."""

from __future__ import annotations

import pytest

from benchmarks.latency import energy
from benchmarks.latency.energy import EnergyMeter


@pytest.fixture
def zones(tmp_path, monkeypatch):
    for number, name, microjoules in ((0, "package-0", 1000), (1, "package-1", 990_000), (2, "psys", 5)):
        zone = tmp_path / f"intel-rapl:{number}"
        zone.mkdir()
        for file, text in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", 1_000_000)):
            (zone / file).write_text(f"{text}\n")
    (tmp_path / "intel-rapl").mkdir()
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def test_energy_sums_packages_and_handles_wrap_around(zones):
    meter = EnergyMeter.find()
    assert [path.name for path in meter.packages] == ["intel-rapl:0", "intel-rapl:1"]
    before = meter.read()
    (zones / "intel-rapl:0" / "energy_uj").write_text("4000\n")
    (zones / "intel-rapl:1" / "energy_uj").write_text("2000\n")
    assert meter.since(before) == pytest.approx(3 + 12)


def test_energy_meter_is_none_without_readable_counters(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    assert EnergyMeter.find() is None
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir(parents=True)
    assert EnergyMeter.find() is None
