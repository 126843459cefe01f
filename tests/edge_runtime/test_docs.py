"""The Python blocks of the pages run and find a face."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import models
from edge_runtime.models import landmark_models
from edge_runtime.sources import VideoSource
from edge_runtime.webcam import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/quickstart.md", "docs/track.md", "docs/read-results.md", "docs/tune.md")
BRIGHT = 230


def blocks():
    """Yield (code padded to its own lines, page) of every block."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        for found in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: found.start(1)].count("\n")
            yield pytest.param("\n" * line + found[1], page, id=f"{page}:{line + 1}")


@pytest.fixture
def workspace(tmp_path, monkeypatch, tiny_tflite, write_video, center_detector):
    """A folder with the files that the pages name, and a camera."""
    monkeypatch.chdir(tmp_path)
    Path("dist").mkdir()
    tiny_tflite.rename("dist/atpn_int8.tflite")
    for name in landmark_models():  # in place of the shipped ones
        shutil.copy("dist/atpn_int8.tflite", f"{name}.tflite")
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    clip = write_video([BRIGHT] * 6, "clip.mp4")
    monkeypatch.setattr(VideoSource, "camera", classmethod(lambda cls, index, request: cls.file(clip)))
    Path("photographs").mkdir()
    frames = np.full((3, 240, 320, 3), BRIGHT, np.uint8)
    for number, image in enumerate(frames):
        cv2.imwrite(f"photographs/{number}.png", image)
    np.save("frames.npy", frames)
    Path("camera.yml").write_text(json.dumps({"fx": 300, "fy": 300, "cx": 150, "cy": 118, "width": 640, "height": 480}))
    command = ["--source", str(clip), "--model", "dist/atpn_int8.tflite", "--headless", "--jsonl", "faces.jsonl"]
    assert main(command) == 0


@pytest.mark.parametrize(("code", "page"), list(blocks()))
def test_the_block_runs_and_finds_faces(code, page, workspace, capsys):
    capsys.readouterr()
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert printed.strip(), "an example prints its results"
    assert "no face" not in printed
    assert not re.search(r"\[\]|^\d+ 0$", printed, re.MULTILINE), "no frame was without its face"


def test_the_pages_have_an_example_per_use():
    assert len(list(blocks())) >= 10
