import os

import pytest

from edge_runtime.files import write_atomically


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    write_atomically(tmp_path / "new" / "file.bin", b"content")
    assert (tmp_path / "new" / "file.bin").read_bytes() == b"content"


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "file.bin").write_bytes(b"older")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "file.bin", b"newer")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file.bin", b"older")]
