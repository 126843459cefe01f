"""Tar files with a checksum: any cut or changed byte is found before the first member is used.

The last member, `CHECKSUM`, holds the SHA-256 of all bytes before its own content. Tar itself checks headers only, and
takes a file that was cut between two members for a whole one.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_runtime.files import Replacement
from edge_runtime.reading import open_regular, quote

CHECKSUM = "CHECKSUM"
"""Name of the last member. It has no suffix, so readers of WebDataset shards skip it."""
_DIGITS = 64
"""Length of the checksum, hexadecimal digits."""
_CHUNK = 2**20
_MAX_END = 2**24
"""Maximum size of the zeros that end a file, bytes. Usually 10 kB."""
_MALFORMED = (
    *(tarfile.TarError, ValueError, ArithmeticError, LookupError),
    *(EOFError, RecursionError, MemoryError, OSError),  # OSError: a place beyond what files can have
)
"""What reading damaged headers raises."""
_log = logging.getLogger(__name__)


class TarFileError(ValueError):
    """A tar file is cut, changed, or not one."""


@dataclass(frozen=True)
class TarMember:
    """A file in a tar file."""

    name: str
    content: bytes
    offset: int
    """Position of the content in the tar file, bytes."""


class _HashingWriter:
    """The part of a file that `tarfile` writes to, and the digest of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self._file.tell()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write files, given by name and content, and their checksum; the tar file appears only once it is complete.

    OSError if it cannot be written.
    """
    replacement = Replacement(path)
    try:
        with replacement.path.open("wb") as file:
            writer = _HashingWriter(file)
            with tarfile.open(fileobj=writer, mode="w") as tar:
                for name, content in members:
                    tar.addfile(_entry(name, len(content)), io.BytesIO(content))
                last = _entry(CHECKSUM, _DIGITS)
                writer.digest.update(last.tobuf(tar.format, tar.encoding, tar.errors))  # as `addfile` will write it
                tar.addfile(last, io.BytesIO(writer.digest.hexdigest().encode()))
        replacement.commit()
    finally:
        replacement.discard()


def read_tar(path: Path) -> Iterator[TarMember]:
    """Yield the files in a tar file, once all of it was checked. A file without a checksum is logged as unchecked.

    Raises:
        OSError: The file cannot be read.
        TarFileError: The file is cut, changed, or not a tar file. The message continues a sentence.
    """
    with open_regular(path, TarFileError) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                entries = [entry for entry in tar if not entry.isdir()]
                end = tar.offset
        except _MALFORMED as error:
            raise TarFileError(f"a header is damaged: {quote(error)}") from error
        _check_entries(entries, end)
        _check_end(file, end)
        if entries and entries[-1].name == CHECKSUM:
            _check_content(file, entries.pop())
        else:
            _log.warning("%s has no checksum: only its headers are checked, a changed byte may go unnoticed", path)
        for entry in entries:
            file.seek(entry.offset_data)
            yield TarMember(entry.name, file.read(entry.size), entry.offset_data)


def _check_entries(entries: list[tarfile.TarInfo], end: int) -> None:
    for entry in entries:
        if not entry.isreg() or entry.issparse():
            raise TarFileError(f"{quote(entry.name)} is not a plain file")
        # A damaged size may be negative, or reach over other members.
        if entry.size < 0 or entry.offset_data + entry.size > end:
            raise TarFileError(f"{quote(entry.name)} should have {entry.size} bytes, but the file ends before")


def _check_end(file: BinaryIO, end: int) -> None:
    """Check that zeros, two blocks or more, follow the last member. A damaged header is not zero."""
    size = os.fstat(file.fileno()).st_size
    if not 2 * tarfile.BLOCKSIZE <= size - end <= _MAX_END:
        raise TarFileError("its end is missing" if size - end < _MAX_END else "it continues behind its end")
    file.seek(end)
    if any(file.read()):
        raise TarFileError(f"byte {end} should begin a member or the end, but is damaged")


def _check_content(file: BinaryIO, checksum: tarfile.TarInfo) -> None:
    file.seek(checksum.offset_data)
    stated, rest = file.read(_DIGITS), file.read()
    if checksum.size != _DIGITS or any(rest) or os.fstat(file.fileno()).st_size % tarfile.RECORDSIZE:
        raise TarFileError("its end is damaged")
    digest, left = hashlib.sha256(), checksum.offset_data
    file.seek(0)
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    if digest.hexdigest().encode() != stated:
        raise TarFileError("its content does not have the checksum that was written with it")


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)  # no time stamp or owner: the same content gives the same bytes
    entry.size = size
    return entry
