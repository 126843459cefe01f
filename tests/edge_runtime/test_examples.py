"""The scripts of examples/ run and do what their first line says."""

import json
import runpy
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BRIGHT = 230
FRAMES = 4


@pytest.fixture
def run(tmp_path, monkeypatch, center_detector):
    """Run an example with these arguments in an empty folder; every frame has a face in its middle."""
    monkeypatch.chdir(tmp_path)

    def start(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return start


@pytest.fixture
def clip(write_video):
    return write_video([BRIGHT] * FRAMES, "clip.mp4")


def test_every_example_has_a_test():
    tests = Path(__file__).read_text()
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert scripts
    assert [name for name in scripts if f'run("{name}"' not in tests] == []


def test_track_video_prints_the_pose_and_writes_the_overlay(run, clip, tiny_tflite, capsys):
    run("track_video.py", clip, "--model", tiny_tflite, "--save", "overlay.avi")
    assert capsys.readouterr().out.count("face 0, pitch") == FRAMES
    overlay = cv2.VideoCapture("overlay.avi")
    assert overlay.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert np.ptp(overlay.read()[1]) > 100  # the frame was plain


def test_webcam_callback_calls_for_every_face(run, clip, tiny_tflite, capsys):
    run("webcam_callback.py", "--source", clip, "--model", tiny_tflite)
    assert capsys.readouterr().out.count("face 0, mouth open") == FRAMES


def test_single_image_writes_every_landmark(run, tiny_tflite):
    cv2.imwrite("photo.png", np.full((240, 320, 3), BRIGHT, np.uint8))
    run("single_image.py", "photo.png", "--model", tiny_tflite)
    rows = np.loadtxt("landmarks.csv", delimiter=",", skiprows=1)
    assert rows.shape == (98, 5)
    assert np.abs(rows[:, 2:4].mean(axis=0) - (160, 120)).max() < 30  # around the detector's region
    assert (rows[:, 4] > 0).all()


def test_stream_osc_sends_and_records_every_frame(run, clip, tiny_tflite):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        run("stream_osc.py", clip, "--model", tiny_tflite, "--to", f"127.0.0.1:{receiver.getsockname()[1]}")
        packets = [receiver.recv(65536) for _ in range(2 * FRAMES)]  # each frame: one message, and a bundle per face
    assert sum(packet.startswith(b"/face/frame\0") for packet in packets) == FRAMES
    assert sum(b"/face/0/pose\0" in packet for packet in packets) == FRAMES
    records = [json.loads(line) for line in Path("faces.jsonl").read_text().splitlines()]
    assert [len(record["faces"]) for record in records] == [1] * FRAMES


def test_custom_template_finds_its_points(run, clip, prompt_onnx, capsys):
    run("custom_template.py", clip, "--model", prompt_onnx)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == FRAMES
    assert all("cheeks at (" in line and line.count("(") == 2 for line in lines)


def test_custom_template_reads_a_file(run, clip, prompt_onnx, lips, capsys):
    Path("lips.json").write_text(lips.to_json())
    run("custom_template.py", clip, "--model", prompt_onnx, "--template", "lips.json")
    assert "lips at (" in capsys.readouterr().out


def test_draw_uncertainty_draws_circles_of_its_size(run, clip, tiny_tflite):
    run("draw_uncertainty.py", clip, "--model", tiny_tflite)
    images = sorted(Path("uncertainty").glob("*.png"))
    assert len(images) == FRAMES
    changed = np.abs(cv2.imread(str(images[0])).astype(int) - BRIGHT).max(axis=2) > 60
    assert 98 < changed.sum() < 0.2 * changed.size
