"""Command line flags of the runtime's command, on a folder of two small images."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import shutil
import tempfile
from pathlib import Path

import cv2
from hypothesis import strategies as st

from edge_runtime import webcam
from tests.fuzz.outcome import MAX_MESSAGE, check
from tests.fuzz.target import Target
from tests.fuzz.targets.media import scene
from tests.fuzz.targets.settings import PLAIN_CAMERA, TEMPLATE

PATHS = ("pictures", "pictures/0.png", "clip.avi", "template.json", "camera.json", "out", "out.mp4", "out.png",
         "out.jsonl", "out.csv", "none/out.csv", ".", "", " ", "-", "x" * 300, "a\nb", "ä.csv", "-1",
         "0" * 30)  # fmt: skip
NUMBERS = (
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "nan",
    "inf",
    "1e400",
    "1e-310",
    "999999999999999999999",
    "x",
    "",
    "0x1",
    "\uff11",
)
ADDRESSES = ("", "0", "9", "127.0.0.1:9", "[::1]:9", "127.0.0.1:99999", "localhost:", ":9", "::", "127.0.0.1:x", "\0:9",
             "x" * 300 + ":9", "999.999.999.999:9")  # fmt: skip
WORDS = ("auto", "litert", "onnxruntime", "tflite", "haar", "none", "", "x" * 5000, "yunet:none.onnx")
FLAGS = {
    "--source": PATHS, "--save": PATHS, "--jsonl": PATHS, "--csv": PATHS, "--template": PATHS, "--intrinsics": PATHS,
    "--model": PATHS, "--width": NUMBERS, "--height": NUMBERS, "--fps": NUMBERS, "--max-frames": NUMBERS,
    "--fov": NUMBERS, "--threads": NUMBERS, "--faces": NUMBERS, "--smoothing": NUMBERS, "--osc": ADDRESSES,
    "--vmc": ADDRESSES, "--websocket": ADDRESSES, "--engine": WORDS, "--detector": WORDS,
}  # fmt: skip
OUTPUTS = ("--save", "--jsonl", "--csv")
SWITCHES = ("--sequence", "--vmc-hold", "--mirror", "--version", "--list-cameras", "--headless", "--unknown", "", "x")


@st.composite
def _arguments(draw: st.DrawFn) -> bytes:
    arguments = ["--source", draw(st.sampled_from(("pictures", "clip.avi")))]
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)) == 0:
            arguments.append(draw(st.sampled_from(SWITCHES)))
        else:
            name = draw(st.sampled_from(sorted(FLAGS)))
            arguments += [name, draw(st.sampled_from(FLAGS[name]))]
    return json.dumps([*arguments, "--headless"]).encode()


def _make(folder: Path) -> None:
    (folder / "files" / "pictures").mkdir(parents=True)
    for step in range(2):
        cv2.imwrite(str(folder / "files" / "pictures" / f"{step}.png"), scene(step))
    writer = cv2.VideoWriter(str(folder / "files" / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (48, 32))
    for step in range(2):
        writer.write(scene(step))
    writer.release()
    (folder / "files" / "template.json").write_text(json.dumps(TEMPLATE))
    (folder / "files" / "camera.json").write_text(json.dumps(PLAIN_CAMERA))
    (folder / "arguments.json").write_text(json.dumps(["--source", "pictures", "--headless"]))


def _read(folder: Path, file: Path) -> None:
    arguments = json.loads(file.read_bytes())
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.chdir(shutil.copytree(folder / "files", f"{scratch}/files")),
    ):
        before = _contents()
        code, errors = _run(arguments)
        check(code in (0, 1, 2), f"exit code {code}")
        _, _, message = errors.rpartition("error:")
        check(code == 0 or message, f"exit code {code} without a word")
        check(len(message) <= MAX_MESSAGE, f"a message of {len(message)} characters")
        after = _contents()
        replaceable = _outputs(arguments)
        changed = [name for name, content in before.items() if after.get(name) != content and name not in replaceable]
        check(not changed, f"exit code {code}, and {', '.join(changed)} was replaced")
        left = [name for name in after if ".part" in name]
        check(not left, f"exit code {code}, and {', '.join(left)} was left")


def _outputs(arguments: list[str]) -> set[str]:
    """Return the paths that may be replaced: named as an output, and neither an input nor an image of one."""
    given = {name: value for name, value in itertools.pairwise(arguments) if name in FLAGS}  # the last one counts
    outputs = {given.get(name, "") for name in OUTPUTS}
    inputs = {value for name, value in given.items() if name not in OUTPUTS}
    return {name for name in outputs - inputs if not (name.endswith(".png") and str(Path(name).parent) in inputs)}


def _run(arguments: list[str]) -> tuple[object, str]:
    """Return the exit code and what was printed as errors."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            return webcam.main(arguments), errors.getvalue()
        except SystemExit as stop:
            return stop.code, errors.getvalue()


def _contents() -> dict[str, str]:
    """Return the digests of the files in the working directory."""
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in Path().rglob("*") if file.is_file()}


TARGETS = (
    Target(
        "webcam-flags",
        _make,
        _read,
        (),
        lambda _: _arguments(),
        files="arguments.json",
        names_input=False,
        special=False,
    ),
)
