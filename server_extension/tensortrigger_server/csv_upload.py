"""A CSV file as the backend wants it: commas, the model's names in the header, all rows as they are."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from tensortrigger_server.csv_text import Dialect, Records, fault, header_of
from tensortrigger_server.csv_writing import RecordWriter
from tensortrigger_server.problems import Problem

BLOCK = 1 << 18


class HashedFile:
    """A file that is read from its beginning to its end, and whose fingerprint is told then."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def readline(self, limit: int = -1) -> bytes:
        """The next line."""
        line = self._file.readline(limit)
        self._hash.update(line)
        return line

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        block = self._file.read(size)
        self._hash.update(block)
        return block

    @property
    def fingerprint(self) -> str:
        """sha256 of what was read so far."""
        return self._hash.hexdigest()


def upload(file: HashedFile, dialect: Dialect, header: list[str], names: Sequence[str]) -> Iterator[bytes]:
    """The bytes to send; what stands behind the header is passed on untouched where that is possible.

    Args:
        header: the file's own.
        names: the header to send instead.

    Raises:
        Problem: 400, the file is no CSV; 409, it has changed.
    """
    records = Records(file, dialect.delimiter)
    if header_of(records) != header:
        raise file_changed()
    writer = RecordWriter(Dialect())
    writer.add(names)
    yield writer.take().encode()
    if dialect.delimiter == ",":
        # Lines are taken off the file one by one, so it stands right behind the header now.
        yield from _checked(file, records.line)
        return
    for record in records:
        writer.add(record)
        if writer.size >= BLOCK:
            yield writer.take().encode()
    yield writer.take().encode()


def file_changed() -> Problem:
    """What is read now is not what was read before."""
    return Problem(409, "file_changed", "The file was changed while it was scored: score it again.")


def _checked(file: HashedFile, line: int) -> Iterator[bytes]:
    """The rest of a file, once it is known to be text: the result could not be written beside it otherwise."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while block := file.read(BLOCK):
        nul = block.find(b"\0")
        if nul >= 0:
            raise fault(line + block.count(b"\n", 0, nul) + 1, "holds a NUL byte: this is no CSV")
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            at = line + bytes(error.object).count(b"\n", 0, error.start) + 1
            raise fault(at, f"is not UTF-8 (byte {error.object[error.start]:#x}): save it as UTF-8") from None
        line += block.count(b"\n")
        yield block
