"""Do the pages of a Parquet file unpack to sizes that fit into memory? Arrow believes whatever they say of themselves.

A page begins with a Thrift struct in the compact protocol; only its sizes are read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from tensortrigger_backend.domain.errors import Fault, InvalidInput

MAX_PAGE = 64 << 20
"""Bytes that one page may unpack to; writers make pages of about one MiB."""
MAX_HEADER = 1 << 20
_WINDOW = 4096
_UNCOMPRESSED, _COMPRESSED = 2, 3
_BOOLEANS, _BYTE, _NUMBERS, _DOUBLE, _BINARY = (1, 2), 3, (4, 5, 6), 7, 8
_LISTS, _MAP, _STRUCT = (9, 10), 11, 12
_DEEPEST = 8


def check_pages(stream: BinaryIO, metadata: Any, names: Sequence[str]) -> None:
    """Raises InvalidInput where a page of these columns would unpack to more than ``MAX_PAGE``."""
    wanted = set(names)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.num_rows == 0:
            # Nothing of it is ever read.
            continue
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema in wanted:
                for size in _page_sizes(stream, column):
                    if not 0 <= size <= MAX_PAGE:
                        message = (
                            f"A page of column {column.path_in_schema!r} unpacks to {size} bytes, "
                            f"{MAX_PAGE} at most: write smaller pages."
                        )
                        raise InvalidInput.of(
                            Fault(("input_data",), "parquet_page", message, str(MAX_PAGE), str(size))
                        )


def _page_sizes(stream: BinaryIO, column: Any) -> Iterator[int]:
    at = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset:
        at = min(at, column.dictionary_page_offset)
    end = at + column.total_compressed_size
    if at < 0:
        raise ValueError("a column begins before the file does")
    while at < end:
        sizes, length = _header(stream, at)
        yield sizes[_UNCOMPRESSED]
        if sizes[_COMPRESSED] < 0:
            raise ValueError("a page has a negative size")
        at += length + sizes[_COMPRESSED]


def _header(stream: BinaryIO, at: int) -> tuple[dict[int, int], int]:
    """The sizes that the page at this place tells, and how long its header is."""
    window = _WINDOW
    while True:
        stream.seek(at)
        data = stream.read(window)
        try:
            reader = _Compact(data)
            sizes = reader.numbers()
            if not {_UNCOMPRESSED, _COMPRESSED} <= sizes.keys():
                raise ValueError("a page does not tell its size")
            return sizes, reader.at
        except IndexError:
            if len(data) < window or window >= MAX_HEADER:
                raise ValueError("a page's header is cut off") from None
            window *= 16


class _Compact:
    """Walks over one struct. Raises IndexError at the end of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def numbers(self, depth: int = 0) -> dict[int, int]:
        """The whole numbers that stand in the struct itself, by their fields."""
        if depth > _DEEPEST:
            raise ValueError("a page's header is nested too deep")
        found, field = {}, 0
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self._signed()
            number = self._value(head & 0x0F, depth)
            if number is not None:
                found[field] = number
        return found

    def _value(self, kind: int, depth: int) -> int | None:
        if kind in _NUMBERS:
            return self._signed()
        if kind == _BYTE:
            self._skip(1)
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._unsigned())
        elif kind == _STRUCT:
            self.numbers(depth + 1)
        elif kind in _LISTS:
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._unsigned()):
                self._element(head & 0x0F, depth)
        elif kind == _MAP:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._element(kinds >> 4, depth)
                self._element(kinds & 0x0F, depth)
        elif kind not in _BOOLEANS:
            raise ValueError("a page's header is no Thrift")
        return None

    def _element(self, kind: int, depth: int) -> None:
        # A truth value is a byte of its own there; in a field it is part of the type.
        if kind in _BOOLEANS:
            self._skip(1)
        else:
            self._value(kind, depth)

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
