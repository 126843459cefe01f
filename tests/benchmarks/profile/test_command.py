from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.profile.command import ProfileConfig, blocks_of, kinds_of, profile
from benchmarks.profile.graph import Graph, Operator
from benchmarks.results import Results
from edge_runtime.models import landmark_models, model_path


def test_blocks_are_in_network_order(chain_of_convolutions):
    blocks = blocks_of(Graph(chain_of_convolutions).operators, Path("x.tflite"))
    assert list(blocks) == ["stem", "landmarks from the vector", "heatmap"]
    assert blocks["stem"][0].macs == 4 * 8 * 8


def test_the_shipped_networks_operators_are_all_in_blocks():
    for name in landmark_models():
        path = model_path(name)
        assert "refinement of landmarks" in blocks_of(Graph(path.read_bytes()).operators, path)


def test_blocks_reject_unknown_operator_names():
    with pytest.raises(ValueError, match=r"old\.tflite: 'BatchNorm2d_1' is in no block"):
        blocks_of([Operator(0, "CONV_2D", "BatchNorm2d_1", 1, "int8")], Path("old.tflite"))


def test_kinds_group_padding_with_its_convolution():
    kinds = ("PAD", "CONV_2D", "ADD")
    operators = [Operator(i, kind, "", 0, "float32") for i, kind in enumerate(kinds)]
    assert kinds_of(operators) == {"CONV_2D, float32": [operators[:2]], "ADD, float32": [operators[2:]]}


def test_profile_has_a_row_per_block_and_kind(named_blocks, tmp_path):
    profile(ProfileConfig(models=named_blocks, out=tmp_path / "profile.json", runs=10))
    metrics = Results.read(tmp_path / "profile.json").metrics
    rows = {metric.row for metric in metrics if metric.column == "time"}
    assert rows == {"stem", "landmarks from the vector", "heatmap", "whole file", "CONV_2D, float32"}
    fractions = [
        metric.value for metric in metrics if metric.table.startswith("time by block") and "fraction" in metric.column
    ]
    assert sum(fractions) - 100 == pytest.approx(fractions[-1])  # the whole file's is on top
