import csv
import dataclasses
import errno
import io
import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.errors import SinkError
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.sinks.results import CsvSink, JsonLinesSink
from edge_runtime.sources import Frame

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


def frame(index: int, **fields) -> Frame:
    return Frame(np.zeros((48, 64, 3), np.uint8), index / 25, index, **fields)


def write(sink, *frames: Frame) -> None:
    for f in frames:
        sink.write(f, [FACE])


def files(path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def test_json_lines_hold_every_field(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLinesSink(path) as sink:
        write(sink, frame(0))
        sink.write(frame(1), [])
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


def test_csv_has_a_row_per_face_or_empty_frame_and_names_its_columns(tmp_path):
    with CsvSink(tmp_path / "faces.csv") as sink:
        sink.write(frame(0), [])
        sink.write(frame(1), [FACE, FACE])
        sink.write(frame(2), [FACE])
    with (tmp_path / "faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "1", "1", "2"]
    assert {name for name, value in rows[0].items() if value} == {"frame", "time"}
    assert None not in rows[0].values()
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
    with CsvSink(tmp_path / "faces.csv", points=3) as sink:
        sink.write(frame(0), [POINTS])
    with (tmp_path / "faces.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    columns = ["point_x0", "point_y0", "point_x1", "point_y1", "point_x2", "point_y2"]
    columns += [f"point_sigma{i}" for i in range(3)]
    assert list(row)[-9:] == columns
    assert [float(row[name]) for name in columns] == [0, 1, 2, 3, 4, 5, 0.5, 0.5, 0.5]
    assert float(row["sigma97"]) == 1.5


def test_csv_rejects_faces_that_do_not_fit_its_columns(tmp_path):
    sink = CsvSink(tmp_path / "faces.csv", landmarks=68)
    with pytest.raises(SinkError, match=r"98 landmarks and 0 points to .*columns are for 68 and 0; pass both"):
        sink.write(frame(0), [FACE])
    sink.__exit__(None, None, None)


def test_files_of_stills_and_dropped_frames_are_recorded(tmp_path):
    frames = [frame(4, name='a, "b".jpg'), frame(7, dropped=2), frame(8, dropped=0)]
    with JsonLinesSink(tmp_path / "out.jsonl") as lines, CsvSink(tmp_path / "out.csv") as table:
        for each in frames:
            lines.write(each, [])
            table.write(each, [FACE] if each.index == 7 else [])
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert records == [
        {"frame": 4, "time": 0.16, "file": 'a, "b".jpg', "faces": []},
        {"frame": 7, "time": 0.28, "dropped": 2, "faces": []},
        {"frame": 8, "time": 0.32, "dropped": 0, "faces": []},
    ]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [(row["frame"], row["file"], row["dropped"], row["id"]) for row in csv.DictReader(file)]
    assert rows == [("4", 'a, "b".jpg', "", ""), ("7", "", "2", "3"), ("8", "", "0", "")]


def test_files_are_kept_when_another_sink_fails(tmp_path):
    def run() -> None:
        with JsonLinesSink(tmp_path / "out.jsonl") as sink:
            write(sink, frame(0))
            raise SinkError("another one's")

    with pytest.raises(SinkError, match="another"):
        run()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


SINKS = pytest.mark.parametrize("sink_class", [JsonLinesSink, CsvSink])


@SINKS
def test_a_run_without_frames_replaces_an_earlier_file_unless_it_failed(tmp_path, sink_class):
    path = tmp_path / "out"
    path.write_text("an earlier result")
    for error in (SinkError("another one's"), KeyboardInterrupt()):
        sink_class(path).__exit__(type(error), error, None)
        assert path.read_text() == "an earlier result"
    with sink_class(path):
        pass
    lines = path.read_text().splitlines()
    assert [line[:11] for line in lines] == ([] if sink_class is JsonLinesSink else ["frame,time,"])
    assert files(tmp_path) == ["out"]


@SINKS
def test_a_target_that_cannot_be_written_is_refused_before_the_first_frame(tmp_path, sink_class):
    with pytest.raises(SinkError, match="it is a folder"):
        sink_class(tmp_path)
    with pytest.raises(SinkError, match="does not exist; create it first"):
        sink_class(tmp_path / "none" / "out")
    assert files(tmp_path) == []


@SINKS
def test_a_link_a_mode_and_a_device_stay(tmp_path, sink_class):
    (tmp_path / "real").mkdir()
    earlier = tmp_path / "real" / "out"
    earlier.touch(mode=0o640)
    (tmp_path / "out").symlink_to(earlier)
    for path in (tmp_path / "out", Path("/dev/null")):
        with sink_class(path) as sink:
            write(sink, frame(0))
    assert (tmp_path / "out").is_symlink()
    assert stat.S_IMODE(earlier.stat().st_mode) == 0o640
    assert earlier.stat().st_size > 1000
    assert files(tmp_path / "real") == ["out"]
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipes_reader_gets_each_frame_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    sink = JsonLinesSink(tmp_path / "pipe")
    read = []

    def reader() -> None:
        with (tmp_path / "pipe").open() as file:
            read.append(file.readline())
            first.set()
            read.append(file.read())

    first, thread = threading.Event(), threading.Thread(target=reader)
    thread.start()
    write(sink, frame(0))
    assert first.wait(60)
    write(sink, frame(1))
    sink.__exit__(None, None, None)
    thread.join()
    assert [json.loads(line)["frame"] for line in read] == [0, 1]
    assert files(tmp_path) == ["pipe"]
    JsonLinesSink(tmp_path / "pipe").__exit__(None, None, None)  # no frame: it waits for no reader


def test_a_pipe_whose_reader_ends_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=lambda: (tmp_path / "pipe").open().close())
    thread.start()
    sink = JsonLinesSink(tmp_path / "pipe")
    with pytest.raises(SinkError, match=r"cannot write to \S*/pipe: Broken pipe"):
        write(sink, *map(frame, range(1000)))
    thread.join()
    sink.__exit__(None, None, None)


class Interrupted(io.BytesIO):
    """File whose second frame is interrupted halfway."""

    def __init__(self, file):
        self.file, self.writes = file, 0

    def write(self, content):
        self.writes += 1
        if self.writes == 2:
            self.file.write(content[: len(content) // 2])
            raise KeyboardInterrupt
        return self.file.write(content)

    def truncate(self, size):
        return self.file.truncate(size)

    def close(self):
        self.file.close()


@SINKS
def test_an_interrupted_frame_is_left_out(tmp_path, sink_class):
    path = tmp_path / "out"

    def run() -> None:
        with sink_class(path) as sink:
            sink._file = Interrupted(sink._open())
            write(sink, frame(0), frame(1))

    with pytest.raises(KeyboardInterrupt):
        run()
    with sink_class(tmp_path / "whole") as sink:
        write(sink, frame(0))
    assert path.read_text() == (tmp_path / "whole").read_text()


@SINKS
def test_a_failure_of_the_end_does_not_hide_an_earlier_error(tmp_path, sink_class, caplog):
    path = tmp_path / "out"

    def run(error: Exception | None) -> None:
        with sink_class(path) as sink:
            write(sink, frame(0))
            (partial,) = tmp_path.glob("*.part")
            partial.unlink()
            if error is not None:
                raise error

    with pytest.raises(SinkError, match="the camera's"):
        run(SinkError("the camera's"))
    assert caplog.messages == [f"cannot write to {path}: No such file or directory"]
    with pytest.raises(SinkError, match=rf"^cannot write to {path}: No such file or directory$"):
        run(None)


@SINKS
def test_a_name_that_is_no_text_is_written(tmp_path, sink_class):
    with sink_class(tmp_path / "out") as sink:
        sink.write(frame(0, name=os.fsdecode(b"caf\xe9.jpg")), [FACE])
    written = (tmp_path / "out").read_bytes()
    assert (b"caf\xe9.jpg" in written) or (b"caf\\udce9.jpg" in written)


def test_a_file_named_as_temporary_ones_were_is_not_touched(tmp_path):
    (tmp_path / "out.jsonl.partial").write_text("precious")
    with JsonLinesSink(tmp_path / "out.jsonl") as first, JsonLinesSink(tmp_path / "out.jsonl") as second:
        write(first, frame(0))
        write(second, frame(1))
    assert (tmp_path / "out.jsonl.partial").read_text() == "precious"
    assert files(tmp_path) == ["out.jsonl", "out.jsonl.partial"]


def test_expressions_and_gaze_are_in_the_json_and_last_in_the_csv(tmp_path):
    values, gaze = {name: i / 100 for i, name in enumerate(EXPRESSIONS)}, np.array([[0.1, 0.2], [-0.1, 0.05]])
    face = dataclasses.replace(FACE, expressions=values, gaze=gaze)
    with JsonLinesSink(tmp_path / "out.jsonl") as lines, CsvSink(tmp_path / "out.csv", expressions=True) as table:
        for sink in (lines, table):
            sink.write(frame(0), [face])
            sink.write(frame(1), [])
    (record,) = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["faces"]
    assert record["expressions"] == values
    assert record["gaze"] == gaze.tolist()
    row, empty = csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert list(row)[-56:] == [*EXPRESSIONS, "gaze_left_yaw", "gaze_left_pitch", "gaze_right_yaw", "gaze_right_pitch"]
    assert float(row["jawOpen"]) == values["jawOpen"]
    assert [float(row[name]) for name in list(row)[-4:]] == [0.1, 0.2, -0.1, 0.05]
    assert set(list(empty.values())[-56:]) == {""}
    with CsvSink(tmp_path / "out.csv", expressions=True) as sink, pytest.raises(SinkError, match="without expressions"):
        sink.write(frame(0), [FACE])
