"""Converters' chatter is held back, and shown when it may explain a failure."""

from __future__ import annotations

import subprocess
import sys

_CHATTER = """
import logging, os, sys
from export.formats.suppress_output import suppress_output
with suppress_output():
    print("from Python")
    logging.basicConfig(stream=sys.stderr)
    logging.warning("to stderr")
    os.write(2, b"from C++\\n")
    {last}
logging.warning("after")
"""


def _run(last: str) -> subprocess.CompletedProcess[str]:
    # In a process of its own: the test runner puts streams of its own before the descriptors.
    return subprocess.run([sys.executable, "-c", _CHATTER.format(last=last)], capture_output=True, text=True)


def test_nothing_is_heard_of_work_that_succeeds_and_logging_goes_on_afterwards():
    result = _run("pass")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "WARNING:root:after\n")


def test_everything_is_heard_of_work_that_fails():
    result = _run("raise ValueError('no')")
    assert result.returncode == 1
    assert all(line in result.stderr for line in ("from Python", "to stderr", "from C++", "ValueError: no"))
