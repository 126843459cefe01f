"""The one way to decode an image that nobody has checked."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.image_size import declared_size
from edge_runtime.opencv_log import silent_opencv
from edge_runtime.reading import read_bytes

MAX_IMAGE_PIXELS = 2**28
"""Maximum pixels of an image: phones take pictures of 200 million. Decoded it has 0.8 GB."""
MAX_IMAGE_BYTES = 2**30
"""Maximum size of an image file: such a picture without compression has 0.8 GB."""
_HARMLESS_PIXELS = 2**24
"""Up to this size, what a header declares is not compared with the file's size."""
_JPEG_PIXELS_PER_BYTE = 512
"""Maximum: each block of 64 pixels takes a bit at least."""
_PIXELS_PER_BYTE = 8256
"""Maximum of the other formats: deflate makes 1032 bytes of one, PNG 8 pixels of a byte."""


class ImageError(ValueError):
    """An image cannot be decoded. The message continues a sentence that begins with the image's name, or has it."""


def check_image(content: np.ndarray) -> None:
    """Check the size that an image file declares, before it is decoded.

    Args:
        content: (n,) uint8, the file.

    Raises:
        ImageError: The file is empty, of a format whose size is unknown, or declares too many pixels.
    """
    if not content.size:
        raise ImageError("is empty")
    size = declared_size(content.data)
    if size is None:
        raise ImageError(
            "is not an image that can be read (PNG, JPEG, BMP, GIF, WebP, TIFF, PNM, Radiance), or is damaged"
        )
    width, height = size
    pixels = width * height
    is_jpeg = content[0] == 0xFF
    if pixels > MAX_IMAGE_PIXELS:
        raise ImageError(f"declares {width} x {height} pixels, at most {MAX_IMAGE_PIXELS} are read: scale it down")
    per_byte = _JPEG_PIXELS_PER_BYTE if is_jpeg else _PIXELS_PER_BYTE
    if pixels > max(_HARMLESS_PIXELS, per_byte * content.size):
        raise ImageError(f"declares {width} x {height} pixels, too many for its {content.size} bytes: it is damaged")


def decode_image(content: bytes | np.ndarray, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Decode an image file.

    Args:
        content: The file; an array is (n,) uint8.
        flags: Flags of `cv2.imdecode`, which decide the channels, their order, and the rotation.

    Returns:
        (H, W, 3) uint8 BGR by default.

    Raises:
        ImageError: What `check_image` raises, or OpenCV cannot decode it.
    """
    encoded = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content
    check_image(encoded)
    image: np.ndarray | None = None
    with silent_opencv(), contextlib.suppress(cv2.error):  # raised for some damaged files
        image = cv2.imdecode(encoded, flags)
    if image is None:
        raise ImageError("is not an image that OpenCV can read, or is damaged")
    return np.asarray(image)


def load_image(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Read an image file and decode it as `decode_image` does; ImageError and OSError name the file."""
    try:
        return decode_image(read_bytes(path, MAX_IMAGE_BYTES, ImageError), flags)
    except ImageError as error:
        text = str(error)
        raise ImageError(text if text.startswith(str(path)) else f"{path} {text}") from error
