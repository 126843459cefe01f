"""Still images, folders, and animations."""

import logging
import struct
import zlib

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import ImageSource, VideoSource, open_source, read_image
from edge_runtime.sources.images import AnimationSource, is_image


def test_image_and_folder(tmp_path):
    for name, value in (("b.png", 20), ("a.jpg", 10), ("c.bmp", 30)):
        cv2.imwrite(str(tmp_path / name), np.full((6, 8, 3), value, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    with open_source(str(tmp_path)) as source:
        assert (source.stills, source.length) == (True, 3)
        assert [f.image.mean() for f in source] == pytest.approx([10, 20, 30], abs=1)
    with open_source(str(tmp_path / "b.png")) as source:
        (frame,) = source
        assert frame.image.shape == (6, 8, 3)


@pytest.mark.parametrize("image", [np.full((3, 4), 9000, np.uint16), np.zeros((3, 4, 4), np.uint8)])
def test_deep_and_transparent_images_become_bgr(tmp_path, image):
    cv2.imwrite(str(tmp_path / "x.png"), image)
    (frame,) = open_source(str(tmp_path / "x.png"))
    assert frame.image.shape == (3, 4, 3)
    assert frame.image.dtype == np.uint8


def test_damaged_image_in_a_folder_is_skipped_and_logged(tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "a.png").write_bytes(b"damaged")
    (tmp_path / "c.png").touch()
    with caplog.at_level(logging.WARNING):
        assert [f.index for f in open_source(str(tmp_path))] == [1], "later images keep their numbers"
    assert "a.png" in caplog.text
    assert "c.png" in caplog.text


@pytest.fixture
def huge_png(tmp_path):
    """A PNG whose header declares 60000 x 60000 pixels."""
    chunks = b""
    for name, data in ((b"IHDR", struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_image_of_an_absurd_size_is_refused(huge_png, caplog):
    with pytest.raises(SourceError, match=r"huge\.png declares 60000 x 60000 pixels"):
        list(open_source(str(huge_png)))
    cv2.imwrite(str(huge_png.with_name("good.png")), np.zeros((6, 8, 3), np.uint8))
    assert len(list(open_source(str(huge_png.parent)))) == 1
    assert "huge.png" in caplog.text


def test_a_folder_with_damaged_images_is_incomplete(tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    with open_source(tmp_path) as source:
        assert len(list(source)) == 1
        assert source.incomplete is None, "what is not an image is not missing"
    (tmp_path / "a.png").touch()
    with open_source(tmp_path) as source:
        assert len(list(source)) == 1
        assert source.incomplete == "1 of 2 images could be read: the others are damaged"


def test_unreadable_file_is_skipped_or_raises(tmp_path, caplog):
    closed, good = tmp_path / "closed.png", tmp_path / "good.png"
    closed.mkdir()  # opening it fails for root too
    cv2.imwrite(str(good), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(SourceError, match=r"closed\.png is not a regular file"):
        list(ImageSource([closed]))
    assert len(list(ImageSource([closed, good]))) == 1
    assert "closed.png" in caplog.text
    with pytest.raises(SourceError, match="none of the 2 images"):
        list(ImageSource([closed, closed]))


def test_folders_run_in_natural_order_and_frames_have_their_names(tmp_path):
    names = [f"frame_{i}.png" for i in (1, 2, 3, 9, 10, 11, 100)]
    for name in reversed(names):
        cv2.imwrite(str(tmp_path / name), np.zeros((6, 8, 3), np.uint8))
    with open_source(str(tmp_path)) as source:
        assert [frame.name for frame in source] == names


def test_a_folder_names_what_it_skips(tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((6, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "b.png").rename(tmp_path / "without_suffix")
    (tmp_path / "bad.jpg").write_bytes(b"damaged")
    (tmp_path / "folder").mkdir()
    (tmp_path / ".hidden").touch()
    for i in range(12):
        (tmp_path / f"notes_{i}.txt").write_text("no image")
    with caplog.at_level(logging.WARNING), open_source(str(tmp_path)) as source:
        assert [frame.name for frame in source] == ["good.png", "without_suffix"]
        assert source.skipped == ["folder", *(f"notes_{i}.txt" for i in range(12)), "bad.jpg"]
    assert "not images: folder, notes_0.txt, notes_1.txt" in caplog.text
    assert "and 3 more" in caplog.text
    assert "bad.jpg is not an image" in caplog.text
    assert ".hidden" not in caplog.text


def test_content_counts_not_the_name(tmp_path, write_video):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((6, 8, 3), 90, np.uint8))
    (tmp_path / "a.jpg").rename(tmp_path / "image.mp4")
    write_video([10, 60], "b.mp4").rename(tmp_path / "video.png")
    write_video([10, 60], "b.avi").rename(tmp_path / "video")
    with open_source(str(tmp_path / "image.mp4")) as source:
        assert [frame.name for frame in source] == ["image.mp4"]
    for name in ("video.png", "video"):
        with open_source(str(tmp_path / name)) as source:
            assert isinstance(source, VideoSource)
            assert len(list(source)) == 2
    jpeg = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    (tmp_path / "camera.mjpeg").write_bytes(5 * jpeg)
    assert not is_image(tmp_path / "camera.mjpeg"), "a raw motion JPEG begins as a JPEG does"
    with open_source(str(tmp_path / "camera.mjpeg")) as source:
        assert len(list(source)) == 5


def exif(orientation, order=">"):
    return (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(
        f"{order}IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0
    )


def encode(kind, image, orientation, order=">"):
    """Encode a BGR image with an EXIF orientation."""
    block = exif(orientation, order)
    if kind == "jpeg":
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        segment = b"Exif\0\0" + block
        return data[:2] + struct.pack(">HH", 0xFFE1, len(segment) + 2) + segment + data[2:]
    if kind == "png":
        data = cv2.imencode(".png", image)[1].tobytes()
        chunk = b"eXIf" + block
        return data[:33] + struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    if kind == "webp":
        data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
        sides = b"".join((side - 1).to_bytes(3, "little") for side in (image.shape[1], image.shape[0]))
        size = struct.pack("<I", len(block))
        content = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + sides + data[12:] + b"EXIF" + size + block
        return b"RIFF" + struct.pack("<I", len(content)) + content
    height, width = image.shape[:2]
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 0)]
    tags += [(274, 3, 1, orientation), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, image.nbytes)]
    start = 8 + 2 + 12 * len(tags) + 4
    tags[5] = (273, 4, 1, start)
    tags[2] = (258, 3, 3, start + image.nbytes)
    table = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + struct.pack("<I", 0)
    return head + image[..., ::-1].tobytes() + struct.pack("<3H", 8, 8, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_every_format_is_turned_upright_by_its_exif_orientation(tmp_path, kind, orientation):
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :16] = (0, 0, 250)
    image[16:, :16] = (0, 250, 0)
    # By the definition of each value: which side of the scene the first row and the first column show.
    shown = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
        7: image[::-1, ::-1].transpose(1, 0, 2),
        8: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
    }[orientation]
    (tmp_path / "image").write_bytes(encode(kind, image, orientation))
    found = read_image(tmp_path / "image")
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).mean() < 6


def test_damaged_exif_of_webp_is_ignored(tmp_path):
    image = np.zeros((32, 48, 3), np.uint8)
    whole = encode("webp", image, 6, "<")
    (tmp_path / "image").write_bytes(whole)
    assert read_image(tmp_path / "image").shape == (48, 32, 3)
    at = whole.index(b"II*")
    for damaged in (whole[:at] + b"??" + whole[at + 2 :], whole[: at + 4] + b"\xff" * 4 + whole[at + 8 :]):
        (tmp_path / "image").write_bytes(damaged)
        assert read_image(tmp_path / "image").shape == (32, 48, 3)


@pytest.fixture
def animation():
    """Five gray images with their durations in milliseconds."""
    if not hasattr(cv2, "imdecodeanimation"):
        pytest.skip("this OpenCV writes no animations")
    made = cv2.Animation()
    made.frames = [np.full((32, 48, 4), (value, value, value, 255), np.uint8) for value in (20, 60, 100, 140, 180)]
    made.durations = np.array([100, 300, 50, 500, 100], np.int32)
    return made


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animations_are_videos_with_their_own_times(tmp_path, animation, suffix, monkeypatch):
    monkeypatch.setattr("edge_runtime.sources.images._DECODED_BYTES", 2 * 32 * 48 * 4)  # two frames at a time
    assert cv2.imwriteanimation(str(tmp_path / f"a{suffix}"), animation, [])
    with open_source(str(tmp_path / f"a{suffix}")) as source:
        frames = list(source)
        assert not source.stills
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.1, 0.4, 0.45, 0.95], abs=1e-3)
    assert [frame.image.mean() for frame in frames] == pytest.approx([20, 60, 100, 140, 180], abs=4)
    assert frames[0].image.shape == (32, 48, 3)


def test_an_older_opencv_reads_the_first_frame_of_a_webp(tmp_path, animation, monkeypatch, caplog):
    cv2.imwriteanimation(str(tmp_path / "a.webp"), animation, [])
    monkeypatch.delattr(cv2, "imdecodeanimation")
    with open_source(str(tmp_path / "a.webp")) as source:
        assert [frame.image.mean() for frame in source] == pytest.approx([20], abs=4)
    assert "reads only its first frame" in caplog.text


def test_a_damaged_animation_is_an_error(tmp_path, animation):
    cv2.imwriteanimation(str(tmp_path / "a.webp"), animation, [])
    (tmp_path / "b.webp").write_bytes((tmp_path / "a.webp").read_bytes()[:50])
    with pytest.raises(SourceError, match=r"b\.webp is not an animation"):
        AnimationSource(tmp_path / "b.webp", 5)


def test_a_gif_of_one_image_is_a_still(tmp_path):
    if not hasattr(cv2, "imdecodeanimation"):
        pytest.skip("this OpenCV writes no GIF")
    cv2.imwrite(str(tmp_path / "a.gif"), np.full((16, 24, 3), 90, np.uint8))
    with open_source(str(tmp_path / "a.gif")) as source:
        assert (source.stills, source.length) == (True, 1)
        assert [frame.image.shape for frame in source] == [(16, 24, 3)]
