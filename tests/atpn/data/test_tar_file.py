"""Tar files whose every byte is checked."""

import io
import logging
import os
import tarfile

import numpy as np
import pytest

from atpn.data.tar_file import CHECKSUM, TarFileError, read_tar, write_tar

MEMBERS = [(f"{number}.{kind}", bytes([number]) * (700 * number)) for number in range(1, 6) for kind in ("jpg", "json")]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, MEMBERS)
    return path


def plain_tar(path, members):
    """Write a tar file without a checksum."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def test_members_come_back_with_their_places(path):
    whole = path.read_bytes()
    found = list(read_tar(path))
    assert [(member.name, member.content) for member in found] == MEMBERS
    assert all(whole[m.offset : m.offset + len(m.content)] == m.content for m in found)


def test_the_same_members_give_the_same_bytes(path, tmp_path):
    write_tar(tmp_path / "b.tar", MEMBERS)
    assert (tmp_path / "b.tar").read_bytes() == path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_tar_itself_reads_it(path):
    with tarfile.open(path) as tar:
        assert tar.getnames() == [*(name for name, _ in MEMBERS), CHECKSUM]


def test_every_cut_is_an_error_before_the_first_member(path):
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 256), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(TarFileError):
            next(read_tar(path))


def test_every_changed_byte_is_an_error_before_the_first_member(path):
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    # A few bytes anywhere, and every byte of the two last headers and the end.
    places = [rng.integers(0, len(whole), rng.integers(1, 11)) for _ in range(400)]
    end = path.read_bytes().index(CHECKSUM.encode())
    places += [np.array([at]) for at in range(end, end + 2048)]
    for at in places:
        changed = whole.copy()
        changed[at] ^= rng.integers(1, 256, len(at)).astype(np.uint8)
        if (changed == whole).all():
            continue
        path.write_bytes(changed)
        with pytest.raises(TarFileError):
            next(read_tar(path))


def test_a_file_without_a_checksum_is_read_and_logged(tmp_path, caplog):
    plain_tar(tmp_path / "old.tar", MEMBERS)
    with caplog.at_level(logging.WARNING):
        assert [(m.name, m.content) for m in read_tar(tmp_path / "old.tar")] == MEMBERS
    assert "old.tar has no checksum" in caplog.text


def test_a_file_without_a_checksum_that_is_cut_at_a_member_is_an_error(tmp_path):
    path = tmp_path / "old.tar"
    plain_tar(path, MEMBERS)
    with tarfile.open(path) as tar:
        offsets = [member.offset for member in tar]
    whole = path.read_bytes()
    for offset in offsets[1:]:
        path.write_bytes(whole[:offset])
        with pytest.raises(TarFileError, match="its end is missing"):
            list(read_tar(path))
        path.write_bytes(whole[:offset] + b"\x01" + whole[offset + 1 :])  # a damaged header
        with pytest.raises(TarFileError, match=f"byte {offset} should begin a member"):
            list(read_tar(path))


def test_links_and_pipes_are_errors(tmp_path, path):
    link = tarfile.TarInfo("a.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        tar.addfile(link)
    os.mkfifo(tmp_path / "pipe.tar")
    for name, message in (("link.tar", "is not a plain file"), ("pipe.tar", "not a regular file")):
        with pytest.raises(TarFileError, match=message):
            list(read_tar(tmp_path / name))


@pytest.mark.parametrize("size", [2**33, 2**62, -1])
def test_a_size_beyond_the_file_is_an_error(tmp_path, size):
    entry = tarfile.TarInfo("a.jpg")
    entry.size = size
    (tmp_path / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(TarFileError):
        list(read_tar(tmp_path / "a.tar"))


def test_long_chains_of_headers_are_an_error(tmp_path):
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 0
    (tmp_path / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) * 20_000 + bytes(1024))
    with pytest.raises(TarFileError, match="a header is damaged"):
        list(read_tar(tmp_path / "a.tar"))
