"""One Android phone, spoken to through adb."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import EdgeRuntimeError

TEMPORARY = "/data/local/tmp"
"""The folder that adb's user may write to and run programs from."""
PATIENCE = 60.0
"""Seconds that adb may take for anything but a benchmark: a push over Wi-Fi is slow."""
REMEDIES = {
    "unauthorized": "unlock it and accept this computer's key",
    "offline": "unplug it and plug it in again",
    "no permissions": "allow this user to open USB devices (udev rules), then restart adb's server",
}
"""What to do about a device whose state is not `device`."""


class PhoneError(EdgeRuntimeError, OSError):
    """There is no phone to measure on, or it went away."""


@dataclass(frozen=True)
class Phone:
    """A connected device that lets us in."""

    adb: str
    serial: str

    @classmethod
    def find(cls, adb: str, serial: str | None = None) -> Phone:
        """The only device, or the one of that serial number. PhoneError says what is missing and what to do."""
        program = shutil.which(adb)
        if program is None:
            raise PhoneError(f"there is no program {adb}: install Android's platform tools, or name it with --adb")
        listing = _run([program, "devices"], PATIENCE)[1]
        states = _states(listing)
        if not states:
            hint = "connect a phone, and allow USB debugging in its developer options"
            raise PhoneError(f"no phone is connected ({program} devices lists none): {hint}")
        if serial is None and len(states) > 1:
            names = ", ".join(f"{name} ({state})" for name, state in states.items())
            raise PhoneError(f"{len(states)} devices are connected: choose one of them with --serial: {names}")
        serial = serial or next(iter(states))
        if serial not in states:
            raise PhoneError(f"no device {serial} is connected, only {', '.join(states)}: correct --serial")
        if states[serial] != "device":
            remedy = REMEDIES.get(states[serial], "bring it into the state `device`")
            raise PhoneError(f"the device {serial} is not ready ({states[serial]}): {remedy}")
        return cls(program, serial)

    def shell(self, command: str, patience: float = PATIENCE) -> str:
        """What a command line prints on the phone, standard error included, whether it succeeds or not.

        Older phones do not pass on a command's exit status, so callers judge the text. PhoneError when the phone has
        gone; a command that takes longer than `patience` seconds ends with a line that begins with `ERROR:`.
        """
        status, text = self._adb(["shell", command], patience)
        if status and _run([self.adb, "-s", self.serial, "get-state"], PATIENCE)[1].split()[-1:] != ["device"]:
            raise PhoneError(f"the phone {self.serial} went away: {_last_line(text)}")
        return text

    def push(self, path: Path, target: str) -> None:
        """Copy a file onto the phone. PhoneError says why it cannot be."""
        status, text = self._adb(["push", str(path), target], PATIENCE)
        if status:
            raise PhoneError(f"cannot push {path} to the phone {self.serial}: {_last_line(text)}")

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A folder on the phone that is removed afterwards, also after Ctrl-C or SIGTERM.

        Its last part is a name of 13 letters that no other process has: programs called so are ended, too.
        """
        name = f"atpn-{uuid.uuid4().hex[:8]}"
        path = f"{TEMPORARY}/{name}"
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self.shell(f"mkdir {path}")
            yield path
        finally:
            # A second signal must not leave the files behind.
            interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            status, text = self._adb(["shell", f"pkill {name}; rm -rf {path}"], PATIENCE)
            if status:
                print(f"{path} may be left on the phone {self.serial}: {_last_line(text)}", file=sys.stderr)
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, previous)

    def description(self) -> dict[str, Any]:
        """What `benchmarks.machine.machine` tells of a computer, as far as a phone tells it."""
        properties = dict(re.findall(r"^\[(.+?)\]: \[(.*)\]", self.shell("getprop"), re.MULTILINE))
        cores = self.shell("nproc").strip()
        return phone_description(
            device=_joined(properties, "ro.product.manufacturer", "ro.product.model"),
            processor=_joined(properties, "ro.soc.manufacturer", "ro.soc.model")
            or _joined(properties, "ro.board.platform"),
            android=properties.get("ro.build.version.release", ""),
            api=properties.get("ro.build.version.sdk", ""),
            cores=int(cores) if cores.isdigit() else None,
        ) | {"build": properties.get("ro.build.fingerprint", "")}

    def battery_temperature(self) -> float | None:
        """Degrees Celsius; None where the phone does not tell."""
        found = re.search(r"^\s*temperature: (-?\d+)", self.shell("dumpsys battery"), re.MULTILINE)
        return int(found[1]) / 10 if found else None

    def _adb(self, arguments: list[str], patience: float) -> tuple[int, str]:
        return _run([self.adb, "-s", self.serial, *arguments], patience)


def phone_description(device: str, processor: str, android: str, api: object, cores: int | None) -> dict[str, Any]:
    """A phone's part of `Results.machine`, whoever tells it."""
    return {
        "device": device,
        "processor": processor,
        "cores": cores,
        "mhz": {},
        "system": f"Android {android} (API {api})",
        "versions": {},
    }


def _run(command: list[str], patience: float) -> tuple[int, str]:
    """Exit status and all that was printed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        return 1, f"ERROR: no answer within {patience:.0f} s\n"
    return done.returncode, done.stdout


def _states(listing: str) -> dict[str, str]:
    """State by serial number from `adb devices`; above its heading adb tells of its server's start."""
    lines = listing.partition("List of devices attached")[2].splitlines()
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    return {serial.strip(): state.partition("(")[0].partition(";")[0].strip() for serial, state in pairs}


def _joined(properties: Mapping[str, str], *names: str) -> str:
    return " ".join(value for name in names if (value := properties.get(name)))


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "adb says nothing"
