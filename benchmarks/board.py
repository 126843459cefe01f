"""State of a single-board computer: name, temperature, and throttling."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = Path("/proc/device-tree/model")
THERMAL = Path("/sys/class/thermal")
THROTTLING = {
    0: "its voltage is too low",
    1: "its frequency is capped",
    2: "it is throttled",
    3: "it is at the soft temperature limit",
    16: "its voltage has been too low",
    17: "its frequency has been capped",
    18: "it has been throttled",
    19: "it has been at the soft temperature limit",
}
"""Meaning of the firmware's bits, as Raspberry Pi documents them; the upper ones hold since the board started."""


@dataclass(frozen=True)
class BoardState:
    """State of a board at one moment; None where unknown."""

    temperature: float | None
    """Temperature of the hottest sensor, °C."""
    throttling: tuple[str, ...] | None
    """Clauses that say what slows the board down, or did."""


def board_name() -> str:
    """Return the name in the device tree, such as `Raspberry Pi 5 Model B Rev 1.0`; empty without one."""
    try:
        return NAME.read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""


def board_state() -> BoardState:
    """Return the current state of the board."""
    return BoardState(_temperature(), _throttling())


def _temperature() -> float | None:
    found = []
    for zone in THERMAL.glob("thermal_zone*/temp"):
        try:
            found.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):  # the sensor is off
            continue
    return max(found, default=None)


def _throttling() -> tuple[str, ...] | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_throttled(done.stdout)


def parse_throttled(answer: str) -> tuple[str, ...] | None:
    """Parse the output of `vcgencmd get_throttled`, such as `throttled=0x50000`.

    Return None for other output, which a user without access to the firmware gets.
    """
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", answer.strip())
    if match is None:
        return None
    return tuple(text for bit, text in THROTTLING.items() if int(match[1], 16) >> bit & 1)
