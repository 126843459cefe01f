"""What `open_source` takes."""

import os

import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import open_source


def test_open_source_rejects_sources_without_frames(tmp_path, write_video):
    with pytest.raises(SourceError, match=r"no such file: absent.mp4"):
        open_source("absent.mp4")
    with pytest.raises(SourceError, match="holds no images"):
        open_source(str(tmp_path))
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(SourceError, match=r"empty\.mp4 is empty"):
        open_source(str(empty))
    text = tmp_path / "text.mp4"
    text.write_text("this is no video" * 100)
    with pytest.raises(SourceError, match=r"text\.mp4 is not a video"):
        open_source(str(text))
    whole = write_video([10] * 5, "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"cut\.mp4"):
        open_source(str(tmp_path / "cut.mp4"))
    with pytest.raises(SourceError, match=r"gives no frames|not a video"):
        open_source(str(write_video([], "none.avi")))
    (tmp_path / "bad.png").write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"bad\.png gives no frames: it is empty, damaged, or not a video or image"):
        list(open_source(str(tmp_path / "bad.png")))


def test_open_source_says_what_it_takes():
    for name in ("gone", "x" * 5000, "a\0b"):
        with pytest.raises(SourceError, match=r"no such file: .*expected a camera number, /dev/video0, picamera2:0"):
            open_source(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_open_source_rejects_what_is_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="pipe is not a regular file"):
        open_source(str(tmp_path / "pipe"))
