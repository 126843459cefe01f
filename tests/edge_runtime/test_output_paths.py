from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_runtime.errors import SinkError
from edge_runtime.output_paths import OutputCheckpoint, OutputFile, OutputFolder, check_config


@dataclass
class Labels:
    files: list[Path] = field(default_factory=list)


@dataclass
class Options:
    data: Path = Path("data")
    images: tuple[Path, ...] = ()
    labels: Labels = field(default_factory=Labels)
    template: Path | None = None
    out: OutputFile | None = None
    plots: OutputFolder | None = None
    weights: OutputCheckpoint | None = None
    seed: int = 0


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data/0.tar", "a.png", "b.png", "mine.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(out=Path("data/../data")), "it is a folder"),
        (Options(plots=Path("data/../data")), "--plots data/../data would overwrite --data data"),
        (Options(out=Path("data/0.tar")), "--out data/0.tar would overwrite --data data"),
        (
            Options(images=(Path("a.png"), Path("b.png")), out=Path("b.png")),
            "--out b.png would overwrite --images 2 b.png",
        ),
        (Options(labels=Labels([Path("a.png")]), out=Path("a.png")), "--out a.png would overwrite --files 1 a.png"),
        (Options(out=Path("new"), plots=Path("new")), "--plots new would overwrite --out new"),
        (
            Options(template=Path("mine.json"), weights=Path("mine.safetensors")),
            "--weights's .json mine.json would overwrite --template mine.json",
        ),
        (Options(out=Path("a.png/new.json")), "cannot write to a.png/new.json: a.png is not a folder"),
        (Options(plots=Path("a.png")), "cannot write to a.png: a.png is not a folder"),
    ],
)
def test_an_output_that_is_an_input_or_cannot_be_written_is_refused(options, message):
    with pytest.raises(SinkError, match=message):
        check_config(options)


def test_other_outputs_pass_and_nothing_is_made(folder):
    before = sorted(folder.rglob("*"))
    check_config(Options(out=Path("a/new/report.json"), plots=Path("new/plots"), weights=Path("new.safetensors")))
    check_config(Options(out=folder / "report.json", plots=folder))
    check_config(Options())
    assert sorted(folder.rglob("*")) == before
