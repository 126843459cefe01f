"""Images, videos, animations, and folders, as sources of frames."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from hypothesis import strategies as st

from edge_runtime import SourceError, open_source
from edge_runtime.sources import IMAGE_SUFFIXES
from tests.fuzz.mutations import of_bytes
from tests.fuzz.outcome import check
from tests.fuzz.target import Target, logged

FRAMES = 8
FOLDER_IMAGES = 4
SIDES = (0, 1, 255, 4096, 16_000, 30_000, 65_535, 2**31 - 1)
"""Declared widths and heights."""
EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""Exif data with an orientation of 6."""


def scene(step: int, width: int = 48, height: int = 32) -> np.ndarray:
    """Return a (height, width, 3) uint8 image of a disc that moves."""
    image = np.full((height, width, 3), 40, np.uint8)
    cv2.circle(image, (8 + 4 * step, height // 2), 6, (60, 120, 200), -1)
    return image


def _encoded(suffix: str, image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def _make_images(folder: Path) -> None:
    for suffix in IMAGE_SUFFIXES:
        (folder / f"color{suffix}").write_bytes(_encoded(suffix, scene(1)))
    alpha = cv2.cvtColor(scene(2), cv2.COLOR_BGR2BGRA)
    (folder / "alpha.png").write_bytes(_encoded(".png", alpha))
    (folder / "deep.png").write_bytes(_encoded(".png", scene(3).astype(np.uint16) << 8))
    (folder / "gray.tif").write_bytes(_encoded(".tif", scene(3)[..., 0]))
    (folder / "one.gif").write_bytes(_encoded(".gif", scene(1)))
    jpeg = _encoded(".jpg", scene(1))
    (folder / "turned.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(EXIF) + 2).to_bytes(2, "big") + EXIF + jpeg[2:])


def _make_videos(folder: Path) -> None:
    for name, code in (("clip.mp4", "mp4v"), ("clip.avi", "MJPG"), ("clip.mkv", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 25, (48, 32))
        for step in range(FRAMES):
            writer.write(scene(step))
        writer.release()


def _make_animations(folder: Path) -> None:
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(scene(step), cv2.COLOR_BGR2BGRA) for step in range(FRAMES)]
    animation.durations = np.full(FRAMES, 40)
    for suffix in (".gif", ".webp", ".png"):
        cv2.imwriteanimation(str(folder / f"moving{suffix}"), animation)


def _make_folder(folder: Path) -> None:
    for step, suffix in enumerate((".png", ".jpg", ".webp", ".bmp")[:FOLDER_IMAGES]):
        (folder / f"{step}{suffix}").write_bytes(_encoded(suffix, scene(step)))


def _play(source: Path) -> tuple[int, int | None, str | None]:
    """Return the numbers of frames that a source gives and reports, and what it says is missing.

    Frames must be valid, and their times must increase.
    """
    count, last = 0, -1.0
    with open_source(source) as frames:
        for frame in frames:
            check(frame.image.dtype == np.uint8 and frame.image.ndim == 3, f"a frame is {frame.image.dtype}")
            check(np.isfinite(frame.timestamp) and frame.timestamp > last, f"time {frame.timestamp} after {last}")
            count, last = count + 1, frame.timestamp
        return count, frames.expected, frames.incomplete


def _read_file(_: Path, file: Path) -> str:
    """Return whether the frames that the file reports were read, or it is said that some are missing."""
    with logged() as messages:
        count, expected, missing = _play(file)
    return "told" if count >= (expected or 0) or missing or messages else "cut without a word"


def _read_folder(folder: Path, file: Path) -> str:
    with logged() as messages:
        count, _, missing = _play(folder)
    named = any(file.name in message for message in messages)
    return "told" if count == FOLDER_IMAGES or missing or named else "cut without a word"


def _of_image(content: bytes) -> st.SearchStrategy[bytes]:
    """Return damaged images, and images that declare another size."""
    resize = next((change for head, change in _DECLARED.items() if content.startswith(head)), None)
    if resize is None:
        return of_bytes(content)
    sides = st.sampled_from(SIDES)
    return st.one_of(of_bytes(content), st.builds(lambda w, h: resize(content, w, h), sides, sides))


def _jpeg(content: bytes, width: int, height: int) -> bytes:
    at = content.index(b"\xff\xc0")
    size = (height % 2**16).to_bytes(2, "big") + (width % 2**16).to_bytes(2, "big")
    return content[: at + 5] + size + content[at + 9 :]


def _png(content: bytes, width: int, height: int) -> bytes:
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


def _bmp(content: bytes, width: int, height: int) -> bytes:
    return content[:18] + width.to_bytes(4, "little") + height.to_bytes(4, "little") + content[26:]


def _gif(content: bytes, width: int, height: int) -> bytes:
    size = (width % 2**16).to_bytes(2, "little") + (height % 2**16).to_bytes(2, "little")
    at = content.index(b"\x2c\0\0\0\0")  # the first frame has a size, too
    return content[:6] + size + content[10 : at + 5] + size + content[at + 9 :]


def _webp(content: bytes, width: int, height: int) -> bytes:
    if content[12:16] == b"VP8X":
        size = (width % 2**24).to_bytes(3, "little") + (height % 2**24).to_bytes(3, "little")
        return content[:24] + size + content[30:]
    if content[12:16] == b"VP8L":
        sides = (width - 1) % 2**14 | (height - 1) % 2**14 << 14 | content[24] >> 4 << 28
        return content[:21] + sides.to_bytes(4, "little") + content[25:]
    size = (width % 2**14).to_bytes(2, "little") + (height % 2**14).to_bytes(2, "little")
    return content[:26] + size + content[30:]


_DECLARED: dict[bytes, Callable[[bytes, int, int], bytes]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG": _png,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"RIFF": _webp,
}

TARGETS = (
    Target("image", _make_images, lambda _, file: _play(file), (SourceError,), _of_image, weight=2.0),
    Target("video", _make_videos, _read_file, (SourceError,), of_bytes, compared=True, weight=2.0),
    Target("animation", _make_animations, _read_file, (SourceError,), _of_image, compared=True),
    Target("folder-of-images", _make_folder, _read_folder, (SourceError,), _of_image, compared=True),
)
