"""The runtime opens no connection by itself: nothing is downloaded, uploaded, or looked up."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert")
CLIP = Path(__file__).resolve().parents[2] / "docs" / "tracking.gif"
PROGRAM = """
import os, sys

def watch(event, arguments):
    network = event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname")
    if network or event.startswith(("urllib.", "http.", "ftplib.", "smtplib.")):
        os.write(2, f"forbidden: {event} {arguments}".encode())
        os._exit(99)  # an exception may be caught

sys.addaudithook(watch)
clip, folder = sys.argv[1:]

import edge_runtime
from edge_runtime import FaceTracker, doctor, open_source, webcam

files = ["--save", f"{folder}/out.mp4", "--jsonl", f"{folder}/out.jsonl", "--csv", f"{folder}/out.csv"]
assert webcam.main(["--headless", "--source", clip, "--max-frames", "8", *files]) == 0
with FaceTracker() as tracker, open_source(clip) as source:
    for frame, _ in zip(source, range(3)):
        assert tracker.detect(frame.image)
assert doctor.main(["--seconds", "0.05"]) == 0
doctor.main(["--licenses"])
"""


def run(folder, *wrapper, program=PROGRAM):
    """Run the program, below another command."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*wrapper, sys.executable, "-c", program, str(CLIP), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def check_results(done, folder):
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert len(records) == 8
    assert any(record["faces"] for record in records)


def test_python_code_opens_no_connection(tmp_path):
    check_results(run(tmp_path), tmp_path)


@pytest.mark.parametrize("call", ["getaddrinfo('localhost', 80)", "socket().bind(('', 0))"])
def test_the_watch_sees_connections(tmp_path, call):
    done = run(tmp_path, program=PROGRAM.partition("import edge_runtime")[0] + f"import socket; socket.{call}")
    assert done.returncode == 99
    assert "forbidden: socket." in done.stderr


def test_libraries_open_no_connection(tmp_path):
    log = tmp_path / "calls"
    trace = ["strace", "-f", "-qq", "-e", "trace=connect,bind,sendto,sendmsg,sendmmsg", "-o", str(log)]
    if shutil.which("strace") is None or subprocess.run([*trace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed, or not permitted")
    run(tmp_path, *trace, program="import socket; socket.socket().connect_ex(('127.0.0.1', 9))")
    assert "AF_INET" in log.read_text()
    check_results(run(tmp_path, *trace), tmp_path)
    assert [line for line in log.read_text().splitlines() if "AF_INET" in line or "AF_NETLINK" in line] == []


def test_it_runs_without_any_network(tmp_path):
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare is not installed, or not permitted")
    check_results(run(tmp_path, *alone), tmp_path)
