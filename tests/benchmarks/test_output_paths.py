"""Each command of each package says which of its paths it writes, and checks them first."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import atpn.__main__
import atpn.data.datasets_cli
import atpn.templates.cli
import atpn.tufa.cli
import benchmarks.__main__
import export.__main__
import platform_checks.__main__
from edge_runtime.output_paths import Output
from export.config import ListConfig

WRITTEN = {"out", "sheet", "overlay", "plots", "plot", "preview", "definitions", "report", "unlabeled"}


def configs() -> list[type[Any]]:
    found: list[Any] = []
    for module, name, _ in atpn.__main__.COMMANDS.values():
        config = getattr(importlib.import_module(module), name)
        found += [config] if dataclasses.is_dataclass(config) else [part.__origin__ for part in config.__args__]
    found += [config for _, config, _ in export.__main__.COMMANDS.values()]
    for module, _, name, _ in benchmarks.__main__.COMMANDS.values():
        found.append(getattr(importlib.import_module(f"benchmarks.{module}"), name))
    return [*found, *(config for _, config, _ in platform_checks.__main__.COMMANDS.values())]


def test_paths_that_are_written_are_marked():
    marked = 0
    for config in configs():
        hints = get_type_hints(config, include_extras=True)
        for field in dataclasses.fields(config):
            if field.name in WRITTEN and config is not ListConfig and "Path" in str(hints[field.name]):
                assert "Output(" in str(hints[field.name]), f"{config.__name__}.{field.name} is not marked as an output"
                marked += 1
    assert marked > 40
    assert "Output(" in repr(Output())


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (atpn.__main__.main, ["template", "new", "lips", "--points-file", "a.csv", "--out", "a.csv"], "--points-file"),
        (atpn.__main__.main, ["evaluate", "--weights", "a", "--data", "here", "--out", "a"], "--weights a"),
        (atpn.__main__.main, ["tufa", "shapes", "--weights", "a.safetensors", "--out", "a.json"], "--weights's .json"),
        (export.__main__.main, ["tflite", "--held-out", "here", "--out", "here"], "--held-out here"),
        (benchmarks.__main__.main, ["latency", "--models", "lips.json", "--out", "lips.json"], "--models lips.json"),
        (platform_checks.__main__.main, ["outputs", "--reference", "a.npz", "--out", "a.npz"], "--reference a.npz"),
    ],
)
def test_an_input_is_never_an_output(tmp_path, monkeypatch, capsys, main, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("lips.json", "a.npz", "a.csv", "a", "a.safetensors", "a.json"):
        Path(name).write_text("precious")
    assert main(arguments) == 1
    assert f"would overwrite {message}" in capsys.readouterr().err
    assert {path.read_text() for path in tmp_path.iterdir()} == {"precious"}
