"""Overlays as videos, images, and folders."""

import collections
import os
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SinkError
from edge_runtime.sinks import overlays
from edge_runtime.sinks.overlays import FolderSink, ImageSink, VideoSink, fit_into, is_complete, open_overlay_sink
from edge_runtime.sources import Frame, open_source


def frame(index: int, value: int = 100, size: tuple[int, int] = (64, 48), time: float | None = None) -> Frame:
    image = np.full((size[1], size[0], 3), value, np.uint8)
    return Frame(image, index / 25 if time is None else time, index)


def write(sink, *frames: Frame) -> None:
    for f in frames:
        sink.write(f, f.image)


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


def test_video_keeps_its_size_when_frames_change_theirs(tmp_path):
    with VideoSink(tmp_path / "out.avi", 25) as sink:
        write(sink, frame(0), frame(1, size=(300, 50)), frame(2, size=(10, 90)))
    assert {f.image.shape for f in open_source(str(tmp_path / "out.avi"))} == {(48, 64, 3)}


def test_sinks_write_nothing_without_frames(tmp_path):
    for sink in (VideoSink(tmp_path / "a.mp4", 25), ImageSink(tmp_path / "a.png"), FolderSink(tmp_path / "a")):
        with sink:
            pass
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_a_folder_is_refused_before_the_first_frame(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(SinkError, match="it is a folder"):
        open_overlay_sink(tmp_path / name, 25, 1)
    assert files(tmp_path) == [name]


def test_an_image_that_cannot_be_written_says_why(tmp_path):
    sink = ImageSink(tmp_path / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(SinkError, match="it is a folder"):
        write(sink, frame(0))


def test_a_file_is_refused_as_a_folder_before_the_first_frame(tmp_path):
    (tmp_path / "many").write_text("precious")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "many", tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(SinkError, match=r"it is not a folder; give a folder, \.mp4"):
            open_overlay_sink(path, 25, None)
    with pytest.raises(SinkError, match="cannot create the folder"):
        FolderSink(tmp_path / "none" / "many")
    assert (tmp_path / "many").read_text() == "precious"


@pytest.mark.parametrize("name", ["pipe.mp4", "pipe.png"])
def test_a_video_or_an_image_goes_to_no_pipe(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SinkError, match="a device or a pipe; give a file's name"):
        open_overlay_sink(tmp_path / name, 25, 1)
    assert files(tmp_path) == [name]


@pytest.mark.parametrize("name", ["out.mp4", "out.png"])
def test_links_and_modes_stay(tmp_path, name):
    (tmp_path / "real").mkdir()
    earlier = tmp_path / "real" / name
    earlier.touch(mode=0o640)
    (tmp_path / name).symlink_to(earlier)
    with open_overlay_sink(tmp_path / name, 25, 1) as sink:
        write(sink, frame(0, 100))
    assert (tmp_path / name).is_symlink()
    assert stat.S_IMODE(earlier.stat().st_mode) == 0o640
    assert next(iter(open_source(str(earlier)))).image.mean() == pytest.approx(100, abs=4)
    assert files(tmp_path / "real") == [name]


def test_images_of_earlier_runs_in_a_folder_are_told(tmp_path, caplog):
    for count in (3, 2):
        with FolderSink(tmp_path / "many") as sink:
            write(sink, *(frame(i) for i in range(count)))
    assert files(tmp_path / "many") == ["000000.png", "000001.png", "000002.png"]
    assert caplog.messages == [f"{tmp_path / 'many'} holds images that are not of this run: 1"]


def test_an_interrupt_before_the_first_frame_is_in_the_video_removes_the_file(tmp_path, monkeypatch):
    def interrupt(self, image):
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoSink, "_fit", interrupt)
    with pytest.raises(KeyboardInterrupt), VideoSink(tmp_path / "out.avi", 25) as sink:
        write(sink, frame(0))
    assert files(tmp_path) == []


def test_a_failure_of_the_end_does_not_hide_an_earlier_error(tmp_path, caplog):
    def run(error: Exception | None) -> None:
        with VideoSink(tmp_path / "out.avi", 25) as sink:
            write(sink, frame(0), frame(1))
            (partial,) = tmp_path.glob("*.part.avi")
            partial.unlink()
            if error is not None:
                raise error

    with pytest.raises(SinkError, match="the camera's"):
        run(SinkError("the camera's"))
    assert caplog.messages == [f"{tmp_path / 'out.avi'} could not be written completely: check the disk space"]
    with pytest.raises(SinkError, match=r"out\.avi could not be written completely"):
        run(None)


def test_a_video_that_cannot_take_its_place_names_it(tmp_path):
    sink = VideoSink(tmp_path / "out.avi", 25)
    write(sink, frame(0), frame(1))
    (tmp_path / "out.avi" / "sub").mkdir(parents=True)
    with pytest.raises(SinkError, match=r"cannot write \S*/out\.avi: "):
        sink.__exit__(None, None, None)
    assert files(tmp_path) == ["out.avi"]


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


def test_images_of_a_folder_keep_the_names_of_stills(tmp_path):
    with FolderSink(tmp_path / "many") as sink:
        for index, name in ((3, "b.jpg"), (12, "a.png")):
            sink.write(Frame(np.zeros((4, 4, 3), np.uint8), 0.0, index, name), np.zeros((4, 4, 3), np.uint8))
    assert files(tmp_path / "many") == ["000003_b.png", "000012_a.png"]


def test_fit_into_keeps_the_proportions():
    fitted = fit_into(np.full((10, 40, 3), 255, np.uint8), (80, 60))
    assert fitted.shape == (60, 80, 3)
    assert (fitted[20:40] == 255).all()
    assert fitted.sum() == 255 * 3 * 20 * 80


def read(path) -> tuple[float, list[int]]:
    """Return a video's duration in seconds and the brightness of its frames."""
    with open_source(str(path)) as source:
        shown = [round(f.image.mean()) for f in source]
        return len(shown) / source.fps, shown


@pytest.mark.parametrize("name", ["out.mp4", "out.avi"])
def test_a_video_lasts_as_long_as_the_recording_and_shows_frames_at_their_time(tmp_path, name):
    # A camera of 30 fps whose loop takes 90 ms or more per frame.
    times = np.cumsum([5.0, 0.09, 0.12, 0.09, 0.3, 0.09, 0.09, 0.1, 0.09, 0.11])
    with VideoSink(tmp_path / name, 30) as sink:
        write(sink, *(frame(i, 20 + 20 * i, time=float(time)) for i, time in enumerate(times)))
    duration, shown = read(tmp_path / name)
    assert duration == pytest.approx(times[-1] - times[0] + 0.11, abs=1 / 30)
    for i, time in enumerate(times - times[0]):
        assert shown[round(time * 30)] == pytest.approx(20 + 20 * i, abs=4)


def test_frames_between_two_ticks_are_left_out(tmp_path):
    with VideoSink(tmp_path / "out.avi", 10) as sink:
        write(sink, *(frame(i, 2 * i, time=i / 50) for i in range(100)))
    duration, shown = read(tmp_path / "out.avi")
    assert duration == pytest.approx(2.0, abs=0.11)
    assert np.abs(np.diff(shown[:-1]) - 10).max() <= 4


def test_a_slow_rate_is_raised_to_what_codecs_take(tmp_path):
    with VideoSink(tmp_path / "out.mp4", 0.1) as sink:
        write(sink, *(frame(i, 50 * i, time=10.0 * i) for i in range(3)))
    duration, shown = read(tmp_path / "out.mp4")
    assert duration == pytest.approx(20, abs=1)
    assert [shown[0], shown[10], shown[-1]] == pytest.approx([0, 50, 100], abs=4)


@pytest.mark.parametrize("fps", [145 / 12, 29.97002997, 23.976, 59.94, 119.88, 90.333, 240.0])
def test_every_rate_is_written_as_it_is(tmp_path, fps):
    with VideoSink(tmp_path / "out.mp4", fps) as sink:
        write(sink, *(frame(i, time=i / fps) for i in range(12)))
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert source.fps == pytest.approx(fps, abs=0.006)
        assert len(list(source)) == 12


def test_a_wrong_timestamp_does_not_fill_the_disk(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(overlays, "MAX_GAP_SECONDS", 2.0)
    with VideoSink(tmp_path / "out.avi", 10) as sink:
        write(
            sink, frame(0, 20, time=0.0), frame(1, 100, time=1e6), frame(2, 180, time=1e6 + 0.1), frame(3, 20, time=5)
        )
    _, shown = read(tmp_path / "out.avi")
    assert shown == pytest.approx([20] * 20 + [100, 20], abs=4)
    assert "are shortened to 2 s" in caplog.text


@pytest.mark.parametrize("name", ["out.mp4", "out.avi"])
@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48), (1, 1)])
def test_odd_sides_keep_their_last_pixels(tmp_path, name, size):
    width, height = size
    image = np.full((height, width, 3), 40, np.uint8)
    image[:, -1] = image[-1] = 220
    with VideoSink(tmp_path / name, 25) as sink:
        sink.write(frame(0), image)
    (saved,) = open_source(str(tmp_path / name))
    assert saved.image.shape == (height + height % 2, width + width % 2, 3)
    assert saved.image[:, width - 1].mean() > 180
    assert saved.image[height - 1].mean() > 180


