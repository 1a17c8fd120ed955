"""Cut a stream of JSON lines between two of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tensortrigger_backend.domain.csv_records import Offsets, blank
from tensortrigger_backend.domain.csv_rows import BOM
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Slice

MAX_LINE = 1 << 20
"""Bytes of one line."""


class NdjsonSplitter:
    """Reads an upload block by block and yields slices of whole lines; empty lines are no rows.

    Args:
        slice_rows: a slice is cut when it holds this many rows ...
        slice_bytes: ... or this many bytes, whichever comes first.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, slice_rows: int, slice_bytes: int) -> None:
        self.rows = 0
        self._slice_rows = slice_rows
        self._slice_bytes = slice_bytes
        self._begun = False
        self._tail = b""
        self._position = 0
        self._lines = 0
        self._open = (0, 0, 1)
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Slice]:
        """Slices that are complete with this block. Raises InvalidInput for an endless line."""
        data = self._tail + data
        if not self._begun:
            if len(data) < len(BOM):
                self._tail = data
                return
            data = self._begin(data)
        whole = data.rfind(b"\n") + 1
        if whole:
            yield from self._cut(data[:whole])
        self._tail = data[whole:]
        if len(self._tail) > MAX_LINE:
            raise self._too_long(self._lines + 1)

    def finish(self) -> Iterator[Slice]:
        """The last slice."""
        data, self._tail = self._tail if self._begun else self._begin(self._tail), b""
        if data:
            # The last line needs no line feed.
            yield from self._cut(data, last=True)
        if self.rows > self._open[1]:
            yield self._slice(self._position, self.rows)

    def _begin(self, data: bytes) -> bytes:
        self._begun = True
        text = data.removeprefix(BOM)
        self._position = len(data) - len(text)
        self._open = (self._position, 0, 1)
        return text

    def _cut(self, data: bytes, last: bool = False) -> Iterator[Slice]:
        block = np.frombuffer(data, np.uint8)
        ends: Offsets = np.flatnonzero(block == 0x0A)
        if last:
            ends = np.append(ends, len(data))
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts
        if int(lengths.max()) > MAX_LINE:
            raise self._too_long(self._lines + 1 + int(np.argmax(lengths > MAX_LINE)))
        rows = self.rows + np.cumsum(~blank(block, starts, ends))
        after = np.minimum(ends + 1, len(data)) + self._position
        while True:
            start, first_row, _ = self._open
            by_rows = int(np.searchsorted(rows, first_row + self._slice_rows))
            at = min(by_rows, int(np.searchsorted(after, start + self._slice_bytes)))
            if at >= len(after):
                break
            end, row = int(after[at]), int(rows[at])
            if row > first_row:
                yield self._slice(end, row)
            self._open = (end, row, self._lines + at + 2)
        self.rows = int(rows[-1])
        self._position += len(data)
        self._lines += len(ends)

    def _slice(self, end: int, row: int) -> Slice:
        start, first_row, first_line = self._open
        self._number += 1
        return Slice(self._number - 1, start, end - start, first_row, row - first_row, first_line)

    def _too_long(self, line: int) -> InvalidInput:
        message = f"Line {line} is over {MAX_LINE} bytes: NDJSON has one object a line."
        return InvalidInput.of(Fault(("input_data",), "ndjson_line", message, str(MAX_LINE)))
