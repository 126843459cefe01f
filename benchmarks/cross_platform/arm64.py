"""The plain install, its tests and its numbers on an emulated Raspberry Pi. Speed there says nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.cross_platform.agreement import ROUNDING, Bound, agreement_table, compare, problems
from benchmarks.cross_platform.arm64_root import BOARDS, EmulatedPython, build
from benchmarks.cross_platform.device_outputs import DeviceOutputs, device_outputs

INT8 = Bound(mean=2e-3)
"""The engine's int8 kernels differ by processor and round otherwise here and there. Two thousandths of a radian are a
tenth of a degree, a twentieth of what int8 itself costs against float."""
TESTS = "tests/edge_runtime"


def check(folder: Path, boards: list[str], models: list[Path], count: int, with_tests: bool) -> list[str]:
    """Print a table per board; what is out of bounds, empty when all is well.

    `folder` is the cache; RootError when it cannot be filled.
    """
    python = build(folder)
    ours = device_outputs(models, count)
    ours.write(folder / "here.npz")
    found = []
    for board in boards:
        print(f"{board}: {BOARDS[board].cpu}, emulated", flush=True)
        found += [f"{board}: {problem}" for problem in _check_board(python, board, ours, models, count, with_tests)]
    return found


def _check_board(
    python: EmulatedPython, board: str, ours: DeviceOutputs, models: list[Path], count: int, with_tests: bool
) -> list[str]:
    found = []
    if with_tests:
        arguments = ["-m", "pytest", "-rs", "-p", "no:cacheprovider", TESTS]
        status = python.command(BOARDS[board], arguments, with_test_packages=True)
        if status:
            found.append(f"{TESTS} failed with exit status {status}, see above")
    path = python.folder / f"{board}.npz"
    path.unlink(missing_ok=True)
    arguments = ["-m", "benchmarks", "outputs", "--models", str(models[0].parent.resolve()), "--out", str(path)]
    arguments += ["--pictures", str(count), "--past", str(python.folder / "here.npz")]
    status = python.command(BOARDS[board], arguments)
    if status:
        return [*found, f"the plain install failed with exit status {status}, see above"]
    theirs = DeviceOutputs.read(path)
    rows = compare(ours, theirs, {"fp32": ROUNDING, "fp16": ROUNDING, "int8": INT8})
    print(agreement_table(rows), flush=True)
    print(", ".join(f"{name} {version}" for name, version in theirs.versions.items() if version), file=sys.stderr)
    return found + problems(rows, theirs.refused)