def test_the_caller_may_reuse_its_image(tmp_path):
    image = np.empty((48, 64, 3), np.uint8)
    with VideoSink(tmp_path / "out.avi", 25) as sink:
        for i, value in enumerate((20, 100, 180)):
            image[:] = value
            sink.write(frame(i), image)
    assert read(tmp_path / "out.avi")[1] == pytest.approx([20, 100, 180], abs=4)


@pytest.fixture(params=[".mp4", ".avi"])
def whole(request, tmp_path):
    """A complete video of 20 frames."""
    path = tmp_path / f"whole{request.param}"
    with VideoSink(path, 25) as sink:
        write(sink, *(frame(i, 10 * i) for i in range(20)))
    return path


def test_completeness_is_seen_without_decoding(whole, tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(overlays, "open_capture", lambda path: reads.append(path) or Undecoded(path))
    assert is_complete(whole, 20)
    assert reads
    assert not is_complete(whole, 21)
    content, cut = whole.read_bytes(), tmp_path / f"cut{whole.suffix}"
    for damaged in (content[:-1], content[: len(content) // 2], content[:100] + content[150:], b"truncated", b""):
        cut.write_bytes(damaged)
        assert not is_complete(cut, 20), len(damaged)
    assert not is_complete(tmp_path / f"absent{whole.suffix}", 20)


class Undecoded:
    """Capture that must not be asked for frames."""

    def __init__(self, path):
        self._capture = cv2.VideoCapture(path)

    def get(self, what):
        return self._capture.get(what)

    def release(self):
        self._capture.release()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["out.mp4", "out.avi"])
def test_an_incomplete_video_is_removed_and_an_earlier_one_kept(tmp_path, name, error):
    (tmp_path / name).write_text("an earlier result")
    sink = VideoSink(tmp_path / name, 25)
    write(sink, *(frame(i, 10 * i) for i in range(20)))

    class FullDisk:
        """A writer whose disk is full in the end: part of the file is missing."""

        def __init__(self, writer):
            self.writer, self.write = writer, writer.write

        def release(self):
            self.writer.release()
            (partial,) = tmp_path.glob("*.part*")
            partial.write_bytes(partial.read_bytes()[:-40])

    sink._writer = FullDisk(sink._writer)
    with pytest.raises(SinkError, match="could not be written completely: check the disk space"):
        sink.__exit__(None, error, None)
    assert files(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "an earlier result"


@pytest.fixture
def free_space(monkeypatch):
    """Space on the disk, bytes: of each check in turn, then the last one."""
    usage = collections.namedtuple("usage", "free")
    space = [10**9]
    monkeypatch.setattr(overlays.shutil, "disk_usage", lambda path: usage(space.pop(0) if space[1:] else space[0]))
    return space


def test_a_video_stops_and_is_kept_before_the_disk_is_full(tmp_path, free_space):
    def record() -> None:
        with VideoSink(tmp_path / "out.avi", 25) as sink:
            write(sink, frame(0))
            free_space[:] = [10**9] * 60 + [10**6]
            write(sink, *(frame(i) for i in range(1, 200)))

    with pytest.raises(SinkError, match=r"cannot write more to .*out\.avi: 1 MB are left on its disk"):
        record()
    assert files(tmp_path) == ["out.avi"]
    assert len(read(tmp_path / "out.avi")[1]) == pytest.approx(60, abs=2)


def test_a_full_disk_is_known_before_the_first_frame(tmp_path, free_space):
    free_space[:] = [10**6]
    with pytest.raises(SinkError, match="1 MB are left on its disk"):
        VideoSink(tmp_path / "out.mp4", 25)
    assert files(tmp_path) == []


def test_a_file_named_as_temporary_ones_were_is_not_touched(tmp_path):
    (tmp_path / "out.partial.avi").write_text("precious")
    with VideoSink(tmp_path / "out.avi", 25) as sink:
        write(sink, frame(0))
    assert (tmp_path / "out.partial.avi").read_text() == "precious"
