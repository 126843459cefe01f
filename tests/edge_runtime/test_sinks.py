import csv
import dataclasses
import errno
import json

import cv2
import numpy as np
import pytest

from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.errors import SinkError
from edge_runtime.sinks import (
    CsvSink,
    FolderSink,
    ImageSink,
    JsonLinesSink,
    VideoSink,
    fit_into,
    open_overlay_sink,
)
from edge_runtime.sources import Frame, open_source

FACE = Face(
    id=3,
    state=TrackState.TRACKED,
    landmarks=np.arange(196.0).reshape(98, 2),
    uncertainty=np.full(98, 1.5),
    pose=Pose.from_angles(0.1, -0.2, 0.3),
    confidence=0.87,
    roi=ROI(10, 20, 30, 0.1),
    direction=np.array([0.0, 0.6, 0.8]),
    age=7,
)


def frame(index: int, value: int = 100, size: tuple[int, int] = (64, 48)) -> Frame:
    return Frame(np.full((size[1], size[0], 3), value, np.uint8), index / 25, index)


def write(sink, *frames: Frame) -> None:
    for f in frames:
        sink.write(f, [FACE], f.image)


def files(path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


@pytest.mark.parametrize("name", ["out.mp4", "out.avi"])
def test_video_appears_whole_when_closed(tmp_path, name):
    with VideoSink(tmp_path / name, 25) as sink:
        write(sink, frame(0, 50), frame(1, 100), frame(2, 150))
        assert not (tmp_path / name).exists()
    assert files(tmp_path) == [name]
    assert [f.image.mean() for f in open_source(str(tmp_path / name))] == pytest.approx([50, 100, 150], abs=4)


def test_video_of_an_interrupted_run_is_kept(tmp_path):
    def interrupted_run() -> None:
        with VideoSink(tmp_path / "out.avi", 25) as sink:
            write(sink, frame(0), frame(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert len(list(open_source(str(tmp_path / "out.avi")))) == 2


def test_video_sink_removes_unreadable_videos(tmp_path):
    (tmp_path / "out.mp4").write_text("an earlier result")
    sink = VideoSink(tmp_path / "out.mp4", 25)
    write(sink, frame(0))
    sink._writer.release()
    (tmp_path / "out.partial.mp4").write_bytes(b"truncated")
    with pytest.raises(SinkError, match="check the disk space"):
        sink.__exit__(None, None, None)
    assert files(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "an earlier result"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_video_sink_removes_truncated_videos(tmp_path, error):
    sink = VideoSink(tmp_path / "out.avi", 25)
    write(sink, *(frame(i, 10 * i) for i in range(20)))
    sink._writer.release()
    partial = tmp_path / "out.partial.avi"
    partial.write_bytes(partial.read_bytes()[: partial.stat().st_size // 2])
    with pytest.raises(SinkError, match=r"of 20 frames read back"):
        sink.__exit__(None, error, None)
    assert files(tmp_path) == []


def test_video_keeps_its_size_when_frames_change_theirs(tmp_path):
    with VideoSink(tmp_path / "out.avi", 25) as sink:
        write(sink, frame(0), frame(1, size=(300, 50)), frame(2, size=(10, 90)))
    assert {f.image.shape for f in open_source(str(tmp_path / "out.avi"))} == {(48, 64, 3)}


def test_sinks_write_nothing_without_frames(tmp_path):
    for sink in (VideoSink(tmp_path / "a.mp4", 25), JsonLinesSink(tmp_path / "a.jsonl"), FolderSink(tmp_path / "a")):
        with sink:
            pass
    assert files(tmp_path) == []


def test_json_lines_hold_every_field(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLinesSink(path) as sink:
        write(sink, frame(0))
        sink.write(frame(1), [], frame(1).image)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert second == {"frame": 1, "time": 0.04, "faces": []}
    (face,) = first["faces"]
    assert (face["id"], face["state"], face["confidence"], face["age"]) == (3, "tracked", 0.87, 7)
    assert face["roi"] == {"cx": 10, "cy": 20, "size": 30, "roll": 0.1}
    assert face["pose"]["angles"] == pytest.approx({"pitch": 0.1, "yaw": -0.2, "roll": 0.3}, abs=1e-6)
    assert np.allclose(face["pose"]["matrix"], FACE.pose.matrix, atol=1e-6)
    assert np.allclose(face["landmarks"], FACE.landmarks)
    assert face["uncertainty"] == [1.5] * 98


def test_json_lines_sink_removes_the_file_on_a_full_disk(tmp_path):
    class FullDisk:
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    def run_into_the_full_disk() -> None:
        with JsonLinesSink(tmp_path / "out.jsonl") as sink:
            write(sink, frame(0))
            sink._file.close()
            sink._file = FullDisk()
            write(sink, frame(1))

    with pytest.raises(SinkError, match=r"out\.jsonl: No space left"):
        run_into_the_full_disk()
    assert files(tmp_path) == []


def test_images_and_folders(tmp_path):
    with ImageSink(tmp_path / "out.png") as sink:
        write(sink, frame(0, 77))
    assert cv2.imread(str(tmp_path / "out.png")).mean() == 77
    with FolderSink(tmp_path / "many") as sink:
        write(sink, frame(0), frame(1))
    assert files(tmp_path / "many") == ["000000.png", "000001.png"]


@pytest.mark.parametrize(
    ("name", "length", "kind"),
    [
        ("a.mp4", None, VideoSink),
        ("a.avi", 5, VideoSink),
        ("a.PNG", 1, ImageSink),
        ("a", None, FolderSink),
    ],
)
def test_path_chooses_the_sink(tmp_path, name, length, kind):
    assert isinstance(open_overlay_sink(tmp_path / name, 25, length), kind)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.png", "cannot save several frames"), ("a.gif", r"as \.gif: use \.mp4"), ("no/where.mp4", "does not exist")],
)
def test_open_overlay_sink_rejects_invalid_paths(tmp_path, name, message):
    with pytest.raises(SinkError, match=message):
        open_overlay_sink(tmp_path / name, 25, None)


def test_fit_into_keeps_the_proportions():
    fitted = fit_into(np.full((10, 40, 3), 255, np.uint8), (80, 60))
    assert fitted.shape == (60, 80, 3)
    assert (fitted[20:40] == 255).all()
    assert fitted.sum() == 255 * 3 * 20 * 80


def test_csv_has_a_line_per_face_and_names_its_columns(tmp_path):
    with CsvSink(tmp_path / "faces.csv") as sink:
        sink.write(frame(0), [], frame(0).image)
        sink.write(frame(1), [FACE, FACE], frame(1).image)
        sink.write(frame(2), [FACE], frame(2).image)
    with (tmp_path / "faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["1", "1", "2"]
    row = rows[-1]
    assert (row["id"], row["state"], row["age"]) == ("3", "tracked", "7")
    assert [float(row[name]) for name in ("time", "confidence", "pitch", "yaw", "roll")] == pytest.approx(
        [0.08, 0.87, 0.1, -0.2, 0.3], abs=1e-4
    )
    assert [float(row[name]) for name in ("x0", "y0", "x97", "y97", "sigma97")] == [0, 1, 194, 195, 1.5]
    assert None not in row
    assert files(tmp_path) == ["faces.csv"]


POINTS = dataclasses.replace(FACE, points=np.arange(6.0).reshape(3, 2), points_uncertainty=np.full(3, 0.5))


def test_a_templates_points_are_in_the_json_and_last_in_the_csv(tmp_path):
    found = POINTS.to_dict()
    assert (found["points"], found["points_uncertainty"]) == ([[0, 1], [2, 3], [4, 5]], [0.5] * 3)
    assert not {"points", "points_uncertainty"} & FACE.to_dict().keys()
    with CsvSink(tmp_path / "faces.csv") as sink:
        sink.write(frame(0), [POINTS], frame(0).image)
    with (tmp_path / "faces.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    columns = ["point_x0", "point_y0", "point_x1", "point_y1", "point_x2", "point_y2"]
    columns += [f"point_sigma{i}" for i in range(3)]
    assert list(row)[-9:] == columns
    assert [float(row[name]) for name in columns] == [0, 1, 2, 3, 4, 5, 0.5, 0.5, 0.5]
    assert float(row["sigma97"]) == 1.5
