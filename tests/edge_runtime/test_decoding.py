"""Sizes that images declare, and decoding within limits."""

import contextlib
import struct

import cv2
import numpy as np
import pytest

from edge_runtime.decoding import ImageError, decode_image
from edge_runtime.image_size import declared_size

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
FORMATS = {
    "png": (".png", IMAGE, []),
    "jpeg": (".jpg", IMAGE, []),
    "progressive jpeg": (".jpg", IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "gray jpeg": (".jpg", IMAGE[..., 0], []),
    "bmp": (".bmp", IMAGE, []),
    "gif": (".gif", IMAGE, []),
    "webp": (".webp", IMAGE, [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "lossless webp": (".webp", IMAGE, [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "transparent webp": (".webp", np.dstack([IMAGE, IMAGE[..., 0]]), [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "tiff": (".tif", IMAGE, []),
    "ppm": (".ppm", IMAGE, []),
    "radiance": (".hdr", IMAGE.astype(np.float32), []),
}


@pytest.fixture(params=FORMATS)
def encoded(request):
    suffix, image, flags = FORMATS[request.param]
    if not cv2.haveImageWriter(f"image{suffix}"):
        pytest.skip(f"this OpenCV writes no {suffix}")
    return cv2.imencode(suffix, image, flags)[1].tobytes()


def test_the_size_is_the_one_that_opencv_wrote(encoded):
    assert declared_size(encoded) == (53, 37)
    assert decode_image(encoded).shape == (37, 53, 3)


def test_the_size_in_a_cut_header_is_unknown_or_right(encoded):
    assert {declared_size(encoded[:length]) for length in range(min(2000, len(encoded)))} <= {None, (53, 37)}


def test_the_size_of_a_jpeg_lies_behind_other_segments():
    jpeg = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", IMAGE[:8, :8])[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert declared_size(jpeg[:2] + segment + b"padding\xff\xff" + jpeg[2:]) == (53, 37)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_size_of_a_big_tiff(order):
    head = (b"II+\0" if order == "<" else b"MM\0+") + struct.pack(f"{order}2HQ", 8, 0, 16)
    entries = struct.pack(f"{order}Q", 2)
    entries += b"".join(struct.pack(f"{order}2HQQ", tag, 16, 1, side) for tag, side in ((256, 53), (257, 37)))
    assert declared_size(head + entries) == (53, 37)


def resized(jpeg, width, height):
    """Return a JPEG that declares another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">2H", height, width) + jpeg[at + 4 :]


def test_more_pixels_than_any_camera_has_are_refused_undecoded():
    jpeg = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    with pytest.raises(ImageError, match="declares 30000 x 30000 pixels, at most 268435456 are read"):
        decode_image(resized(jpeg, 30000, 30000))


def test_more_pixels_than_the_bytes_can_hold_are_refused_undecoded():
    jpeg = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    with pytest.raises(ImageError, match=rf"declares 16000 x 16000 pixels, too many for its {len(jpeg)} bytes"):
        decode_image(resized(jpeg, 16000, 16000))


def test_a_large_blank_picture_is_read():
    jpeg = cv2.imencode(".jpg", np.full((5000, 5000), 90, np.uint8), [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1]
    png = cv2.imencode(".png", np.full((5000, 5000), 90, np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])[1]
    assert decode_image(jpeg).shape == decode_image(png).shape == (5000, 5000, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "is not an image"),
        (b"\xff\xd8\xff", "is not an image"),
        (b"BM" + bytes(60), "damaged"),
    ],
)
def test_other_content_is_an_error(content, message):
    with pytest.raises(ImageError, match=message):
        decode_image(content)


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "lossless webp", "tiff", "bmp"])
def test_a_damaged_image_is_decoded_or_an_error(name):
    suffix, image, flags = FORMATS[name]
    whole = bytearray(cv2.imencode(suffix, image, flags)[1].tobytes())
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = whole.copy()
        for at in rng.integers(0, min(len(whole), 200), 3):
            damaged[at] = rng.integers(256)
        with contextlib.suppress(ImageError):
            assert decode_image(bytes(damaged)).dtype == np.uint8
