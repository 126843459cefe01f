"""One Android phone, controlled through adb."""

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
"""Folder that adb's user can write to and run programs from."""
TIMEOUT = 60.0
"""Seconds for an adb command other than a benchmark: a push over Wi-Fi is slow."""
REMEDIES = {
    "unauthorized": "unlock it and accept this computer's key",
    "offline": "unplug it and plug it in again",
    "no permissions": "allow this user to open USB devices (udev rules), then restart adb's server",
}
"""Remedy for a device whose state is not `device`."""


class PhoneError(EdgeRuntimeError, OSError):
    """No phone is connected, or it was disconnected."""


@dataclass(frozen=True)
class Phone:
    """A connected device that is authorized."""

    adb: str
    serial: str

    @classmethod
    def find(cls, adb: str, serial: str | None = None) -> Phone:
        """Return the only device, or the one of that serial number. Raise PhoneError if there is none."""
        program = shutil.which(adb)
        if program is None:
            raise PhoneError(f"no program {adb!r}: install Android's platform tools, or name it with --adb")
        listing = _run([program, "devices"], TIMEOUT)[1]
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

    def shell(self, command: str, timeout: float = TIMEOUT) -> str:
        """Run a command line on the phone and return its output, standard error included, even if it fails.

        Older phones do not report a command's exit status, so callers check the text. After `timeout` seconds the last
        line begins with `ERROR:`. Raise PhoneError if the phone was disconnected.
        """
        status, text = self._adb(["shell", command], timeout)
        if status and _run([self.adb, "-s", self.serial, "get-state"], TIMEOUT)[1].split()[-1:] != ["device"]:
            raise PhoneError(f"phone {self.serial} was disconnected: {_last_line(text)}")
        return text

    def push(self, path: Path, target: str) -> None:
        """Copy a file to the phone. Raise PhoneError if that fails."""
        status, text = self._adb(["push", str(path), target], TIMEOUT)
        if status:
            raise PhoneError(f"cannot copy {path} to phone {self.serial}: {_last_line(text)}")

    @contextmanager
    def folder(self) -> Iterator[str]:
        """Make a folder on the phone that is removed at the end, also after Ctrl-C or SIGTERM.

        Its name has 13 characters and is unique; programs of that name are stopped, too.
        """
        name = f"atpn-{uuid.uuid4().hex[:8]}"
        path = f"{TEMPORARY}/{name}"
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self.shell(f"mkdir {path}")
            yield path
        finally:
            # A second signal must not interrupt the removal.
            interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            status, text = self._adb(["shell", f"pkill {name}; rm -rf {path}"], TIMEOUT)
            if status:
                print(f"{path} may still be on phone {self.serial}: {_last_line(text)}", file=sys.stderr)
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, previous)

    def description(self) -> dict[str, Any]:
        """Return the phone's part of `Results.machine`."""
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
        """Return degrees Celsius; None where unknown."""
        found = re.search(r"^\s*temperature: (-?\d+)", self.shell("dumpsys battery"), re.MULTILINE)
        return int(found[1]) / 10 if found else None

    def _adb(self, arguments: list[str], timeout: float) -> tuple[int, str]:
        return _run([self.adb, "-s", self.serial, *arguments], timeout)


def phone_description(device: str, processor: str, android: str, api: object, cores: int | None) -> dict[str, Any]:
    """Return a phone's part of `Results.machine`."""
    return {
        "device": device,
        "processor": processor,
        "cores": cores,
        "mhz": {},
        "system": f"Android {android} (API {api})",
        "versions": {},
    }


def _run(command: list[str], timeout: float) -> tuple[int, str]:
    """Return the exit status and the output."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return 1, f"ERROR: no answer within {timeout:.0f} s\n"
    return done.returncode, done.stdout


def _states(listing: str) -> dict[str, str]:
    """Parse state by serial number from `adb devices`; above its heading, adb reports its server's start."""
    lines = listing.partition("List of devices attached")[2].splitlines()
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    return {serial.strip(): state.partition("(")[0].partition(";")[0].strip() for serial, state in pairs}


def _joined(properties: Mapping[str, str], *names: str) -> str:
    return " ".join(value for name in names if (value := properties.get(name)))


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "adb printed nothing"
