"""Cut rows that come in groups, of which one is read whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from tensortrigger_backend.domain.jobs import Slice

SPLIT_FROM = 4
"""A group is cut only when it holds so many times the rows of a slice: each piece of it reads the group again."""


class GroupCutter:
    """Gathers groups into slices. ``first_line`` of a slice is the row with which its bytes begin, from 0."""

    def __init__(self, slice_rows: int, slice_bytes: int) -> None:
        self.rows = 0
        self._slice_rows = slice_rows
        self._slice_bytes = slice_bytes
        self._number = 0
        self._start = 0
        self._end = 0
        self._first_row = 0

    def add(self, rows: int, offset: int, length: int) -> Iterator[Slice]:
        """The next group, and slices that are complete with it."""
        if self.rows == self._first_row:
            self._start = offset
        most = SPLIT_FROM * self._slice_rows
        if rows > most:
            yield from self.finish()
            self._start = offset
            pieces = -(-rows // most)
            first = self.rows
            for piece in range(pieces):
                start, end = first + rows * piece // pieces, first + rows * (piece + 1) // pieces
                yield self._slice(offset + length, start, end, first)
            self.rows = self._first_row = first + rows
            return
        self.rows += rows
        self._end = offset + length
        if self.rows - self._first_row >= self._slice_rows or self._end - self._start >= self._slice_bytes:
            yield from self.finish()

    def finish(self) -> Iterator[Slice]:
        """The last slice."""
        if self.rows > self._first_row:
            yield self._slice(self._end, self._first_row, self.rows, self._first_row)
            self._first_row = self.rows

    def _slice(self, end: int, first_row: int, last: int, begins: int) -> Slice:
        self._number += 1
        return Slice(self._number - 1, self._start, end - self._start, first_row, last - first_row, begins)
