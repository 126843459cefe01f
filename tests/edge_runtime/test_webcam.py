import csv
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.clip import rendered_face
from edge_runtime import models, tracker, webcam
from edge_runtime.errors import SinkError
from edge_runtime.sinks.overlays import ImageSink
from edge_runtime.sources import Frame, VideoSource, open_source
from edge_runtime.webcam import INTERRUPTED, Progress, Summary, main

pytestmark = pytest.mark.usefixtures("center_detector")
BRIGHT, DARK = 250, 20


def test_video_end_to_end(write_video, write_onnx, tmp_path, capsys):
    video = write_video([DARK] * 2 + [BRIGHT] * 10 + [DARK] * 3 + [BRIGHT] * 5)
    save, jsonl = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = ["--source", video, "--model", write_onnx(), "--headless", "--save", save, "--jsonl", jsonl]
    assert main([str(a) for a in arguments]) == 0
    records = [json.loads(line) for line in jsonl.read_text().splitlines()]
    ids = [record["faces"][0]["id"] if record["faces"] else None for record in records]
    # Detector runs in frames 0 and 5; lost in 12, where it finds nothing; found again in 17 with the same id.
    assert ids == [None] * 5 + [0] * 7 + [None] * 5 + [0] * 3
    assert [record["time"] for record in records] == pytest.approx([i / 25 for i in range(20)], abs=1e-3)
    overlay = list(open_source(str(save)))
    assert len(overlay) == 20
    assert overlay[5].image.std() > 10 > overlay[0].image.std()
    summary = capsys.readouterr().out
    assert "frames 20; first face in frame 5; with a face 50.0 %, tracked 40.0 %" in summary
    assert "detections 2, lost 1" in summary
    assert "fps" in summary


