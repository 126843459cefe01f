"""The TypeScript sources compile, their own tests pass, and the page works in Chromium."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "web_demo"
CHECK = DEMO / "check.sh"
MISSING = 77
"""The script's exit status when a tool is not there."""


def check(part):
    """Run a part of the check and return what it printed; skip if a tool is missing."""
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([CHECK, part], capture_output=True, text=True, env=environment)
    if done.returncode == MISSING:
        pytest.skip((done.stdout + done.stderr).strip()[-400:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_typescript_core_gives_what_the_runtime_gives():
    assert "# fail 0" in check("unit")


@pytest.mark.slow
def test_the_page_finds_in_chromium_what_python_finds():
    said = check("browser")
    assert "ids equal" in said
    assert "errors: said" in said


def test_a_missing_tool_is_named(tmp_path):
    for tool in ("bash", "dirname", "env"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run([CHECK], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.returncode == MISSING
    assert "apt-get install nodejs" in done.stderr


def test_the_packages_are_pinned_and_their_list_names_no_host():
    own = json.loads((DEMO / "package.json").read_bytes())
    versions = {**own["dependencies"], **own["devDependencies"]}
    assert all(version.replace(".", "").isdigit() for version in versions.values())
    packages = json.loads((DEMO / "package-lock.json").read_bytes())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
