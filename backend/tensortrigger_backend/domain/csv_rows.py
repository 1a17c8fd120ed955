"""Cut a CSV stream at record boundaries, so that a quoted line break never splits a row (SAFETY C)."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Slice

MAX_RECORD = 1 << 20
"""Bytes of one record; a longer one is nearly always a quotation mark that was never closed."""
MAX_COLUMNS = 10_000
BOM = b"\xef\xbb\xbf"

Offsets = npt.NDArray[np.int64]


def record_ends(block: npt.NDArray[np.uint8], inside_quotes: bool) -> tuple[Offsets, Offsets, bool]:
    """Where records end in a block.

    Args:
        block: bytes of the file.
        inside_quotes: whether a quoted field is open where the block begins.

    Returns:
        offsets of all line feeds, offsets of those that end a record (even quote parity), and whether a
        quoted field is open where the block ends.
    """
    feeds = np.flatnonzero(block == 0x0A)
    quotes = np.flatnonzero(block == 0x22)
    if not len(quotes):
        return feeds, feeds[:0] if inside_quotes else feeds, inside_quotes
    parity = (np.searchsorted(quotes, feeds) + inside_quotes) & 1
    return feeds, feeds[parity == 0], bool((len(quotes) + inside_quotes) & 1)


def record_lines(data: bytes, first_line: int) -> npt.NDArray[np.int64]:
    """The line of the file on which each record of a slice begins, blank lines left out."""
    block = np.frombuffer(data, np.uint8)
    feeds, ends, _ = record_ends(block, False)
    if len(block) and (not len(ends) or ends[-1] != len(block) - 1):
        ends = np.append(ends, len(block))
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    filled = ~_blank(block, starts, ends)
    return first_line + np.searchsorted(feeds, starts[filled])


def misread_line(data: bytes, first_line: int) -> int | None:
    """A line of a slice on which a record does not end where quote parity says; None if all of them do.

    A parser takes a quotation mark inside an unquoted field as it stands, parity counts it.
    """
    block = np.frombuffer(data, np.uint8)
    opening = np.flatnonzero(block == 0x22)[::2]
    usual = (opening == 0) | np.isin(block[opening - 1], np.frombuffer(b',\n"', np.uint8))
    if usual.all():
        return None
    feeds, ends, _ = record_ends(block, False)
    counted = np.searchsorted(feeds, ends) + 1
    lines = data.decode("latin-1").removesuffix("\n").split("\n")
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    try:
        for (place, _), end in zip(enumerate(reader), itertools.chain(counted, [len(lines)]), strict=False):
            if reader.line_num != end:
                return first_line + int(counted[place - 1] if place else 0)
    except csv.Error:
        return first_line + max(reader.line_num - 1, 0)
    return None


class CsvSplitter:
    """Reads a CSV upload block by block and yields slices of whole records.

    Args:
        required: columns that the header must have.
        slice_rows: a slice is cut when it holds this many rows ...
        slice_bytes: ... or this many bytes, whichever comes first.
    """

    def __init__(self, required: Sequence[str], slice_rows: int = 50_000, slice_bytes: int = 8 << 20) -> None:
        self.required = tuple(required)
        self.slice_rows = slice_rows
        self.slice_bytes = slice_bytes
        self.columns: tuple[str, ...] = ()
        self.rows = 0
        self._head: bytearray | None = bytearray()
        self._position = 0
        self._lines = 0
        self._inside = False
        self._record_start = 0
        self._last_byte = 0
        self._number = 0
        self._slice_start = 0
        self._slice_first_row = 0
        self._slice_first_line = 1

    def feed(self, data: bytes) -> Iterator[Slice]:
        """Slices that are complete with this block.

        Raises:
            InvalidInput: a header without the required columns, a NUL byte, or an endless record.
        """
        if b"\0" in data:
            line = self._lines + data[: data.index(b"\0")].count(b"\n") + 1
            raise _csv_fault("csv_nul", f"Line {line} holds a NUL byte: the file is not CSV text.")
        if self._head is not None:
            self._head += data
            data = self._read_header(last=False)
        if data:
            yield from self._cut(data)

    def finish(self) -> Iterator[Slice]:
        """The last slice, when the stream has ended.

        Raises:
            InvalidInput: an empty file, or a quoted field that is never closed.
        """
        if self._head is not None:
            data = self._read_header(last=True)
            if data:
                yield from self._cut(data)
        if self._inside:
            raise _csv_fault(
                "csv_quote", f"The quoted field that is open on line {self._record_line()} is never closed."
            )
        if self._position > self._record_start and not (
            self._position - self._record_start == 1 and self._last_byte == 0x0D
        ):
            self.rows += 1
        if self.rows > self._slice_first_row:
            yield self._slice(self._position, self.rows)

    def _read_header(self, last: bool) -> bytes:
        """Take the header off the buffered beginning; what follows it comes back."""
        assert self._head is not None
        head = bytes(self._head)
        # Blank lines before the header are no header.
        start = len(head) - len(head.removeprefix(BOM).lstrip(b"\r\n"))
        _, ends, _ = record_ends(np.frombuffer(head, np.uint8)[start:], False)
        if len(ends):
            end = start + int(ends[0])
        elif last:
            end = len(head)
        elif len(head) > MAX_RECORD:
            raise _csv_fault("csv_header", f"No header line ends within the first {MAX_RECORD} bytes.")
        else:
            return b""
        record = head[start:end].rstrip(b"\r")
        if not record:
            raise _csv_fault("csv_empty", "The file is empty: its first line must name the columns.")
        self._read_columns(record)
        self._head = None
        after = min(end + 1, len(head))
        self._position = self._record_start = self._slice_start = after
        self._lines = head[:after].count(b"\n")
        self._slice_first_line = self._lines + 1
        return head[after:]

    def _read_columns(self, record: bytes) -> None:
        try:
            text = record.decode("utf-8")
            columns = next(csv.reader([text], strict=True))
        except UnicodeDecodeError as error:
            raise _csv_fault(
                "csv_encoding", f"The header is not UTF-8: byte {error.start} is {record[error.start]:#x}."
            ) from None
        except csv.Error as error:
            raise _csv_fault("csv_header", f"The header is no CSV record: {error}.") from None
        if len(columns) > MAX_COLUMNS:
            raise _csv_fault(
                "csv_columns", f"The header names {len(columns)} columns, {MAX_COLUMNS} at most."
            )
        faults = []
        for name in self.required:
            count = columns.count(name)
            if count == 0:
                near = next(
                    (column for column in columns if column.strip().lower() == name.strip().lower()), None
                )
                hint = f" (there is {near!r}: names must match exactly)" if near is not None else ""
                faults.append(
                    Fault(
                        ("input_data", name),
                        "csv_missing_column",
                        f"Column {name!r} is missing{hint}.",
                        ", ".join(self.required[:20]),
                        ", ".join(columns[:20])[:400],
                    )
                )
            elif count > 1:
                faults.append(
                    Fault(
                        ("input_data", name),
                        "csv_duplicate_column",
                        f"Column {name!r} stands {count} times in the header.",
                        "once",
                        str(count),
                    )
                )
        if faults:
            raise InvalidInput.of(*faults[:100])
        self.columns = tuple(columns)

    def _cut(self, data: bytes) -> Iterator[Slice]:
        block = np.frombuffer(data, np.uint8)
        feeds, ends, inside = record_ends(block, self._inside)
        base = self._position
        if len(ends):
            starts = np.concatenate(([self._record_start - base], ends[:-1] + 1))
            if int((ends - starts).max()) > MAX_RECORD:
                worst = int(np.argmax((ends - starts) > MAX_RECORD))
                line = self._lines + int(np.searchsorted(feeds, max(int(starts[worst]), 0))) + 1
                raise _csv_fault(
                    "csv_record", f"The record that begins near line {line} is over {MAX_RECORD} bytes."
                )
            rows = self.rows + np.cumsum(~_blank(block, starts, ends, self._last_byte))
            yield from self._slices(ends + 1 + base, rows, feeds, base)
            self.rows = int(rows[-1])
            self._record_start = base + int(ends[-1]) + 1
        self._position = base + len(block)
        self._lines += len(feeds)
        self._inside = inside
        self._last_byte = int(block[-1])
        if self._position - self._record_start > MAX_RECORD:
            raise _csv_fault(
                "csv_record",
                f"The record that begins near line {self._record_line()} is over {MAX_RECORD} bytes: "
                "is a quotation mark never closed?",
            )

    def _slices(self, after: Offsets, rows: Offsets, feeds: Offsets, base: int) -> Iterator[Slice]:
        """Cut wherever rows or bytes reach their target; ``after`` are absolute offsets behind records."""
        while True:
            by_rows = int(np.searchsorted(rows, self._slice_first_row + self.slice_rows))
            by_bytes = int(np.searchsorted(after, self._slice_start + self.slice_bytes))
            at = min(by_rows, by_bytes)
            if at >= len(after):
                return
            end, row = int(after[at]), int(rows[at])
            if row > self._slice_first_row:
                yield self._slice(end, row)
            self._slice_start, self._slice_first_row = end, row
            self._slice_first_line = self._lines + int(np.searchsorted(feeds, end - base)) + 1

    def _slice(self, end: int, row: int) -> Slice:
        number = self._number
        self._number += 1
        return Slice(
            number,
            self._slice_start,
            end - self._slice_start,
            self._slice_first_row,
            row - self._slice_first_row,
            self._slice_first_line,
        )

    def _record_line(self) -> int:
        return self._lines + 1


def _blank(
    block: npt.NDArray[np.uint8], starts: Offsets, ends: Offsets, byte_before: int = 0
) -> npt.NDArray[np.bool_]:
    """Which records are empty lines: nothing, or a lone carriage return, before the line feed."""
    lengths = ends - starts
    blank = lengths == 0
    single = np.flatnonzero(lengths == 1)
    if len(single):
        at = starts[single]
        inside = np.clip(at, 0, len(block) - 1)
        blank[single] = np.where(at < 0, byte_before, block[inside]) == 0x0D
    return np.asarray(blank, np.bool_)


def _csv_fault(code: str, message: str) -> InvalidInput:
    return InvalidInput.of(Fault(("input_data",), code, message))
