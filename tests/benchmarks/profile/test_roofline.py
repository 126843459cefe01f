from __future__ import annotations

import pytest

from benchmarks.profile.roofline import RooflineConfig, roofline
from benchmarks.results import Results


def test_roofline_relates_files_to_the_peak(named_blocks, tmp_path):
    roofline(RooflineConfig(models=named_blocks, out=tmp_path / "roofline.json", runs=10))
    results = Results.read(tmp_path / "roofline.json")
    found = {(metric.row, metric.column): metric.value for metric in results.metrics}
    assert found["int8", "GMAC/s"] > 0
    assert found[named_blocks.name, "float32, million multiply-adds"] == pytest.approx(3 * 4 * 8 * 8 / 1e6)
    assert found[named_blocks.name, "int8, million multiply-adds"] == 0
    ratio = found[named_blocks.name, "measured"] / found[named_blocks.name, "least possible"]
    assert found[named_blocks.name, "times the roofline"] == pytest.approx(ratio)


def test_roofline_rejects_files_without_spec(tmp_path, chain_of_convolutions):
    (tmp_path / "other.tflite").write_bytes(chain_of_convolutions)
    with pytest.raises(Exception, match=r"other\.tflite"):
        roofline(RooflineConfig(models=tmp_path, out=tmp_path / "roofline.json"))
    with pytest.raises(ValueError, match="--runs must be 1 or more, got 0"):
        RooflineConfig(runs=0)
