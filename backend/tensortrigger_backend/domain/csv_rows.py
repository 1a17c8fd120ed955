"""Cut a CSV stream at record boundaries, so that a quoted line break never splits a row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

import numpy as np

from tensortrigger_backend.domain.csv_records import Offsets, blank, lone_return, record_ends
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.upload_columns import check_columns

MAX_RECORD = 1 << 20
"""Bytes of one record; a longer one is nearly always a quotation mark that was never closed."""
BOM = b"\xef\xbb\xbf"

_PIECE = 1 << 18
"""Bytes that are looked at at a time: what so little takes stays in the processor's cache and needs no new pages, and
the thread that receives the next bytes is interrupted less often than by smaller pieces."""


class CsvSplitter:
    """Reads a CSV upload block by block and yields slices of whole records.

    Args:
        required: columns that the header must have.
        slice_rows: a slice is cut when it holds this many rows ...
        slice_bytes: ... or this many bytes, whichever comes first.
        delimiter: between fields, one ASCII character.
        keep: further columns that the header must have, once.

    Attributes:
        slice_start: where the next slice may begin; no byte before it is in any that is still to come.
    """

    def __init__(
        self,
        required: Sequence[str],
        slice_rows: int = 50_000,
        slice_bytes: int = 16 << 20,
        delimiter: str = ",",
        keep: Sequence[str] = (),
    ) -> None:
        self.required = tuple(required)
        self.delimiter = delimiter
        self.keep = tuple(keep)
        self.slice_rows = slice_rows
        self.slice_bytes = slice_bytes
        self.columns: tuple[str, ...] = ()
        self.rows = 0
        self._head: bytearray | None = bytearray()
        self._tail = b""
        self._position = 0
        self._lines = 0
        self._number = 0
        self.slice_start = 0
        self._slice_first_row = 0
        self._slice_first_line = 1

    def feed(self, data: bytes) -> Iterator[Slice]:
        """Slices that are complete with this block.

        Raises:
            InvalidInput: a header without the required columns, a NUL byte, or an endless record.
        """
        for at in range(0, len(data), _PIECE):
            yield from self._feed(data[at : at + _PIECE])

    def _feed(self, data: bytes) -> Iterator[Slice]:
        if b"\0" in data:
            before = (self._head or b"") + self._tail + data[: data.index(b"\0")]
            line = self._lines + before.count(b"\n") + 1
            raise _csv_fault("csv_nul", f"Line {line} holds a NUL byte: the file is no text in UTF-8.")
        if self._head is not None:
            self._head += data
            data = self._read_header(last=False)
        if data:
            yield from self._cut(self._tail + data)

    def finish(self) -> Iterator[Slice]:
        """The last slice, when the stream has ended.

        Raises:
            InvalidInput: an empty file, or a quoted field that is never closed.
        """
        if self._head is not None:
            data = self._read_header(last=True)
            if data:
                yield from self._cut(data)
        rest = self._tail.removesuffix(b"\r")
        if rest:
            feeds, ends = record_ends(rest + b"\n", self.delimiter)
            if not len(ends) or ends[-1] != len(rest):
                raise _csv_fault(
                    "csv_quote", f"The quoted field that is open on line {self._lines + 1} is never closed."
                )
            self._refuse_lone_return(rest, feeds)
            self.rows += 1
        self._position += len(self._tail)
        if self.rows > self._slice_first_row:
            yield self._slice(self._position, self.rows)

    def _read_header(self, last: bool) -> bytes:
        """Take the header off the buffered beginning; what follows it comes back."""
        assert self._head is not None
        head = bytes(self._head)
        # Blank lines before the header are no header.
        start = len(head) - len(head.removeprefix(BOM).lstrip(b"\r\n"))
        _, ends = record_ends(head[start:], self.delimiter)
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
        self._position = self.slice_start = after
        self._lines = head[:after].count(b"\n")
        self._slice_first_line = self._lines + 1
        return head[after:]

    def _read_columns(self, record: bytes) -> None:
        try:
            text = record.decode("utf-8")
            columns = next(csv.reader([text], delimiter=self.delimiter, strict=True))
        except UnicodeDecodeError as error:
            raise _csv_fault(
                "csv_encoding", f"The header is not UTF-8: byte {error.start} is {record[error.start]:#x}."
            ) from None
        except csv.Error as error:
            raise _csv_fault("csv_header", f"The header is no CSV record: {error}.") from None
        check_columns(columns, self.required, self.keep, "csv")
        self.columns = tuple(columns)

    def _cut(self, data: bytes) -> Iterator[Slice]:
        """Take whole records off ``data``, which begins where a record begins; the rest waits for the next block."""
        feeds, ends = record_ends(data, self.delimiter)
        if len(ends):
            starts = np.concatenate(([0], ends[:-1] + 1))
            self._refuse_long_record(starts, ends - starts, feeds)
            taken = int(ends[-1]) + 1
            self._refuse_lone_return(data[:taken], feeds)
            rows = self.rows + np.cumsum(~blank(np.frombuffer(data, np.uint8), starts, ends))
            yield from self._slices(ends + 1 + self._position, rows, feeds, self._position)
            self.rows = int(rows[-1])
            self._position += taken
            self._lines += int(np.searchsorted(feeds, taken))
            data = data[taken:]
        self._tail = data
        if len(data) > MAX_RECORD:
            raise _csv_fault(
                "csv_record",
                f"The record that begins on line {self._lines + 1} is over {MAX_RECORD} bytes: "
                "is a quotation mark never closed?",
            )

    def _refuse_long_record(self, starts: Offsets, lengths: Offsets, feeds: Offsets) -> None:
        if int(lengths.max()) > MAX_RECORD:
            start = int(starts[np.argmax(lengths > MAX_RECORD)])
            line = self._lines + int(np.searchsorted(feeds, start)) + 1
            raise _csv_fault(
                "csv_record", f"The record that begins on line {line} is over {MAX_RECORD} bytes."
            )

    def _refuse_lone_return(self, data: bytes, feeds: Offsets) -> None:
        at = lone_return(data)
        if at is not None:
            line = self._lines + int(np.searchsorted(feeds, at)) + 1
            raise _csv_fault(
                "csv_carriage_return",
                f"On line {line} a carriage return stands alone: end lines with a line feed, and quote a field "
                "that holds a line break.",
            )

    def _slices(self, after: Offsets, rows: Offsets, feeds: Offsets, base: int) -> Iterator[Slice]:
        """Cut wherever rows or bytes reach their target; ``after`` are absolute offsets behind records."""
        while True:
            by_rows = int(np.searchsorted(rows, self._slice_first_row + self.slice_rows))
            by_bytes = int(np.searchsorted(after, self.slice_start + self.slice_bytes))
            at = min(by_rows, by_bytes)
            if at >= len(after):
                return
            end, row = int(after[at]), int(rows[at])
            if row > self._slice_first_row:
                yield self._slice(end, row)
            self.slice_start, self._slice_first_row = end, row
            self._slice_first_line = self._lines + int(np.searchsorted(feeds, end - base)) + 1

    def _slice(self, end: int, row: int) -> Slice:
        number = self._number
        self._number += 1
        return Slice(
            number,
            self.slice_start,
            end - self.slice_start,
            self._slice_first_row,
            row - self._slice_first_row,
            self._slice_first_line,
        )


def _csv_fault(code: str, message: str) -> InvalidInput:
    return InvalidInput.of(Fault(("input_data",), code, message))
