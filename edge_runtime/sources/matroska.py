"""What the structure of a Matroska or WebM file says: how many frames it holds, and whether it is whole.

The file is a tree of elements: an identifier, a size, and a body. Bodies of frames are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

_MAX_ELEMENTS = 200_000
"""Maximum number of elements that are walked through, in a second; half an hour of video with sound has 150,000."""
_MAX_TRACKS_BYTES = 2**24
"""Maximum size of the description of the tracks; fonts and images are elsewhere."""
_SEGMENT, _CLUSTER, _BLOCK_GROUP, _TRACKS, _TRACK = 0x18538067, 0x1F43B675, 0xA0, 0x1654AE6B, 0xAE
_SIMPLE_BLOCK, _BLOCK = 0xA3, 0xA1
_TRACK_NUMBER, _TRACK_TYPE, _CODEC = 0xD7, 0x83, 0x86
_VIDEO = b"\1"
_HEAD = 32
"""Number of bytes that are read of an element: identifier, size, and a block's track, time, flags, and first byte."""
_ANYWHERE = {0xEC, 0xBF}
"""Padding and checksums."""
_CHILDREN = {
    # Table of contents, times, tracks, clusters, index, attached files, chapters, tags.
    _SEGMENT: _ANYWHERE
    | {0x114D9B74, 0x1549A966, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367},
    # Time, silent tracks, position, size of the previous one, blocks.
    _CLUSTER: _ANYWHERE | {0xE7, 0x5854, 0xA7, 0xAB, _SIMPLE_BLOCK, _BLOCK_GROUP, 0xAF},
    # Block, additions, duration, references, state of the codec, padding, slices.
    _BLOCK_GROUP: _ANYWHERE
    | {_BLOCK, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8},
}  # fmt: skip
"""Identifiers of what an element may hold."""
_LACED = 0x06
"""Flags of a block with several frames: their number follows, less one."""
_AVI_CODEC = b"V_MS/VFW/FOURCC"
"""A stream of an AVI file: some have a block more than frames, since they pack two frames into one."""
_VP8, _VP8_SHOWN = b"V_VP8", 0x10
"""A codec with frames that are decoded only, and the bit of the others' first byte."""


def inspect_matroska(file: BinaryIO, size: int) -> tuple[int | None, bool]:
    """Return the number of frames of the first video track, None if unknown; and whether something is damaged or cut.

    IndexError if an element is damaged or ends early.
    """
    _, at, length, _ = _element(file, 0)
    if length is None or at + length > size:
        return None, True
    identifier, at, length, _ = _element(file, at + length)
    if identifier != _SEGMENT or (length is not None and at + length > size):
        return None, True
    # Elements around the position with their ends; None: unknown, recorded live.
    around: list[tuple[int, int | None]] = [(_SEGMENT, None if length is None else at + length)]
    frames, tracks = 0, _Tracks(())
    for _ in range(_MAX_ELEMENTS):
        while around and around[-1][1] == at:
            around.pop()
        if not around or at == size:
            return (None, True) if tracks.video is None else (frames - tracks.spare, False)
        identifier, body, length, head = _element(file, at)
        if around[-1] == (_CLUSTER, None) and identifier in _CHILDREN[_SEGMENT] - _ANYWHERE:
            around.pop()
        parent, parent_end = around[-1]
        if identifier not in _CHILDREN[parent]:
            return None, parent_end is not None
        end = None if length is None else body + length
        last = next((end for _, end in reversed(around) if end is not None), size)
        if (end is None and identifier != _CLUSTER) or (end is not None and end > last):
            return None, True
        if identifier == _TRACKS:
            file.seek(body)
            tracks = _Tracks.parse(file.read(min(length or 0, _MAX_TRACKS_BYTES)))
        elif identifier in (_SIMPLE_BLOCK, _BLOCK):
            frames += tracks.frames_of(head[:length])
        if end is None or identifier in (_CLUSTER, _BLOCK_GROUP):
            around.append((identifier, end))
            at = body
        else:
            at = end
    return None, False


@dataclass(frozen=True)
class _Tracks:
    """The tracks of a file."""

    numbers: Sequence[int]
    video: int | None = None
    """Number of the first video track."""
    codec: bytes = b""
    """Its codec."""

    @classmethod
    def parse(cls, content: bytes) -> _Tracks:
        """Parse the element's body. IndexError if it is damaged."""
        tracks = [dict(_elements(body)) for identifier, body in _elements(content) if identifier == _TRACK]
        numbers = [int.from_bytes(track[_TRACK_NUMBER], "big") for track in tracks if _TRACK_NUMBER in track]
        videos = [track for track in tracks if track.get(_TRACK_TYPE) == _VIDEO and _TRACK_NUMBER in track]
        if not videos:
            return cls(numbers)
        return cls(numbers, int.from_bytes(videos[0][_TRACK_NUMBER], "big"), videos[0].get(_CODEC, b""))

    @property
    def spare(self) -> int:
        """Number of blocks that may have no frame of their own."""
        return int(self.codec.startswith(_AVI_CODEC))

    def frames_of(self, block: bytes) -> int:
        """Return how many frames of the first video track a block holds, by its first bytes.

        IndexError if it is damaged, or of no track.
        """
        number, at = _vint(block, 0)
        if self.numbers and number not in self.numbers:
            raise IndexError
        flags, content = block[at + 2], block[at + 3 :]
        if number != self.video or not content:
            return 0
        if flags & _LACED:
            return content[0] + 1
        return int(self.codec != _VP8 or bool(content[0] & _VP8_SHOWN))


def _elements(content: bytes) -> list[tuple[int, bytes]]:
    """Return identifiers and bodies. IndexError if the last one ends early."""
    found, at = [], 0
    while at < len(content):
        identifier, at = _identifier(content, at)
        length, at = _vint(content, at)
        if length is None or at + length > len(content):
            raise IndexError
        found.append((identifier, content[at : at + length]))
        at += length
    return found


def _element(file: BinaryIO, at: int) -> tuple[int, int, int | None, bytes]:
    """Return identifier, place of the body, size (None: unknown), and first bytes of the element at a place."""
    file.seek(at)
    head = file.read(_HEAD)
    identifier, place = _identifier(head, 0)
    length, place = _vint(head, place)
    return identifier, at + place, length, head[place:]


def _identifier(content: bytes, at: int) -> tuple[int, int]:
    """Return the identifier at a place, and the place behind it."""
    end = at + 9 - content[at].bit_length()
    if not content[at] or end > len(content):
        raise IndexError
    return int.from_bytes(content[at:end], "big"), end


def _vint(content: bytes, at: int) -> tuple[int | None, int]:
    """Return the number at a place, None if all its bits are set, and the place behind it."""
    value, end = _identifier(content, at)
    bits = 7 * (end - at)
    value -= 1 << bits
    return (None if value == (1 << bits) - 1 else value), end