def test_json_lines_go_to_standard_output(write_video, write_onnx, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    video, model = write_video([BRIGHT] * 3), write_onnx()
    assert main(["--source", str(video), "--model", str(model), "--headless", "--jsonl", "-"]) == 0
    printed = capsys.readouterr()
    assert [json.loads(line)["frame"] for line in printed.out.splitlines()] == [0, 1, 2]
    assert "frames 3;" in printed.err
    assert not Path("-").exists()


def test_a_reader_that_ends_is_an_error_without_a_traceback(write_video, write_onnx):
    command = [
        sys.executable,
        "-m",
        "edge_runtime.webcam",
        "--source",
        write_video([BRIGHT] * 5),
        "--model",
        write_onnx(),
    ]
    command += ["--headless", "--jsonl", "-"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        ended = subprocess.run(
            [str(part) for part in command], stdout=output, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert "error: cannot write the results: Broken pipe" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_max_frames(write_video, write_onnx, capsys):
    video, model = write_video([BRIGHT] * 9), write_onnx()
    assert main(["--source", str(video), "--model", str(model), "--headless", "--max-frames", "4"]) == 0
    assert "frames 4;" in capsys.readouterr().out


def test_photographs_are_detected_each_and_sequences_are_tracked(tmp_path, write_onnx):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (width, height) in enumerate([(320, 240), (200, 300), (640, 480)]):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((height, width, 3), BRIGHT, np.uint8))
    jsonl, model = tmp_path / "out.jsonl", str(write_onnx())
    base = ["--source", str(folder), "--model", model, "--headless", "--jsonl", str(jsonl)]
    states = []
    for extra in ([], ["--sequence"]):
        assert main([*base, *extra, "--save", str(tmp_path / "overlays")]) == 0
        faces = [json.loads(line)["faces"] for line in jsonl.read_text().splitlines()]
        states.append([face[0]["state"] for face in faces])
    assert states == [["detected"] * 3, ["detected", "tracked", "tracked"]]
    assert len(list((tmp_path / "overlays").iterdir())) == 3


def test_one_image(tmp_path, write_onnx):
    cv2.imwrite(str(tmp_path / "in.png"), np.full((240, 320, 3), BRIGHT, np.uint8))
    save = tmp_path / "out.png"
    arguments = ["--source", str(tmp_path / "in.png"), "--model", str(write_onnx()), "--headless", "--save", str(save)]
    assert main(arguments) == 0
    assert cv2.imread(str(save)).std() > 10


def fails(arguments: list[str], capsys) -> str:
    """Run, expect exit code 1 and one line on stderr, and return it."""
    assert main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_errors_are_one_line_and_code_1(write_video, write_onnx, tmp_path, capsys):
    video, model = str(write_video([BRIGHT] * 3)), str(write_onnx())
    empty = tmp_path / "empty.avi"
    empty.touch()
    corrupt = tmp_path / "corrupt.onnx"
    corrupt.write_bytes(b"corrupt" * 9)
    given = ["--headless", "--source", video, "--model"]
    assert "no model file at gone.tflite" in fails([*given, "gone.tflite"], capsys)
    assert "damaged" in fails([*given, str(corrupt)], capsys)
    assert "does not read" in fails([*given, model, "--engine", "litert"], capsys)
    assert "does not exist" in fails([*given, model, "--jsonl", str(tmp_path / "no" / "x.jsonl")], capsys)
    given = ["--headless", "--model", model, "--source"]
    assert "no such file" in fails([*given, "gone.mp4"], capsys)
    assert "is empty" in fails([*given, str(empty)], capsys)
    assert "no camera 97" in fails([*given, "97"], capsys)
    assert "no model spec" in fails(["--headless", "--source", video, "--model", str(write_onnx(None))], capsys)
    assert "its spec declares" in fails(["--headless", "--source", video, "--model", str(write_onnx(size=64))], capsys)


def test_a_template_is_found_drawn_and_written(write_video, prompt_onnx, lips, tmp_path, capsys):
    video, jsonl, template = write_video([BRIGHT] * 2), tmp_path / "out.jsonl", tmp_path / "lips.json"
    template.write_text(lips.to_json())
    arguments = ["--source", video, "--model", prompt_onnx, "--template", template, "--headless", "--jsonl", jsonl]
    arguments += ["--save", tmp_path / "out.avi"]
    assert main([str(a) for a in arguments]) == 0
    (face,) = json.loads(jsonl.read_text().splitlines()[-1])["faces"]
    assert len(face["points"]) == 3
    image = list(open_source(str(tmp_path / "out.avi")))[-1].image.astype(int)
    x, y = np.rint(face["points"][0]).astype(int)
    assert image[y, x, [0, 2]].min() > image[y, x, 1] + 80

    without = [str(a) for a in arguments if a not in ("--template", template)]
    assert "needs query points: got no template" in fails(without, capsys)
    template.write_text("{}")
    assert "lips.json: a template is a JSON object with `name` and `points`" in fails(list(map(str, arguments)), capsys)
    template.unlink()
    assert "no template at" in fails(list(map(str, arguments)), capsys)


def test_without_a_model_the_shipped_one_runs(write_video, capsys):
    pytest.importorskip("ai_edge_litert")
    assert main(["--source", str(write_video([BRIGHT])), "--headless"]) == 0
    assert "frames 1, none with a face" in capsys.readouterr().out  # a gray image is no face


def test_onnxruntime_without_a_model_says_what_to_do(tmp_path, monkeypatch, write_video, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edge_runtime.backends.__file__", str(tmp_path / "x" / "backends.py"))
    arguments = ["--source", str(write_video([BRIGHT])), "--headless", "--engine", "onnxruntime"]
    assert "make export-onnx" in fails(arguments, capsys)


def test_no_display(write_video, write_onnx, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    message = fails(["--source", str(write_video([BRIGHT])), "--model", str(write_onnx())], capsys)
    assert "--headless" in message


@pytest.mark.parametrize(
    "flags",
    [
        ["--smoothing", "2"],
        ["--fov", "180"],
        ["--fov", "1e-300"],
        ["--threads", "0"],
        ["--max-frames", "0"],
        ["--engine", "tpu"],
        ["--fov", "70", "--intrinsics", "camera.yml"],
        ["--width", "640"],
        ["--fps", "-1"],
        ["--csv", "-"],
        ["--save", "-"],
    ],
)
def test_wrong_flags_are_code_2(flags, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(flags)
    assert exit_info.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_an_interrupt_while_the_flags_are_read_prints_nothing(monkeypatch, capsys):
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(webcam, "parse_flags", interrupted)
    assert main([]) == webcam.INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_interrupt_closes_the_files(write_video, write_onnx, tmp_path, monkeypatch, capsys):
    update, calls = tracker.FaceTracker.update, []

    def interrupted(self, frame, timestamp):
        calls.append(timestamp)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return update(self, frame, timestamp)

    monkeypatch.setattr(tracker.FaceTracker, "update", interrupted)
    save, jsonl = tmp_path / "out.avi", tmp_path / "out.jsonl"
    arguments = ["--source", write_video([BRIGHT] * 9), "--model", write_onnx(), "--headless", "--save", save]
    assert main([str(a) for a in [*arguments, "--jsonl", jsonl]]) == INTERRUPTED
    assert len(jsonl.read_text().splitlines()) == 3
    assert len(list(open_source(str(save)))) == 3
    assert "frames 3;" in capsys.readouterr().out


def calibration_file(path, focal, cx, cy, width, height):
    path.write_text(json.dumps({"fx": focal, "fy": focal, "cx": cx, "cy": cy, "width": width, "height": height}))
    return path


def test_a_calibration_file_turns_the_pose_and_is_scaled_to_the_frames(write_video, write_onnx, tmp_path):
    jsonl, yaws = tmp_path / "out.jsonl", []
    base = ["--headless", "--source", write_video([BRIGHT] * 3), "--model", write_onnx(), "--jsonl", jsonl]
    for camera in (
        calibration_file(tmp_path / "middle.json", 300, 159.5, 120, 320, 240),
        calibration_file(tmp_path / "left.json", 300, 20, 120, 320, 240),
        calibration_file(tmp_path / "small.json", 150, 9.75, 59.75, 160, 120),
    ):
        assert main([str(a) for a in [*base, "--intrinsics", camera]]) == 0
        yaws.append(json.loads(jsonl.read_text().splitlines()[0])["faces"][0]["pose"]["angles"]["yaw"])
    # The face is in the middle of the image: with the axis at the left edge it is 25 degrees to the right.
    assert abs(yaws[1] - yaws[0]) == pytest.approx(math.atan((159.5 - 20) / 300), abs=0.05)
    assert yaws[2] == pytest.approx(yaws[1], abs=1e-4)


def test_calibration_of_another_aspect_ratio_is_rejected(write_video, write_onnx, tmp_path, capsys):
    base = ["--headless", "--source", str(write_video([BRIGHT])), "--model", str(write_onnx()), "--intrinsics"]
    wide = calibration_file(tmp_path / "wide.json", 300, 200, 120, 640, 360)
    assert "calibrated at 640 x 360, the frames have 320 x 240" in fails([*base, str(wide)], capsys)
    assert "absent.yml" in fails([*base, str(tmp_path / "absent.yml")], capsys)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--websocket", "::1:8765"], "--websocket: expected an IPv6 address in brackets"),
        (["--osc", "host"], "--osc: expected HOST:PORT"),
        (
            ["--websocket", "1", "--websocket-origin", "example.org"],
            "--websocket-origin: expected an origin as https://",
        ),
        (["--websocket-origin", "https://example.org"], "--websocket-origin needs --websocket"),
    ],
)
def test_invalid_addresses_and_origins_are_wrong_usage(capsys, flags, message):
    with pytest.raises(SystemExit) as error:
        main(flags)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_the_websocket_of_the_command_listens_and_allows_what_the_flags_say():
    client = pytest.importorskip("websockets.sync.client")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = webcam.WebcamConfig(websocket=f"localhost:{port}", websocket_origin=("https://example.org",))
    for sink in webcam._open_network_sinks(config):
        with sink, client.connect(f"ws://localhost:{port}", origin="https://example.org"):
            assert sink.port == port


class Screen:
    """Window that records images and returns scripted keys."""

    def __init__(self, keys=""):
        self.keys, self.images = list(keys), []

    def show(self, image, wait_ms):
        self.images.append(image.copy())
        return self.keys.pop(0) if self.keys else ""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(webcam, "check_display", lambda: None)
    monkeypatch.setattr(webcam, "Window", lambda title: screen)
    return screen


def test_mirror_does_not_change_results_and_files(write_onnx, tmp_path, screen):
    image = np.full((240, 320, 3), BRIGHT, np.uint8)
    image[:, :60] = 0
    cv2.imwrite(str(tmp_path / "in.png"), image)
    results = []
    for flags in ([], ["--mirror"]):
        screen.keys = [" "]
        save, jsonl = tmp_path / "out.png", tmp_path / "out.jsonl"
        arguments = ["--source", tmp_path / "in.png", "--model", write_onnx(), "--save", save, "--jsonl", jsonl, *flags]
        assert main([str(a) for a in arguments]) == 0
        results.append((save.read_bytes(), jsonl.read_text()))
    assert results[0] == results[1]
    straight, mirrored = screen.images
    assert straight[5, 5].tolist() == [0, 0, 0] == mirrored[5, -5].tolist()
    assert mirrored[5, 5].tolist() == [BRIGHT] * 3


def test_q_ends_the_run_and_keeps_what_was_written(write_video, write_onnx, tmp_path, screen):
    screen.keys, jsonl = ["", " ", "", "q"], tmp_path / "out.jsonl"
    arguments = ["--source", write_video([BRIGHT] * 9), "--model", write_onnx(), "--jsonl", jsonl]
    assert main([str(a) for a in arguments]) == 0
    assert len(jsonl.read_text().splitlines()) == 2, "paused at the second frame"


class FailingCamera:
    """Camera of a number of bright frames."""

    def __init__(self, frames):
        self.left = frames

    def read(self):
        self.left -= 1
        return (True, np.full((240, 320, 3), BRIGHT, np.uint8)) if self.left >= 0 else (False, None)

    def get(self, what):
        return 0.0

    def release(self):
        pass


def test_files_are_kept_when_the_camera_stops(write_onnx, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        VideoSource, "camera", classmethod(lambda cls, index, _: cls(FailingCamera(20), f"camera {index}", live=True))
    )
    jsonl, table = tmp_path / "out.jsonl", tmp_path / "out.csv"
    base = ["--headless", "--source", "0", "--model", str(write_onnx()), "--jsonl", str(jsonl), "--csv", str(table)]
    assert "camera 0 stopped giving frames" in fails(base, capsys)
    records = [json.loads(line) for line in jsonl.read_text().splitlines()]
    indices = [record["frame"] for record in records]
    assert indices == sorted(set(indices))
    assert indices[-1] == 19, "the newest frame is never dropped"
    assert [record["dropped"] for record in records] == (np.diff([-1, *indices]) - 1).tolist()
    assert table.is_file()


def test_files_show_progress_on_a_terminal_only(write_video, write_onnx, monkeypatch, capsys):
    arguments = ["--headless", "--source", str(write_video([DARK] * 7)), "--model", str(write_onnx())]
    assert main(arguments) == 0
    assert "of 7 frames" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(arguments) == 0
    assert capsys.readouterr().err.endswith("\r7 of 7 frames\n")
    Progress(None).show(5)
    assert capsys.readouterr().err == "", "a camera has no end to come to"


def test_summary_keeps_a_limited_number_of_times():
    summary = Summary()
    summary.loop_seconds.extend(np.arange(100_000) / 1e6)
    assert len(summary.loop_seconds) == 1000
    assert summary.loop_seconds[-1] == pytest.approx(0.099999)


def test_runs_as_a_module(tmp_path):
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.webcam", "--headless", "--source", "gone.mp4", "--model", "gone.onnx"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: no model file at gone.onnx; make one with `make export-tflite` or `make export-onnx`"
    ]


def test_runtime_does_not_import_the_training_stack():
    root = Path(__file__).resolve().parents[2]
    code = (
        "import sys, edge_runtime.webcam\n"
        "heavy = {'torch', 'scipy', 'onnx', 'onnxruntime', 'tyro', 'tqdm', 'atpn', 'export'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_a_folders_results_name_their_files(tmp_path, write_onnx, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"photo_{number}.png"), np.full((240, 320, 3), BRIGHT, np.uint8))
    (folder / "photo_2.png").write_bytes(b"damaged")
    (folder / "notes.txt").touch()
    jsonl, table, save = tmp_path / "out.jsonl", tmp_path / "out.csv", tmp_path / "overlays"
    base = ["--headless", "--source", folder, "--model", write_onnx(), "--jsonl", jsonl, "--csv", table, "--save", save]
    assert main([str(a) for a in base]) == 1, "an image of the folder is damaged"
    records = [json.loads(line) for line in jsonl.read_text().splitlines()]
    named = [(0, "photo_1.png"), (2, "photo_10.png")]
    assert [(record["frame"], record["file"]) for record in records] == named
    with table.open(newline="") as file:
        assert [(int(row["frame"]), row["file"]) for row in csv.DictReader(file)] == named
    assert sorted(path.name for path in save.iterdir()) == ["000000_photo_1.png", "000002_photo_10.png"]
    printed = capsys.readouterr()
    assert "skipped 2: notes.txt, photo_2.png" in printed.out
    assert "error: 2 of 3 images could be read" in printed.err
    (folder / "photo_2.png").unlink()
    assert main([str(a) for a in base]) == 0, "a file that is not an image is none of its images"


def test_a_cut_video_keeps_its_results_and_fails(write_video, write_onnx, tmp_path, capsys):
    video, jsonl = write_video([BRIGHT] * 20, "in.avi"), tmp_path / "out.jsonl"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 2 // 3])
    given = ["--headless", "--source", str(video), "--model", str(write_onnx()), "--jsonl", str(jsonl)]
    assert main(given) == 1
    count = len(jsonl.read_text().splitlines())
    assert 0 < count < 20
    printed = capsys.readouterr()
    assert f"frames {count};" in printed.out
    assert printed.err.startswith(
        f"error: only {count} frame{'s' * (count > 1)} could be read: {video} is damaged or cut; "
    )
    assert main([*given, "--max-frames", "3"]) == 0, "the end was not asked for"


def test_an_input_is_never_an_output(write_video, write_onnx, tmp_path, capsys):
    video, model = write_video([BRIGHT] * 3), str(write_onnx())
    (tmp_path / "link.avi").symlink_to(video)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), np.full((240, 320, 3), BRIGHT, np.uint8))
    before = video.read_bytes(), (tmp_path / "photos" / "a.png").read_bytes()
    for source, output, given in (
        (video, ["--save", tmp_path / "link.avi"], "--source"),
        (video, ["--jsonl", video], "--source"),
        (video, ["--csv", model], "--model"),
        (video, ["--csv", tmp_path / "x", "--jsonl", tmp_path / "photos" / ".." / "x"], "--jsonl"),
        (tmp_path / "photos", ["--save", tmp_path / "photos"], "--source"),
        (tmp_path / "photos", ["--save", tmp_path / "photos" / "a.png"], "--source"),
    ):
        arguments = ["--headless", "--source", source, "--model", model, *output]
        assert f"would overwrite {given}" in fails([str(a) for a in arguments], capsys)
    for flags, given in (
        (["--source", tmp_path / "photos" / "a.png", "--save", tmp_path / "photos"], "the folder of --source"),
        (["--source", f"file://{video}", "--save", video], "--source's file"),
        (["--source", f"filesrc location={video} ! appsink", "--jsonl", video], "--source's file"),
        (["--source", video, "--detector", f"yunet:{model}", "--csv", model], "--detector"),
        (["--source", video, "--csv", models.FOLDER / "detector_fp32.tflite"], "the shipped detector_fp32.tflite"),
    ):
        assert f"would overwrite {given}" in fails(["--headless", *map(str, flags)], capsys)
    assert before == (video.read_bytes(), (tmp_path / "photos" / "a.png").read_bytes())
    again = [
        "--headless",
        "--source",
        tmp_path / "photos",
        "--model",
        model,
        "--csv",
        tmp_path / "photos" / "faces.csv",
    ]
    for _ in range(2):
        assert main([str(a) for a in again]) == 0, "a result in the folder is none of its images"


def test_the_overlay_is_drawn_once(write_video, write_onnx, tmp_path, screen, monkeypatch):
    drawn, draw = [], webcam.draw_faces

    def count(*arguments, **options):
        drawn.append(1)
        return draw(*arguments, **options)

    for module in ("webcam", "preview"):
        monkeypatch.setattr(f"edge_runtime.{module}.draw_faces", count)
    video, model = str(write_video([BRIGHT] * 4)), str(write_onnx())
    base = ["--source", video, "--model", model]
    for flags, times in ((["--save", str(tmp_path / "o.avi")], 4), ([], 4), (["--headless"], 0)):
        drawn.clear()
        screen.keys = ["h", " ", "", "", " "]
        assert main([*base, *flags]) == 0
        assert len(drawn) == times


class Camera:
    """Live source of these frames."""

    fps, stills, length, expected, live, skipped, incomplete = 30.0, False, None, None, True, (), None

    def __init__(self, frames):
        self.frames = frames

    def __iter__(self):
        return iter(self.frames)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_a_camera_is_recorded_with_its_own_times(write_onnx, tmp_path, monkeypatch, capsys):
    frames = [Frame(np.full((240, 320, 3), BRIGHT, np.uint8), 0.25 * i, 7 * i, dropped=6 * (i > 0)) for i in range(8)]
    monkeypatch.setattr(webcam, "open_source", lambda name, **_: Camera(frames))
    save = tmp_path / "out.mp4"
    assert main(["--headless", "--model", str(write_onnx()), "--save", str(save)]) == 0
    with open_source(str(save)) as source:
        assert len(list(source)) / source.fps == pytest.approx(2.0, abs=0.05)
    assert "frames 8, 42 dropped" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--jsonl", "--csv"])
def test_outputs_are_checked_before_the_first_frame(write_video, write_onnx, tmp_path, capsys, monkeypatch, flag):
    monkeypatch.setattr(webcam, "_loop", None)
    base = ["--headless", "--source", str(write_video([BRIGHT])), "--model", str(write_onnx())]
    assert "it is a folder" in fails([*base, "--save", str(tmp_path / "out.mp4"), flag, str(tmp_path)], capsys)
    assert list(tmp_path.glob("out*")) == []


def test_a_run_without_a_face_replaces_the_earlier_results(write_video, write_onnx, tmp_path):
    jsonl, table = tmp_path / "out.jsonl", tmp_path / "out.csv"
    for path in (jsonl, table):
        path.write_text("an earlier result")
    base = [
        "--headless",
        "--source",
        write_video([DARK] * 2),
        "--model",
        write_onnx(),
        "--jsonl",
        jsonl,
        "--csv",
        table,
    ]
    assert main([str(a) for a in base]) == 0
    assert [json.loads(line)["faces"] for line in jsonl.read_text().splitlines()] == [[], []]
    assert len(table.read_text().splitlines()) == 3


def test_the_first_error_is_told(write_video, write_onnx, tmp_path, monkeypatch, capsys, caplog):
    def fail(self, frame, overlay):
        for path in tmp_path.glob("*.part*"):
            path.unlink()  # closing fails, too
        raise SinkError("the first error")

    monkeypatch.setattr(ImageSink, "write", fail)
    cv2.imwrite(str(tmp_path / "in.png"), np.full((240, 320, 3), BRIGHT, np.uint8))
    base = ["--headless", "--source", tmp_path / "in.png", "--model", write_onnx(), "--save", tmp_path / "out.png"]
    base += ["--jsonl", tmp_path / "out.jsonl", "--csv", tmp_path / "out.csv"]
    assert fails([str(a) for a in base], capsys) == "error: the first error"
    closing = [message for message in caplog.messages if message.startswith("cannot write")]
    assert [message.partition(": ")[2] for message in closing] == ["No such file or directory"] * 2


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--calibrate-neutral"], "--calibrate-neutral"),
        (["--show", "expressions"], "--show expressions"),
        (["--vmc", "localhost:1", "--vmc-shapes", "perfect-sync"], "--vmc-shapes perfect-sync"),
        (["--ifacialmocap", "localhost:1"], "--ifacialmocap"),
    ],
)
def test_flags_that_need_expressions_say_that_the_model_gives_none(write_video, write_onnx, capsys, flags, named):
    assert main(["--source", str(write_video([BRIGHT])), "--model", str(write_onnx()), "--headless", *flags]) == 1
    assert f"gives no expressions, which {named} needs: use one exported with `--heads all`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--vmc-shapes", "perfect-sync"], "--vmc-shapes needs --vmc"),
        (["--vmc-hold"], "--vmc-hold needs --vmc or --ifacialmocap"),
    ],
)
def test_flags_of_an_output_need_the_output(capsys, flags, message):
    with pytest.raises(SystemExit):
        main(flags)
    assert message in capsys.readouterr().err


def test_pictures_cannot_be_calibrated_and_a_short_run_warns(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), rendered_face())
    assert main(["--source", str(tmp_path / "a.png"), "--headless", "--calibrate-neutral"]) == 1
    assert "--calibrate-neutral needs a stream" in capsys.readouterr().err
    assert main(["--source", str(tmp_path), "--sequence", "--headless", "--calibrate-neutral"]) == 0
    assert "no second of a face was seen, so that expressions are not calibrated" in capsys.readouterr().err
