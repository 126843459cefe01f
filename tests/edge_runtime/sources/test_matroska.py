"""Frames that the structure of a Matroska file holds."""

import cv2
import numpy as np
import pytest

from edge_runtime.sources import open_source
from edge_runtime.sources.containers import Contents, inspect_video

UNKNOWN = b"\x01" + b"\xff" * 7


def element(identifier, *parts, size=None):
    body = b"".join(parts)
    return bytes.fromhex(identifier) + (size or (len(body) | 1 << 56).to_bytes(8, "big")) + body


def track(number, kind=1, codec=b"V_VP8"):
    return element("ae", element("d7", bytes([number])), element("83", bytes([kind])), element("86", codec))


def block(number=1, flags=0, body=b"\x10frame"):
    return element("a3", bytes([0x80 | number, 0, 0, flags]), body)


HEAD = element("1a45dfa3", b"abcd")
TRACKS = element("1654ae6b", track(2, kind=2), track(1), track(3))
GROUP = element("a0", element("9b", b"\x28"), element("a1", b"\x81\0\0\0\x10frame"))
CLUSTER = element("1f43b675", element("e7", b"\0"), block(), block(2), GROUP, block(3), block(flags=0x80))
VOID = element("ec", bytes(20))


def segment(*parts, size=None):
    return HEAD + element("18538067", *parts, size=size)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(segment(VOID, TRACKS, CLUSTER, CLUSTER), Contents(6), id="the first video track's"),
        pytest.param(segment(TRACKS, CLUSTER) + b"appended", Contents(3), id="something behind the end"),
        pytest.param(segment(TRACKS, CLUSTER, size=UNKNOWN), Contents(3), id="a live recording"),
        pytest.param(
            segment(TRACKS, *[element("1f43b675", block(), size=UNKNOWN)] * 2, VOID, size=UNKNOWN),
            Contents(2),
            id="a live recording with clusters of unknown size",
        ),
        pytest.param(segment(TRACKS, CLUSTER, block(), size=UNKNOWN), Contents(None), id="live, and unknown"),
        pytest.param(segment(TRACKS, CLUSTER, size=UNKNOWN)[:-3], Contents(None, True), id="a cut live recording"),
        pytest.param(segment(TRACKS, element("1f43b675", block(body=b"\0"))), Contents(0), id="a hidden frame"),
        pytest.param(segment(TRACKS, element("1f43b675", block(body=b""))), Contents(0), id="an empty frame"),
        pytest.param(segment(TRACKS, element("1f43b675", block(flags=2, body=b"\4"))), Contents(5), id="a laced block"),
        pytest.param(segment(CLUSTER), Contents(None, True), id="no tracks"),
        pytest.param(segment(size=b"\x80") + TRACKS + CLUSTER, Contents(None, True), id="a segment that ends at once"),
        pytest.param(segment(TRACKS, CLUSTER, b"\xec" + bytes(9)), Contents(None, True), id="a damaged size"),
        pytest.param(HEAD[:4] + b"\x01" + b"\xfe" * 7, Contents(None, True), id="a header without end"),
        pytest.param(
            segment(element("1654ae6b", track(1, codec=b"V_MS/VFW/FOURCC"), track(2), track(3)), CLUSTER),
            Contents(2),
            id="a stream of an AVI file",
        ),
        pytest.param(segment(TRACKS, CLUSTER)[:-1], Contents(None, True), id="cut"),
        pytest.param(segment(TRACKS, CLUSTER, size=b"\x88"), Contents(None, True), id="a child larger than its parent"),
        pytest.param(segment(TRACKS, element("1f43b676", block())), Contents(None, True), id="a damaged name"),
        pytest.param(segment(TRACKS, element("1f43b675", b"\0\0\0")), Contents(None, True), id="zeros"),
        pytest.param(segment(element("1654ae6b", b"\xae\x90")), Contents(None, True), id="a track that ends early"),
        pytest.param(segment(TRACKS, element("1f43b675", block(9))), Contents(None, True), id="a block of no track"),
        pytest.param(segment(TRACKS, element("1f43b675", b"\xa3\x81\x81")), Contents(None, True), id="a short block"),
        pytest.param(HEAD, Contents(None, True), id="the header alone"),
    ],
)  # fmt: skip
def test_frames_of_the_structure(tmp_path, content, found):
    (tmp_path / "a.mkv").write_bytes(content)
    assert inspect_video(tmp_path / "a.mkv") == found


def test_a_frame_that_does_not_decode_is_missed(tmp_path):
    path = tmp_path / "a.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    base = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for step in range(8):
        writer.write(np.roll(base, 4 * step, axis=1))
    writer.release()
    content = path.read_bytes()
    start = content.index(b"\0\0\x01\xb6", content.index(b"\0\0\x01\xb6") + 4)  # the second frame
    path.write_bytes(content[:start] + bytes(8) + content[start + 8 :])
    with open_source(path) as source:
        read = len(list(source))
        assert read < 8
        assert source.incomplete == f"{read} of 8 frames could be read: {path} is damaged or cut"
