"""A fake phone: a program that answers as adb does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

OUTPUTS = Path(__file__).parent / "outputs"
SERIAL = "R58M123"
ADB = r"""#!/bin/sh
here=$(dirname "$0")
printf '%s\037' "$@" >> "$here/calls"
echo >> "$here/calls"
[ "$1" = devices ] && exec cat "$here/devices"
[ "$1 $2" = "-s R58M123" ] || exit 2
shift 2
if [ "$(grep -c -e --graph= "$here/calls")" -gt "$(cat "$here/gone_after")" ]; then
    echo "adb: device 'R58M123' not found" >&2
    exit 1
fi
case "$1 $2" in
get-state*) echo device ;;
push*) [ -f "$2" ] && echo "$2: 1 file pushed, 0 skipped. 30.1 MB/s (2800000 bytes in 0.089s)" >&2 ;;
*--graph=*)
    [ -f "$here/signal" ] && kill -s "$(cat "$here/signal")" $PPID
    cat "$here/shell/${2##* }" >&2
    ! grep -q "Benchmarking failed" "$here/shell/${2##* }" ;;
*) cat "$here/shell/${2%% *}" 2> /dev/null || : ;;
esac
"""
GETPROP = """[ro.board.platform]: [kona]
[ro.build.fingerprint]: [maker/phone/phone:14/AB1.2/1:user/release-keys]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Maker]
[ro.product.model]: [Phone [5G]]
[ro.soc.manufacturer]: [QTI]
[ro.soc.model]: [SM8250]
"""
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  level: 84
  voltage: 4063
  temperature: 326
  technology: Li-ion
"""
DEVICES = f"""* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
{SERIAL}\tdevice

"""
RUNS = {
    "--use_xnnpack=false": "2024_cpu",
    "--use_xnnpack=true": "2024_xnnpack",
    "--use_gpu=true": "2024_gpu_partial",
    "--use_nnapi=true": "2020_nnapi_fails",
}


class FakePhone:
    """The program `adb`, its answers, and its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.adb = folder / "adb"
        (folder / "shell").mkdir(parents=True)
        self.adb.write_text(ADB)
        self.adb.chmod(0o755)
        self.answer("devices", DEVICES)
        self.answer("gone_after", "1000")
        for name, text in (("getprop", GETPROP), ("nproc", "8\n"), ("dumpsys", BATTERY)):
            self.answer(f"shell/{name}", text)
        for flag, name in RUNS.items():
            self.answer(f"shell/{flag}", (OUTPUTS / f"{name}.txt").read_text())

    def answer(self, name: str, text: str) -> None:
        """Set the answer to `shell/COMMAND`, `shell/--FLAG` of a benchmark, or one of the program's own files."""
        (self.folder / name).write_text(text)

    @property
    def calls(self) -> list[list[str]]:
        """Arguments, one list per call, without the device's name."""
        calls = [line.split("\x1f")[:-1] for line in (self.folder / "calls").read_text().splitlines()]
        return [call[2:] if call[0] == "-s" else call for call in calls]

    def shells(self, part: str) -> list[str]:
        """Return the command lines that contain `part`."""
        return [call[1] for call in self.calls if call[0] == "shell" and part in call[1]]


@pytest.fixture
def fake_phone(tmp_path: Path) -> FakePhone:
    return FakePhone(tmp_path / "platform tools")


@pytest.fixture
def arguments(fake_phone: FakePhone, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that makes a command line for the phone, with one model."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "a b.tflite").write_bytes(b"a model")
    (tmp_path / "benchmark_model").write_bytes(b"a program")

    def make(*more: str) -> list[str]:
        flags = {"--models": models, "--benchmark-model": tmp_path / "benchmark_model", "--adb": fake_phone.adb}
        return [
            "phone",
            *(str(part) for pair in flags.items() for part in pair),
            "--out",
            str(tmp_path / "p.json"),
            *more,
        ]

    return make
