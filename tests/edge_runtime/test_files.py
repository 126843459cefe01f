import os
import stat
import threading
from pathlib import Path

import pytest

from edge_runtime.errors import SinkError
from edge_runtime.files import (
    Replacement,
    check_outputs,
    check_writable,
    is_same_file,
    locked,
    natural_key,
    temporary_path,
    write_atomically,
)


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


def test_temporary_names_are_new_and_end_in_part_or_on_request_in_the_suffix(tmp_path):
    first, second = (temporary_path(tmp_path / "a.b.mp4") for _ in range(2))
    assert first != second
    assert (first.parent, first.suffix) == (tmp_path, ".part"), "whoever looks for videos must not find it"
    assert temporary_path(tmp_path / "a.b.mp4", keep_suffix=True).suffix == ".mp4"


@pytest.mark.parametrize("letter", ["a", "é", "人", "😀"])
def test_the_longest_names_are_written(tmp_path, letter):
    name = letter * (250 // len(letter.encode())) + ".json"
    write_atomically(tmp_path / name, b"content")
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "message"), [("a" * 256, "too long"), ("file/below", "Not a directory"), ("loop", "symbolic links")]
)
def test_a_name_that_no_file_can_have_is_refused_before_anything_is_written(tmp_path, name, message):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for check in (Replacement, check_writable):
        with pytest.raises(SinkError, match=f"cannot write .*{message}"):
            check(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "loop"]
    check_outputs({"--out": tmp_path / name}, {"--data": tmp_path / "data"})


def test_checking_whether_a_file_can_be_written_changes_nothing(tmp_path):
    (tmp_path / "old").write_bytes(b"older")
    for name in ("old", "new"):
        check_writable(tmp_path / name)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("old", b"older")]


def test_the_same_file_by_two_names(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    assert is_same_file(tmp_path / "link", tmp_path / "a")
    assert is_same_file(tmp_path / "x" / ".." / "new", tmp_path / "new")
    assert not is_same_file(tmp_path / "a", tmp_path / "new")


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_atomically(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"content"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_the_mode_of_an_earlier_file_is_kept(tmp_path, mode):
    (tmp_path / "file").write_bytes(b"older")
    (tmp_path / "file").chmod(mode)
    write_atomically(tmp_path / "file", b"newer")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_what_an_earlier_file_hides_is_hidden_while_it_is_written(tmp_path):
    (tmp_path / "file").write_bytes(b"older")
    (tmp_path / "file").chmod(0o400)
    replacement = Replacement(tmp_path / "file")
    assert stat.S_IMODE(replacement.path.stat().st_mode) == 0o600
    replacement.discard()


def test_a_new_file_has_the_usual_mode(tmp_path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_pipe_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", b"content")
    reader.join()
    assert received == [b"content"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_pipe_without_a_name_is_written_to():
    reader, writer = os.pipe()
    write_atomically(Path(f"/dev/fd/{writer}"), b"content")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"content"


def test_a_device_stays():
    write_atomically(Path("/dev/null"), b"content")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_folder_and_a_missing_parent_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SinkError, match="it is a folder"):
        Replacement(tmp_path)
    with pytest.raises(SinkError, match="does not exist"):
        Replacement(tmp_path / "none" / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_discarded_file_leaves_the_earlier_one(tmp_path):
    (tmp_path / "file").write_bytes(b"older")
    replacement = Replacement(tmp_path / "file")
    replacement.path.write_bytes(b"newer")
    replacement.discard()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"older")]


def test_outputs_must_differ_from_inputs_and_from_each_other(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    check_outputs({"--save": tmp_path / "b", "--csv": None}, {"--source": tmp_path / "a", "--model": None})
    with pytest.raises(SinkError, match=r"--save .*link would overwrite --source .*a: choose another name"):
        check_outputs({"--save": tmp_path / "link"}, {"--source": tmp_path / "a"})
    with pytest.raises(SinkError, match=r"--csv .* would overwrite --save"):
        check_outputs({"--save": tmp_path / "b", "--csv": tmp_path / "." / "b"}, {})
    check_outputs({"--save": Path("/dev/null"), "--csv": Path("/dev/null")}, {})


def test_an_output_is_no_existing_file_of_an_input_folder(tmp_path):
    for name in ("data/deep/0.tar", "data/report.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inputs = {"--data": tmp_path / "data"}
    with pytest.raises(SinkError, match=r"--out .*0\.tar would overwrite --data .*data"):
        check_outputs({"--out": tmp_path / "data" / "deep" / "0.tar"}, inputs)
    with pytest.raises(SinkError, match="would overwrite"):
        check_outputs({"--out": tmp_path / "data" / "report.json"}, inputs, lambda path: path.suffix == ".json")
    for allowed in ("data/report.json", "data/new.tar", "data/new"):
        check_outputs({"--out": tmp_path / allowed}, inputs)
    check_outputs({"--out": tmp_path / "data", "--shard": tmp_path / "data" / "deep" / "0.tar"}, {})
    with pytest.raises(SinkError, match="would overwrite"):
        check_outputs({"--out": tmp_path / "data" / "deep" / ".."}, inputs)


def test_a_locked_folder_is_told_from_an_abandoned_one(tmp_path):
    with locked(tmp_path) as mine:
        assert mine
        with locked(tmp_path, wait=False) as taken:
            assert not taken
    with locked(tmp_path, wait=False) as abandoned:
        assert abandoned
