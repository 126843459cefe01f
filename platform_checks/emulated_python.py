"""A Python for 64-bit ARM that runs here under QEMU, in one folder and without root privilege.

Debian packages and the wheels that a Raspberry Pi would install are downloaded once; later runs need no network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
EMULATOR = "qemu-aarch64-static"
PACKAGES = ("python3", "libstdc++6")
TAGS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
"""Platform tags of the wheels; Raspberry Pi OS based on Debian 12 supports all of them."""
TEST_EXTRA = "runtime-tests"
CORES = 4


class RootError(OSError):
    """The emulated Python cannot be built."""


@dataclass(frozen=True)
class Board:
    """A Raspberry Pi as programs see it: inference engines choose their kernels by it."""

    cpu: str
    """QEMU's name of the processor."""
    part: str
    variant: str
    revision: int
    features: str

    def cpuinfo(self) -> str:
        """Return the content of the board's /proc/cpuinfo."""
        core = (
            f"Features\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {self.variant}\nCPU part\t: {self.part}\nCPU revision\t: {self.revision}\n\n"
        )
        processors = [f"processor\t: {number}\n{core}" for number in range(CORES)]
        return "".join([*processors, f"Model\t\t: {self.cpu}, emulated\n"])


BOARDS = {
    "pi4": Board("cortex-a72", "0xd08", "0x0", 3, "fp asimd evtstrm crc32 cpuid"),
    "pi5": Board(
        "cortex-a76",
        "0xd0b",
        "0x4",
        1,
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}


@dataclass(frozen=True)
class EmulatedPython:
    """A Python for ARM in a folder that `build` filled."""

    folder: Path

    @property
    def launcher(self) -> Path:
        """Script that runs the emulated Python, also as its own `sys.executable`."""
        return self.folder / "python"

    @property
    def root(self) -> Path:
        """Folder whose files hide the host's from emulated programs."""
        return self.folder / "root"

    def command(self, board: Board, arguments: Sequence[str], with_test_packages: bool = False) -> int:
        """Run Python as on `board` in the project's folder, with the plain install. Return the exit status."""
        write_board(self.root, board)
        paths = [PROJECT, self.folder / "tests"] if with_test_packages else [PROJECT]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "QEMU_CPU": board.cpu}
        return subprocess.run([self.launcher, *arguments], cwd=PROJECT, env=environment, check=False).returncode


def write_board(root: Path, board: Board) -> None:
    """Write the board's processor into the root; for the host's, inference engines choose code that crashes."""
    cores = f"0-{CORES - 1}\n"
    system = "sys/devices/system/cpu"
    files = {"proc/cpuinfo": board.cpuinfo(), f"{system}/possible": cores, f"{system}/present": cores}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def build(folder: Path) -> EmulatedPython:
    """Download what is missing of the emulator, the root, and the packages. Raise RootError if that fails."""
    folder = folder.resolve()
    emulated = EmulatedPython(folder)
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        _once(folder / "emulator", "", _download_emulator)
        emulator = str(folder / "emulator" / EMULATOR)
    _once(emulated.root, " ".join(PACKAGES), _download_root)
    python = _python(emulated.root)
    plain, tests = requirements(PROJECT / "pyproject.toml")
    for name, needed in (("plain", plain), ("tests", tests)):
        key = "\n".join([python.name, *needed, (PROJECT / "constraints.txt").read_text()])
        _once(folder / name, key, lambda target, needed=needed: _install(target, python.name, needed))
    # Debian's Python searches this folder for packages, and .pth files in it for more folders.
    packages = emulated.root / "usr/lib/python3/dist-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "plain.pth").write_text(f"{folder / 'plain'}\n")
    emulated.launcher.write_text(
        f"#!/bin/sh\nexport QEMU_LD_PREFIX={shlex.quote(str(emulated.root))} "
        f"PYTHONHOME={shlex.quote(str(emulated.root / 'usr'))}\n"
        f'exec {shlex.quote(emulator)} -0 "$0" {shlex.quote(str(python))} "$@"\n'
    )
    emulated.launcher.chmod(0o755)
    return emulated


def requirements(pyproject: Path) -> tuple[list[str], list[str]]:
    """Return the requirements of the plain install, and the additional ones of its tests."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return project["dependencies"], project["optional-dependencies"][TEST_EXTRA]


def _once(target: Path, key: str, make: Callable[[Path], None]) -> None:
    """Fill a folder unless an earlier run filled it with the same key; an incomplete one is filled again."""
    stamp = target.with_name(f"{target.name}.done")
    if target.is_dir() and stamp.is_file() and stamp.read_text() == key:
        return
    print(f"downloading {target} ...", file=sys.stderr)
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    make(target)
    stamp.write_text(key)


def _download_emulator(target: Path) -> None:
    unpacked = target / "unpacked"
    _unpack_packages(unpacked, None, ["qemu-user-static"])
    shutil.copy(unpacked / "usr/bin" / EMULATOR, target)  # one program of 300 MB
    shutil.rmtree(unpacked)


def _download_root(target: Path) -> None:
    _unpack_packages(target, "arm64", PACKAGES)
    if not (target / "lib").exists():  # in newer releases a link that no package contains
        (target / "lib").symlink_to("usr/lib")


def _unpack_packages(target: Path, architecture: str | None, packages: Sequence[str]) -> None:
    """Download and unpack packages with dependencies, from apt's sources but with a state of our own."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise RootError(
            "apt-get and dpkg-deb are needed to download Debian packages: run this on Debian or in a container"
        )
    state = target.with_name(f"{target.name}.apt")
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    options = {
        "Dir::State": state,
        "Dir::State::status": state / "status",  # as if nothing was installed, so that all dependencies are included
        "Dir::Cache": state,
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "",
        **({"APT::Architecture": architecture, "APT::Architectures": architecture} if architecture else {}),
    }
    apt = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]
    what = f"Debian's packages {', '.join(packages)}{f' for {architecture}' if architecture else ''}"
    _run([*apt, "update"], what)
    _run([*apt, "install", "--yes", "--no-install-recommends", "--download-only", *packages], what)
    target.mkdir(exist_ok=True)
    for package in sorted((state / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(target)], what)
    shutil.rmtree(state)


def _install(target: Path, python: str, needed: Sequence[str]) -> None:
    """Unpack wheels for the emulated Python without building or running them."""
    version = python.removeprefix("python")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(target), "--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    command += [f"--platform={tag}" for tag in TAGS]
    command += ["--constraint", str(PROJECT / "constraints.txt"), *needed]
    _run(command, f"wheels of Python {version} for aarch64")


def _run(command: Sequence[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-4:])
        raise RootError(f"cannot download {what}; the first run needs the network:\n  {last}")


def _python(root: Path) -> Path:
    found = sorted(p for p in (root / "usr/bin").glob("python3.*") if p.name.removeprefix("python3.").isdigit())
    if not found:
        raise RootError(f"no Python in {root}: delete that folder and run again")
    return found[-1]
