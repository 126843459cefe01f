"""Signals that stop a run, at any moment, also twice: files are whole or absent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import webcam
from edge_runtime.signals import interrupt_once
from edge_runtime.sinks.overlays import is_complete
from edge_runtime.sources import open_source
from edge_runtime.webcam import INTERRUPTED, main

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
ROOT = Path(__file__).resolve().parents[2]
BRIGHT = 250


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_closes_the_files_even_if_it_comes_twice(tiny_tflite, tmp_path, name):
    code = f"""
import os, signal, sys, time
import numpy as np
from edge_runtime import webcam
from edge_runtime.sources import Frame, LatestFrames, Source

class Camera(Source):
    live = True

    def __iter__(self):
        for i in range(5):
            yield Frame(np.full((240, 320, 3), 230, np.uint8), i / 30, i)
            time.sleep(0.1)
        for _ in range(2):
            os.kill(os.getpid(), signal.{name})
        time.sleep(600)  # a read that hangs

webcam.open_source = lambda name, **_: LatestFrames(Camera())
sys.exit(webcam.main(sys.argv[1:]))
"""
    arguments = [
        "--headless",
        "--model",
        tiny_tflite,
        "--save",
        tmp_path / "out.mp4",
        "--jsonl",
        tmp_path / "out.jsonl",
    ]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == INTERRUPTED, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.glob("out*")) == ["out.jsonl", "out.mp4"]
    assert len(list(open_source(str(tmp_path / "out.mp4")))) > 0
    assert "frames " in done.stdout


def test_earlier_signal_handlers_return_and_ignored_signals_stay_ignored():
    earlier = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt_once():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN, "as by nohup"
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == earlier[0]
    finally:
        signal.signal(signal.SIGINT, earlier[1])


def test_a_thread_handles_no_signals():
    handlers = []

    def inside():
        with interrupt_once():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("at_most_one", [False, True])
def test_held_signals_wait_for_the_end_of_the_block(at_most_one):
    order = []

    def block(signals) -> None:
        with signals.hold(at_most_one):
            signal.raise_signal(signal.SIGTERM)
            order.append("first")
            signal.raise_signal(signal.SIGHUP)
            order.append("second")

    with interrupt_once() as signals:
        with pytest.raises(KeyboardInterrupt):
            block(signals)
        signal.raise_signal(signal.SIGTERM)  # ignored
    assert order == (["first"] if at_most_one else ["first", "second"])


@pytest.mark.parametrize("frames_read", [0, 1, 4])
@pytest.mark.parametrize("names", [["SIGINT"], ["SIGTERM", "SIGHUP"]])
def test_a_signal_closes_the_files_of_the_command(write_video, tiny_tflite, tmp_path, names, frames_read):
    os.mkfifo(tmp_path / "pipe")
    arguments = ["--source", write_video([BRIGHT] * 500), "--model", tiny_tflite, "--detector", "cascade", "--headless"]
    arguments += ["--csv", tmp_path / "pipe", "--jsonl", tmp_path / "out.jsonl", "--save", tmp_path / "out.mp4"]
    command = [sys.executable, "-m", "edge_runtime.webcam", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # The run waits for this reader before its first frame, and then until each frame fits into the pipe.
        with (tmp_path / "pipe").open() as pipe:
            for _ in range(frames_read):
                pipe.readline()
            for name in names:
                process.send_signal(getattr(signal, name))
            pipe.read()
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in errors
    _check_files(tmp_path, patient=len(names) == 1)
    if frames_read and len(names) == 1:
        assert f"frames {len(_frames(tmp_path))}," in printed


@pytest.mark.usefixtures("center_detector")
@pytest.mark.parametrize("option", ["--jsonl", "--csv"])
def test_a_run_that_waits_for_a_pipes_reader_ends_at_the_first_signal(
    write_video, write_onnx, tmp_path, monkeypatch, capsys, option
):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "earlier").write_text("precious")
    open_file = Path.open

    def wait(path: Path, *given: object, **named: object) -> object:
        if path != tmp_path / "pipe":
            return open_file(path, *given, **named)
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the signal waits for the reader")

    monkeypatch.setattr(Path, "open", wait)
    arguments = ["--source", write_video([BRIGHT] * 4), "--model", write_onnx(), "--headless", option]
    arguments += [tmp_path / "pipe", "--csv" if option == "--jsonl" else "--jsonl", tmp_path / "earlier"]
    assert main([str(a) for a in arguments]) == INTERRUPTED
    assert capsys.readouterr().out == ""
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []
    assert (tmp_path / "earlier").read_text() == "precious"


def _frames(folder: Path) -> list[int]:
    path = folder / "out.jsonl"
    content = path.read_text() if path.exists() else ""
    assert content == "" or content.endswith("\n")
    return [json.loads(line)["frame"] for line in content.splitlines()]


def _check_files(folder: Path, patient: bool) -> None:
    """Check that results and video are whole or absent, and that no temporary files remain.

    If the user was patient and sent one signal only, both have the same frames.
    """
    assert list(folder.glob("*.part*")) == []
    frames, video = _frames(folder), folder / "out.mp4"
    assert frames == list(range(len(frames)))
    assert not video.exists() or is_complete(video, max(1, len(frames) - 1))
    if patient:
        assert is_complete(video, len(frames)) if frames else not video.exists()


@pytest.mark.usefixtures("center_detector")
def test_a_run_can_be_stopped_in_any_line(write_video, write_onnx, tmp_path):
    arguments = ["--source", write_video([BRIGHT] * 4), "--model", write_onnx(), "--headless"]
    arguments += ["--jsonl", tmp_path / "out.jsonl", "--save", tmp_path / "out.mp4"]
    watched = {str(path) for path in (ROOT / "edge_runtime" / "sinks").glob("*.py")}
    watched |= {webcam.__file__, str(ROOT / "edge_runtime" / "files.py"), str(ROOT / "edge_runtime" / "signals.py")}

    def run(moments: tuple[int, ...]) -> int:
        """Run, with signals at these of the watched lines; return the number of lines."""
        count = 0

        def trace(frame, event, argument):
            nonlocal count
            if frame.f_code.co_filename not in watched:
                return None
            if event == "line":
                count += 1
                if count in moments:
                    signal.raise_signal(signal.SIGINT)
            return trace

        for path in tmp_path.glob("out.*"):
            path.unlink()
        sys.settrace(trace)
        with contextlib.suppress(KeyboardInterrupt):  # before or after the run
            main([str(a) for a in arguments])
        sys.settrace(None)
        return count

    lines = run(())
    _check_files(tmp_path, patient=True)
    assert len(_frames(tmp_path)) == 4
    started = 0
    for line in np.linspace(1, lines, 60).astype(int).tolist():
        for moments in ((line,), (line, line + 3)):
            run(moments)
            _check_files(tmp_path, patient=len(moments) == 1)
            started += len(_frames(tmp_path)) in (1, 2, 3)
    assert started > 10, "some were stopped between two frames"
