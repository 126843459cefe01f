import json
import os
from pathlib import Path

import pytest

from edge_runtime.calibration import Calibration
from edge_runtime.detector.mediapipe import MediaPipeDetector
from edge_runtime.detector.yunet import YuNetDetector
from edge_runtime.errors import InputFileError, TemplateError
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.reading import MAX_DEPTH, parse_json, quote, read_bytes, read_json, read_text
from edge_runtime.template import Template


def test_a_file_within_the_limit_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"


def test_a_larger_file_is_refused_by_its_size(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(InputFileError, match=r"file has 1099511627776 bytes, at most 5 are read"):
        read_bytes(tmp_path / "file", 5)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TemplateError, match="pipe is not a regular file"):
        read_bytes(tmp_path / "pipe", 5, TemplateError)


@pytest.mark.parametrize("place", ["pipe", "folder", "/dev/null"])
@pytest.mark.parametrize(
    "read", [Template.read, LandmarkScheme.read, Calibration.read, YuNetDetector, MediaPipeDetector]
)
def test_readers_say_what_is_not_a_regular_file(tmp_path, read, place):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=f"{place} is not a regular file"):
        read(tmp_path / place)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device):
    with pytest.raises(InputFileError, match="not a regular file"):
        read_bytes(device, 5)


def test_a_file_that_is_longer_than_it_says_is_refused():
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc")
    with pytest.raises(InputFileError, match="at most 5 are read"):
        read_bytes("/proc/self/maps", 5)


def test_a_missing_file_stays_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "file.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5]}')
    assert read_json(tmp_path / "file.json") == {"a": [1, 2.5]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("\udcff".encode("utf-8", "surrogateescape"), "is not JSON"),
        ("[" * 300_000 + "]" * 300_000, f"is nested deeper than {MAX_DEPTH} levels"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"is nested deeper than {MAX_DEPTH} levels"),
        ('{"a":' * 300_000, f"is nested deeper than {MAX_DEPTH} levels"),
        ("1e400", "has the number 1e400"),
        ("[NaN]", "has the number NaN"),
        ("-Infinity", "has the number -Infinity"),
        ("9" * 5000, "has the number 999"),
        ("9007199254740993", r"has the number 9007199254740993; whole numbers must be within 2\^53"),
    ],
)
def test_json_that_a_program_cannot_use_is_refused(tmp_path, text, message):
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(InputFileError, match=f"file.json {message}") as caught:
        read_json(tmp_path / "file.json")
    assert len(str(caught.value)) < 1000


def test_json_of_the_greatest_depth_is_read():
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) == json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_long_values_are_quoted_in_part():
    assert quote("short") == "short"
    assert quote("x" * 10_000).endswith("… (10000 characters)")
    assert len(quote("x" * 10_000)) < 250


def test_text_is_utf_8_with_or_without_a_mark(tmp_path):
    (tmp_path / "file").write_bytes("\ufeffé".encode())
    assert read_text(tmp_path / "file") == "é"
    (tmp_path / "file").write_bytes(b"ab\xff")
    assert read_text(tmp_path / "file", errors="replace") == "ab\ufffd"
    with pytest.raises(TemplateError, match="file is not text in UTF-8: invalid start byte at byte 2"):
        read_text(tmp_path / "file", error=TemplateError)
