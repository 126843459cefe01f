"""Board state from files and answers like a Raspberry Pi's."""

from __future__ import annotations

import pytest

from benchmarks import board
from benchmarks.board import board_name, board_state, parse_throttled


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("throttled=0x0\n", ()),
        ("throttled=0x50005\n", ("its voltage is too low", "it is throttled", "its voltage has been too low",
                                 "it has been throttled")),
        ("throttled=0x80000", ("it has been at the soft temperature limit",)),
        ("VCHI initialization failed\n", None),
        ("", None),
    ],
)  # fmt: skip
def test_parse_throttled_reads_the_firmware_bits(answer, expected):
    assert parse_throttled(answer) == expected


def test_board_state_reads_name_temperature_and_throttling(tmp_path, monkeypatch):
    (tmp_path / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    for number, millidegrees in enumerate(("48200", "61000", "")):
        (tmp_path / f"thermal_zone{number}").mkdir()
        (tmp_path / f"thermal_zone{number}" / "temp").write_text(millidegrees)
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x2\n')
    program.chmod(0o755)
    monkeypatch.setattr(board, "NAME", tmp_path / "model")
    monkeypatch.setattr(board, "THERMAL", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert board_name() == "Raspberry Pi 4 Model B Rev 1.4"
    assert board_state() == board.BoardState(61.0, ("its frequency is capped",))


def test_board_state_is_none_when_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "NAME", tmp_path / "model")
    monkeypatch.setattr(board, "THERMAL", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert board_name() == ""
    assert board_state() == board.BoardState(None, None)
