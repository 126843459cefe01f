"""Still images, folders of them, and animated WebP."""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.decoding import MAX_IMAGE_BYTES, ImageError, check_image, decode_image
from edge_runtime.errors import SourceError
from edge_runtime.files import natural_key
from edge_runtime.opencv_log import silent_opencv
from edge_runtime.reading import read_bytes
from edge_runtime.sources.containers import inspect_video
from edge_runtime.sources.source import Frame, Source

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8")
_MOTION_JPEG_SUFFIXES = (".mjpg", ".mjpeg")
"""Videos that begin as a JPEG does."""
_DECODED_BYTES = 2**28
"""Maximum size of the frames of an animation that are decoded at a time."""
_SHORTEST_MS, _DEFAULT_MS = 10, 100
"""Frames of an animation up to the shortest duration take the default, as in browsers."""
_SHOWN_NAMES = 10
"""Maximum number of file names in a warning."""
_log = logging.getLogger(__name__)


def is_image(path: Path) -> bool:
    """Return whether a file's content begins as an image does, whatever its name."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    begins = head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    return begins and path.suffix.lower() not in _MOTION_JPEG_SUFFIXES


class ImageSource(Source):
    """Image files as frames, read during iteration."""

    stills = True
    skipped: list[str]

    def __init__(self, paths: Sequence[Path], skipped: Sequence[str] = ()) -> None:
        """Take the images' paths, and the names of other files that are not among them."""
        self._paths = paths
        self.length = self.expected = len(paths)
        self.skipped = list(skipped)

    @classmethod
    def folder(cls, path: Path) -> ImageSource:
        """Open the images of a folder in natural order: 2 before 10. SourceError if it has none.

        Files count as images by their content or their name. A warning names the others; hidden ones are ignored.
        """
        paths, others = [], []
        for entry in sorted(path.iterdir(), key=natural_key):
            if entry.is_file() and (entry.suffix.lower() in IMAGE_SUFFIXES or is_image(entry)):
                paths.append(entry)
            elif not entry.name.startswith("."):
                others.append(entry.name)
        if not paths:
            raise SourceError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
        if others:
            _log.warning("skipped in %s, not images: %s", path, shorten(others))
        return cls(paths, others)

    def __iter__(self) -> Iterator[Frame]:
        read, unread = 0, 0
        for index, path in enumerate(self._paths):
            try:
                image = read_image(path)
            except SourceError as error:
                if len(self._paths) == 1:
                    raise
                _log.warning("skipped: %s", error)
                self.skipped.append(path.name)
                unread += 1
                continue
            yield Frame(image, index / self.fps, index, path.name)
            read += 1
        if read == 0:
            raise SourceError(f"none of the {len(self._paths)} images in {self._paths[0].parent} can be read")
        if unread:
            self.incomplete = f"{read} of {len(self._paths)} images could be read: the others are damaged"


class AnimationSource(Source):
    """Frames of an animated WebP at their times."""

    def __init__(self, path: Path, count: int) -> None:
        """Read a file that reports this number of frames. SourceError if its first frame cannot be decoded."""
        self._path, self.expected = path, count
        self._data = _read_image_file(path)
        frames, durations = self._decode(0, 1)
        self._chunk = max(1, _DECODED_BYTES // frames[0].size)
        self.fps = 1 / durations[0]

    def _decode(self, start: int, count: int) -> tuple[Sequence[np.ndarray], list[float]]:
        """Return images and their durations in seconds. SourceError if the first frame cannot be decoded."""
        animation = cv2.Animation()
        with silent_opencv(), contextlib.suppress(cv2.error):
            # WebP's decoder takes a row of bytes only.
            _, animation = cv2.imdecodeanimation(self._data[None], start, count)
        if start == 0 and not animation.frames:
            raise SourceError(f"{self._path} is not an animation that OpenCV can read, or is damaged")
        durations = [_DEFAULT_MS if ms <= _SHORTEST_MS else ms for ms in np.ravel(animation.durations).tolist()]
        return animation.frames, [ms / 1000 for ms in durations]

    def __iter__(self) -> Iterator[Frame]:
        index, timestamp = 0, 0.0
        while True:
            frames, durations = self._decode(index, self._chunk)
            for image, duration in zip(frames, durations, strict=True):
                yield Frame(np.ascontiguousarray(image[..., :3]), timestamp, index)
                index, timestamp = index + 1, timestamp + duration
            if len(frames) < self._chunk:
                break
        self.incomplete = inspect_video(self._path).shortfall(index, str(self._path))


def open_image(path: Path) -> Source:
    """Open an image file, or an animated WebP as a video."""
    count = count_images(path) if _webp_chunks(_read_image_file(path)) else 1
    if count <= 1:
        return ImageSource([path])
    if not hasattr(cv2, "imdecodeanimation"):
        _log.warning(
            "%s is animated, but OpenCV %s reads only its first frame; 4.12 or later reads all", path, cv2.__version__
        )
        return ImageSource([path])
    return AnimationSource(path, count)


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 BGR, rotated by its EXIF orientation. SourceError if it cannot be read."""
    data = _read_image_file(path)
    chunks = _webp_chunks(data)
    # OpenCV rotates JPEG, PNG, and TIFF, and WebP from 4.12 on.
    try:
        image = decode_image(data, cv2.IMREAD_COLOR | (cv2.IMREAD_IGNORE_ORIENTATION if chunks else 0))
    except ImageError as error:
        raise SourceError(f"{path} {error}") from error
    return _upright(image, _exif_orientation(chunks.get(b"EXIF", b"")))


def count_images(path: Path) -> int:
    """Return the number of frames of an animation; 0 if OpenCV does not read it as an image.

    SourceError if the file cannot be read, or declares too many pixels.
    """
    _read_image_file(path)  # OpenCV makes a frame of any size to count them
    with silent_opencv():
        return cv2.imcount(str(path))


def shorten(names: Sequence[str]) -> str:
    """Join file names; of many, only the first ones."""
    rest = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f", and {rest} more" if rest > 0 else "")


def _read_image_file(path: Path) -> np.ndarray:
    """Read a file as (n,) uint8. SourceError if it cannot be read, or is not an image of a size that can be decoded."""
    try:
        data = np.frombuffer(read_bytes(path, MAX_IMAGE_BYTES, SourceError), np.uint8)
        check_image(data)
    except ImageError as error:
        raise SourceError(f"{path} {error}") from error
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    return data


def _webp_chunks(data: np.ndarray) -> dict[bytes, bytes]:
    """Return the first chunk of each type of a WebP file; empty for other files."""
    content = data.tobytes() if bytes(data[:4]) == b"RIFF" and bytes(data[8:12]) == b"WEBP" else b""
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        chunks.setdefault(name, content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return chunks


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, of EXIF data; 1 if it has none or is damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for i in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * i)
            if tag == 0x112:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
