"""The emulated board: its description, the downloads, and, if they are there, that it runs."""

from __future__ import annotations

import platform

import pytest

from platform_checks import emulated_python
from platform_checks.__main__ import main
from platform_checks.emulated_python import (
    BOARDS,
    CORES,
    PROJECT,
    EmulatedPython,
    RootError,
    requirements,
    write_board,
)


@pytest.mark.parametrize(("name", "part", "dot_product"), [("pi4", "0xd08", False), ("pi5", "0xd0b", True)])
def test_write_board_describes_the_arm_processor(tmp_path, name, part, dot_product):
    write_board(tmp_path, BOARDS["pi5"])
    write_board(tmp_path, BOARDS[name])
    text = (tmp_path / "proc/cpuinfo").read_text()
    assert text.count("processor\t:") == text.count(f"CPU part\t: {part}\n") == CORES
    assert text.count("CPU implementer\t: 0x41\n") == CORES
    assert ("asimddp" in text) == dot_product
    for cores in ("possible", "present"):
        assert (tmp_path / "sys/devices/system/cpu" / cores).read_text() == "0-3\n"


def test_requirements_come_from_pyproject():
    plain, tests = requirements(PROJECT / "pyproject.toml")
    assert len(plain) == 3
    assert any(wanted.startswith("ai-edge-litert") for wanted in plain)
    assert any(wanted.startswith("pytest") for wanted in tests)


def test_once_fills_a_folder_once_and_repeats_after_failure(tmp_path):
    made = []

    def make(target):
        made.append(target)
        (target / "content").touch()

    for key in ("a", "a", "b"):
        emulated_python._once(tmp_path / "part", key, make)
    assert len(made) == 2

    def fail(target):
        (target / "half").touch()
        raise RootError("no network")

    with pytest.raises(RootError):
        emulated_python._once(tmp_path / "part", "c", fail)
    emulated_python._once(tmp_path / "part", "c", make)
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["content"]


def test_build_reports_what_failed(tmp_path, monkeypatch, capsys):
    (tmp_path / "atpn.tflite").touch()
    monkeypatch.setattr(emulated_python.shutil, "which", lambda name: None)
    assert main(["arm64", "--models", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 1
    assert "apt-get and dpkg-deb are needed" in capsys.readouterr().err
    with pytest.raises(RootError, match=r"cannot download wheels.*needs the network:\n  no such host"):
        emulated_python._run(["sh", "-c", "echo no such host >&2; exit 4"], "wheels")


def test_emulated_python_runs_the_plain_install(tmp_path):
    python = EmulatedPython(PROJECT / ".arm64")
    if not python.launcher.is_file():
        pytest.skip("no emulated Python: `make check-arm64` fetches it")
    code = (
        "import platform, pathlib, cv2, ai_edge_litert, edge_runtime; pathlib.Path({!r}).write_text(platform.machine())"
    )
    copy = tmp_path / "machine"
    assert python.command(BOARDS["pi4"], ["-c", code.format(str(copy))]) == 0
    assert copy.read_text() == "aarch64" != platform.machine()
