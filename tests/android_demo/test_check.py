"""The Kotlin sources compile, and their own tests pass."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.phone.app import read_app_results

CHECK = Path(__file__).resolve().parents[2] / "android_demo" / "check.sh"
MISSING = 77
"""The script's exit status when a tool is not there."""


@pytest.mark.slow
def test_the_kotlin_core_gives_what_the_runtime_gives():
    done = subprocess.run([CHECK, "core"], capture_output=True, text=True)
    if done.returncode == MISSING:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "\nOK (" in done.stdout


@pytest.mark.parametrize(("tools", "said"), [((), "no java"), (("java",), "no /nowhere/junit4.jar")])
def test_a_missing_tool_is_named(tmp_path, tools, said):
    for tool in ("bash", "dirname", "env", *tools):
        (tmp_path / tool).symlink_to("/bin/true" if tool in tools else f"/usr/bin/{tool}")
    environment = {"PATH": str(tmp_path), "JAVA_JARS": "/nowhere"}
    done = subprocess.run([CHECK], capture_output=True, text=True, env=environment)
    assert done.returncode == MISSING
    assert said in done.stderr
    assert "apt-get install" in done.stderr


def test_what_the_app_shares_is_read():
    """The core's own tests see that it writes this file."""
    results = read_app_results(CHECK.parent / "core" / "src" / "test" / "resources" / "latency.json")
    assert results.settings["frames"] == 200
    assert any("refuses" in note for note in results.notes)
