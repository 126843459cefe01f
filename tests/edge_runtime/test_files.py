import os

import pytest

from edge_runtime.files import write_atomically


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
