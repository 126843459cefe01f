"""Frames that a file claims, and files without their end."""

import struct

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import open_source
from edge_runtime.sources.containers import Contents, inspect_video

FRAMES = 12


@pytest.fixture(params=["a.mp4", "front.mp4", "mjpeg.avi", "xvid.avi", "a.mkv", "a.gif", "a.webp", "a.png"])
def clip(request, tmp_path):
    """A clip of 12 frames that OpenCV writes, or with its tables before its frames."""
    base = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    images = [np.roll(base, 4 * i, axis=1) for i in range(FRAMES)]
    path = tmp_path / request.param
    if path.suffix in (".gif", ".webp", ".png"):
        if not hasattr(cv2, "imdecodeanimation"):
            pytest.skip("this OpenCV writes no animations")
        animation = cv2.Animation()
        animation.frames = [np.dstack([image, np.full((48, 64), 255, np.uint8)]) for image in images]
        animation.durations = np.full(FRAMES, 100, np.int32)
        cv2.imwriteanimation(str(path), animation, [])
        return path
    codec = "MJPG" if path.stem == "mjpeg" else "XVID" if path.suffix in (".avi", ".mkv") else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (64, 48))
    for image in images:
        writer.write(image)
    writer.release()
    if path.stem == "front":
        move_tables_to_the_front(path)
    return path


def move_tables_to_the_front(path):
    """Move the `moov` box of an MP4 file before `mdat`, as for streaming."""
    data = path.read_bytes()
    boxes, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        boxes.append(bytearray(data[at : at + length]))
        at += length
    moov = next(box for box in boxes if box[4:8] == b"moov")
    at = moov.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", moov, at)
    for place in range(at + 4, at + 4 + 4 * count, 4):
        struct.pack_into(">I", moov, place, struct.unpack_from(">I", moov, place)[0] + len(moov))
    rest = [box for box in boxes if box is not moov]
    path.write_bytes(rest[0] + moov + b"".join(rest[1:]))


def test_a_whole_clip_is_not_accused(clip):
    with open_source(clip) as source:
        assert len(list(source)) == FRAMES
        assert source.incomplete is None


def test_every_cut_is_an_error_or_noticed(clip):
    whole = clip.read_bytes()
    for length in [*np.linspace(1, len(whole) - 1, 25).astype(int), len(whole) - 1, len(whole) - 5]:
        clip.write_bytes(whole[:length])
        try:
            with open_source(clip) as source:
                read = len(list(source))
                assert source.incomplete is not None, f"{read} frames of {length} bytes"
        except SourceError:
            pass


def test_lost_frames_are_noticed(clip):
    if clip.suffix == ".gif":
        pytest.skip("this format does not count frames")
    whole = clip.read_bytes()
    rng = np.random.default_rng(2)
    allowed = 1 if clip.stem == "xvid" else 0
    for _ in range(40):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole) // 20, len(whole), 20):
            damaged[at] = rng.integers(256)
        clip.write_bytes(damaged)
        try:
            with open_source(clip) as source:
                read = len(list(source))
                assert source.incomplete is not None or read >= FRAMES - allowed
        except SourceError:
            pass


def test_the_message_counts_the_frames(tmp_path, write_video):
    path = write_video([10, 60, 110, 160, 210], "in.avi")
    whole = path.read_bytes()
    # All but the index: the third frame's chunk is cleared.
    at = [i for i in range(len(whole)) if whole[i : i + 4] == b"00dc"][2]
    (length,) = struct.unpack_from("<I", whole, at + 4)
    path.write_bytes(whole[: at + 8] + bytes(length) + whole[at + 8 + length :])
    with open_source(path) as source:
        read = len(list(source))
        assert source.incomplete == f"{read} of 5 frames could be read: {path} is damaged or cut"
        assert read < 5


def test_a_damaged_chunk_of_an_avi_file_is_noticed(tmp_path, write_video):
    path = write_video([10, 60, 110], "in.avi")
    whole = path.read_bytes()
    at = whole.index(b"movi") - 8
    path.write_bytes(whole[:at] + bytes(16) + whole[at + 16 :])
    assert inspect_video(path).cut
    path.write_bytes(whole + bytes(100))
    assert inspect_video(path) == Contents(3)


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def movie(shown, start=0, frames=50):
    """An MP4 file of 2 s whose edit list shows `shown` milliseconds from the media time `start` on."""
    header = bytes(12) + struct.pack(">II", 1000, 2000)
    times = box(b"stbl", box(b"stts", struct.pack(">I I 2I", 0, 1, frames, 40)))
    media = box(b"mdia", box(b"mdhd", header), box(b"hdlr", bytes(8), b"vide"), box(b"minf", times))
    edits = box(b"edts", box(b"elst", struct.pack(">IIIiI", 0, 1, shown, start, 1 << 16)))
    return box(b"ftyp", b"isom") + box(b"moov", box(b"mvhd", header), box(b"trak", edits, media))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(movie(2000), Contents(50), id="all frames"),
        pytest.param(movie(1980, 20), Contents(50), id="a start that B-frames delay"),
        pytest.param(movie(1000), Contents(None), id="a trimmed recording"),
        pytest.param(movie(2000) + b"appended by a phone", Contents(50), id="something behind the end"),
        pytest.param(movie(2000) + struct.pack(">I4s", 0, b"mdat") + b"frames", Contents(50), id="open end"),
        pytest.param(movie(2000) + struct.pack(">I4s", 500, b"mdat") + b"frames", Contents(50, True), id="cut"),
    ],
)
def test_an_edit_list_may_hide_frames(tmp_path, content, found):
    (tmp_path / "a.mp4").write_bytes(content)
    assert inspect_video(tmp_path / "a.mp4") == found


def test_a_frame_of_an_absurd_size_is_refused(tmp_path, clip):
    if clip.suffix != ".gif":
        pytest.skip("the others' sizes are in their frames, too")
    content = clip.read_bytes()
    clip.write_bytes(content[:6] + struct.pack("<2H", 60000, 60000) + content[10:])
    with pytest.raises(SourceError, match="declares 60000 x 60000 pixels"):
        open_source(clip)


@pytest.mark.parametrize(("read", "found"), [(0, "only 0 frames"), (1, "only 1 frame"), (2, "only 2 frames")])
def test_a_cut_file_says_how_many_frames_were_read(read, found):
    assert Contents(cut=True).shortfall(read, "a.avi") == f"{found} could be read: a.avi is damaged or cut"
