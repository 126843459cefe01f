"""What the structure of a video or animation says: how many frames it holds, and whether its end is there.

Decoders end at a cut or damaged place as they do at the end. So both are read from the file's own tables.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import SourceError
from edge_runtime.reading import open_regular
from edge_runtime.sources.matroska import inspect_matroska

MAX_TABLE_BYTES = 2**28
"""Maximum size of a table that is read; an hour of video has some megabytes."""
_MAX_CHUNKS = 10**6
"""Maximum number of chunks that are walked through."""
_MP4_BOXES = frozenset(b"ftyp moov mdat free skip wide moof mfra sidx uuid udta meta".split())
_HIDDEN_AVI_CODECS = (b"XVID", b"DIVX", b"DX50", b"FMP4", b"MP4V")
"""Codecs whose files may hold a chunk more than frames: they pack two frames into one chunk."""


@dataclass(frozen=True)
class Contents:
    """What a file claims."""

    frames: int | None = None
    """Exact number of frames; None if the file has only an estimate, or leaves some out by an edit list."""
    cut: bool = False
    """Whether the end is missing, or the structure is damaged."""

    def shortfall(self, read: int, name: str) -> str | None:
        """Return what is missing if the file `name` ended after `read` frames; None if nothing is."""
        if self.frames is not None and read < self.frames:
            return f"{read} of {self.frames} frames could be read: {name} is damaged or cut"
        noun = "frame" if read == 1 else "frames"
        return f"only {read} {noun} could be read: {name} is damaged or cut" if self.cut else None


def inspect_video(path: Path) -> Contents:
    """Read the tables of an MP4, QuickTime, AVI, Matroska, GIF, WebP, or PNG file; others claim nothing.

    SourceError or OSError if the file cannot be read.
    """
    with open_regular(path, SourceError) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(16)
        try:
            if head[4:8] in _MP4_BOXES:
                return _mp4(file, size)
            if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
                return _avi(file, size)
            if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                return _webp(file, size)
            if head.startswith(b"\x1a\x45\xdf\xa3"):
                return Contents(*inspect_matroska(file, size))
            if head.startswith(b"GIF8"):
                return _gif(file)
            if head.startswith(b"\x89PNG"):
                return _png(file, size)
        except (struct.error, IndexError, ZeroDivisionError):  # a table that ends early
            return Contents(None, True)
    return Contents()


def _mp4(file: BinaryIO, size: int) -> Contents:
    at, cut, movie = 0, False, b""
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        length, kind = struct.unpack_from(">I4s", head)
        if length == 1:
            (length,) = struct.unpack_from(">Q", head, 8)
        if kind not in _MP4_BOXES:  # something else was appended
            break
        if kind == b"moov" and length <= MAX_TABLE_BYTES:
            file.seek(at)
            movie = file.read(length)
        cut = length != 0 and at + length > size  # 0: to the end
        if length < 8 or cut:
            break
        at += length
    frames = None if cut and len(movie) == 0 else _mp4_frames(movie)
    return Contents(frames, cut)


def _mp4_frames(movie: bytes) -> int | None:
    """Return the number of frames of the only video track; None if there are several, or an edit list hides some."""
    (scale,) = _header_values(_box(movie[8:], b"mvhd"))[:1] or (0,)
    tracks = [body for kind, body in _boxes(movie[8:]) if kind == b"trak"]
    videos = [track for track in tracks if _box(track, b"mdia", b"hdlr")[8:12] == b"vide"]
    if len(videos) != 1 or not scale:
        return None
    track = videos[0]
    times = _box(track, b"mdia", b"minf", b"stbl", b"stts")
    (entries,) = struct.unpack_from(">I", times, 4)
    frames = sum(int(count) for count, _ in struct.iter_unpack(">2I", times[8 : 8 + 8 * entries]))
    media_scale, duration = _header_values(_box(track, b"mdia", b"mdhd"))
    edits = _box(track, b"edts", b"elst")
    if not frames or not media_scale:  # in fragments
        return None
    if edits:
        step = ">qqI" if edits[0] else ">IiI"
        (entries,) = struct.unpack_from(">I", edits, 4)
        rows = list(struct.iter_unpack(step, edits[8 : 8 + struct.calcsize(step) * entries]))
        shown = sum(length for length, start, _ in rows if start >= 0) / scale
        whole = duration / media_scale
        if shown < whole * (1 - 1.5 / frames):
            return None
    return frames


def _header_values(header: bytes) -> tuple[int, ...]:
    """Return time scale and duration of an `mvhd` or `mdhd` box."""
    if not header:
        return ()
    return struct.unpack_from(">IQ", header, 20) if header[0] else struct.unpack_from(">II", header, 12)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8:
            return
        yield kind, content[at + 8 : at + length]
        at += length


def _box(content: bytes, *path: bytes) -> bytes:
    """Return the body of the first box at a path; empty without."""
    for name in path:
        content = next((body for kind, body in _boxes(content) if kind == name), b"")
    return content


def _avi(file: BinaryIO, size: int) -> Contents:
    at, end, riffs, cut = 0, 0, 0, False
    index, codec = b"", b""
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(12)
        if len(head) < 8:
            break
        kind, length = struct.unpack_from("<4sI", head)
        if kind == b"RIFF":
            riffs += 1
            end = at + 8 + length
            cut = cut or end > size
            at += 12
            continue
        if not (kind.isascii() and kind.decode("ascii").isprintable()):  # damaged, or something else was appended
            cut = cut or at < end
            break
        if kind == b"LIST" and head[8:12] == b"hdrl" and length <= MAX_TABLE_BYTES:
            header = file.read(length)
            place = header.find(b"vids")
            codec = header[place + 4 : place + 8].upper()
        elif kind == b"idx1" and length <= MAX_TABLE_BYTES:
            file.seek(at + 8)
            index = file.read(length)
        at += 8 + length + length % 2
    entries = struct.iter_unpack("<4s3I", index[: len(index) // 16 * 16])
    filled = [name[:2] for name, _, _, length in entries if name[2:] in (b"dc", b"db") and length]
    frames = filled.count(min(filled)) if filled and riffs == 1 else None
    if frames is not None and codec in _HIDDEN_AVI_CODECS:
        frames -= 1
    return Contents(frames, cut)


def _webp(file: BinaryIO, size: int) -> Contents:
    at, names = 12, []
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        names.append(name)
        at += 8 + length + length % 2
    if b"ANIM" not in names:
        return Contents(None, at > size)
    # A frame whose name is damaged counts, too.
    frames = [name for name in names[names.index(b"ANIM") + 1 :] if name not in (b"EXIF", b"XMP ")]
    return Contents(len(frames), at > size)


def _gif(file: BinaryIO) -> Contents:
    frames = 0
    file.seek(10)
    flags = file.read(3)[0]
    file.seek(3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0, os.SEEK_CUR)
    for _ in range(_MAX_CHUNKS):
        kind = file.read(1)
        if kind == b"\x3b":
            return Contents(frames)
        if kind == b"\x21":
            file.seek(1, os.SEEK_CUR)
        elif kind == b"\x2c":
            flags = file.read(9)[8]
            file.seek(1 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0), os.SEEK_CUR)
            frames += 1
        else:  # the end, or damaged
            return Contents(frames, True)
        while length := file.read(1)[0]:
            file.seek(length, os.SEEK_CUR)
    return Contents()


def _png(file: BinaryIO, size: int) -> Contents:
    frames, at = None, 8
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
        at += 12 + length
        if kind == b"IEND" or at > size:
            return Contents(frames, at > size)
    return Contents(frames)
