import os
from pathlib import Path

import pytest

from edge_runtime.files import is_same_file, natural_key, temporary_path, write_atomically


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    write_atomically(tmp_path / "new" / "file.bin", b"content")
    assert (tmp_path / "new" / "file.bin").read_bytes() == b"content"


def test_writers_of_one_path_do_not_disturb_each_other(tmp_path, monkeypatch):
    sync, path = os.fsync, tmp_path / "file.bin"

    def another_writes(descriptor):
        monkeypatch.setattr(os, "fsync", sync)
        write_atomically(path, b"the other's")
        assert path.read_bytes() == b"the other's"

    monkeypatch.setattr(os, "fsync", another_writes)
    write_atomically(path, b"content")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file.bin", b"content")]


def test_write_atomically_keeps_the_older_file_on_failure(tmp_path, monkeypatch):
    (tmp_path / "file.bin").write_bytes(b"older")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "file.bin", b"newer")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file.bin", b"older")]


def test_natural_order():
    names = ["1.png", "02.png", "10.png", "10a.png", "a", "frame_1.png", "Frame_2.png", "frame_09.png", "frame_9.png"]
    names += ["frame_10.png", "frame_10_2.png", "z9", "z10", "²"]
    assert [path.name for path in sorted(map(Path, reversed(names)), key=natural_key)] == names


def test_temporary_names_are_new_and_keep_the_suffix(tmp_path):
    first, second = (temporary_path(tmp_path / "a.b.mp4") for _ in range(2))
    assert first != second
    assert (first.parent, first.suffix) == (tmp_path, ".mp4")


def test_the_same_file_by_two_names(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    assert is_same_file(tmp_path / "link", tmp_path / "a")
    assert is_same_file(tmp_path / "x" / ".." / "new", tmp_path / "new")
    assert not is_same_file(tmp_path / "a", tmp_path / "new")
