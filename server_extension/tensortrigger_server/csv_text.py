"""What a CSV file holds: its records, whichever delimiter, line ends and byte order mark it came with."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Protocol

from tensortrigger_server.problems import Problem

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 20
"""Bytes, as the backend has it; a longer line is nearly always no CSV."""
DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 20
"""Records from which the delimiter is told."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file writes its records.

    Attributes:
        marked: whether it begins with a byte order mark, which Excel wants to see.
        line_end: of its first line.
    """

    delimiter: str = ","
    line_end: str = "\n"
    marked: bool = False


class Readable(Protocol):
    """Something with lines of bytes."""

    def readline(self, limit: int = -1, /) -> bytes:
        """The next line with its end, or so many bytes of it; empty at the end of the file."""


class Records:
    """The records of a file, one after the other; blank lines are none.

    Attributes:
        line: where the record read last begins, from 1.
    """

    def __init__(self, file: Readable, delimiter: str) -> None:
        self.line = 0
        self._lines = _Lines(file)
        self._reader = csv.reader(self._lines, delimiter=delimiter)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    @property
    def text(self) -> str:
        """The record read last as it stands in the file, without its line end."""
        return "".join(self._lines.taken).removesuffix("\n").removesuffix("\r")

    def __next__(self) -> list[str]:
        """Raises a Problem (400) that names the line where the file is no CSV."""
        try:
            while True:
                self.line = self._lines.number + 1
                self._lines.taken.clear()
                if record := next(self._reader):
                    return record
        except csv.Error as error:
            raise fault(self.line, f"is no CSV: {error}") from None


class _Lines:
    """Lines as text. Only line feeds end them: their bytes stand for nothing else in UTF-8."""

    def __init__(self, file: Readable) -> None:
        self.number = 0
        self.taken: list[str] = []
        self._file = file

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        if self.number == 0:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise fault(1, "is UTF-16: save the file as UTF-8")
            line = line.removeprefix(BOM)
        self.number += 1
        if len(line) > LONGEST_LINE:
            raise fault(self.number, f"is over {LONGEST_LINE} bytes long")
        if b"\0" in line:
            raise fault(self.number, "holds a NUL byte: this is no CSV")
        try:
            self.taken.append(line.decode())
            return self.taken[-1]
        except UnicodeDecodeError as error:
            raise fault(
                self.number, f"is not UTF-8 (byte {line[error.start]:#x}): save it as UTF-8"
            ) from None


def dialect_of(file: BinaryIO) -> Dialect:
    """Tell the dialect from a file's first records; the file is left somewhere behind them.

    Raises:
        Problem: 400, it is no text.
    """
    file.seek(0)
    first = file.readline(LONGEST_LINE + 1)
    line_end = "\r\n" if first.endswith(b"\r\n") else "\n"
    chosen, best = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        file.seek(0)
        try:
            widths = [len(record) for record in islice(Records(file, delimiter), _LOOKED_AT)]
        except Problem:
            # Another delimiter may make sense of it; if none does, reading it on will say why.
            continue
        if widths and widths[0] > 1:
            score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if score > best:
                chosen, best = delimiter, score
    return Dialect(chosen, line_end, first.startswith(BOM))


def header_of(records: Records) -> list[str]:
    """The names of the columns.

    Raises:
        Problem: 400, the file is empty.
    """
    for record in records:
        return record
    raise Problem(400, "csv_empty", "The file is empty: its first line must name the columns.")


def renamed(header: Sequence[str], columns: dict[str, str]) -> list[str]:
    """The header as the model's fields are named.

    Args:
        columns: the column for each field; other columns keep their names, unless a field has it now.

    Raises:
        Problem: 400, naming the column that is missing, ambiguous or used twice.
    """
    sources = list(columns.values())
    for field, column in columns.items():
        found = header.count(column)
        if found != 1:
            how = "is not in the file" if found == 0 else f"stands {found} times in the file"
            raise Problem(400, "bad_columns", f"Column {column!r}, which was chosen for {field!r}, {how}.")
        if sources.count(column) > 1:
            raise Problem(400, "bad_columns", f"Column {column!r} was chosen for more than one field.")
    field_of = {column: field for field, column in columns.items()}
    taken = {*columns, *(name for name in header if name not in field_of)}
    names = []
    for name in header:
        new = field_of.get(name, name)
        if name not in field_of and name in columns:
            new = unused(name, taken)
            taken.add(new)
        names.append(new)
    return names


def unused(name: str, taken: set[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3``, ... that is not taken."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def fault(line: int, what: str) -> Problem:
    """What is wrong on a line."""
    return Problem(400, "bad_csv", f"Line {line} {what}.", more={"line": line})
