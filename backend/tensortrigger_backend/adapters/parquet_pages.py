"""Do the pages of a Parquet file unpack to sizes that fit into memory? Arrow believes whatever they say of themselves.

A page begins with a Thrift struct; only its sizes are read here. So is where the pages are: Arrow for Python ends the
whole process when it is asked for the description of a column that contradicts itself.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from tensortrigger_backend.adapters.thrift_compact import I32, I64, STRUCT, CompactReader
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.upload_format import PARQUET_MAGIC

FOOTER = 16 << 20
"""How large the description of a file may be: walking over one of a MiB takes a tenth of a second and more."""
MAX_PAGE = 64 << 20
"""Bytes that one page may unpack to; writers make pages of about one MiB."""
MAX_DELTA_PAGE = 4 << 20
"""The same of columns in a DELTA encoding: a text may repeat the one before it, so each may be as long as its page."""
MAX_HEADER = 1 << 20
_WINDOW = 4096
# Walks hold the interpreter's lock most of the time: side by side they would only keep requests waiting.
_WALKING = threading.Lock()
# Fields of the structs of the footer and of a page's header.
_ROW_GROUPS, _COLUMNS, _ROWS, _DESCRIBED = 4, 1, 3, 3
_ENCODINGS, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 2, 7, 9, 11
_UNCOMPRESSED, _COMPRESSED = 2, 3
_DELTA_LENGTH_BYTE_ARRAY, _DELTA_BYTE_ARRAY = 6, 7


def check_footer(stream: BinaryIO) -> None:
    """Raises InvalidInput where the file describes itself in more than ``FOOTER`` bytes."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 8))
    end = stream.read(8)
    length = int.from_bytes(end[:4], "little")
    # Of a file that ends otherwise Arrow says what is wrong with it.
    if end.endswith(PARQUET_MAGIC) and length > FOOTER:
        message = f"The footer of the file has {length} bytes, {FOOTER} at most: write larger row groups."
        raise InvalidInput.of(Fault(("input_data",), "parquet_footer", message, str(FOOTER), str(length)))


def check_pages(stream: BinaryIO, schema: Any, names: Sequence[str]) -> None:
    """Raises InvalidInput where a page of these columns would unpack to more than ``MAX_PAGE``, or ``MAX_DELTA_PAGE``.

    Args:
        schema: the file's own, as ``pyarrow.parquet`` has it.
    """
    for name, chunk in _chunks_of(stream, schema, names):
        most = MAX_DELTA_PAGE if chunk.delta else MAX_PAGE
        for size in _page_sizes(stream, chunk):
            if not 0 <= size <= most:
                raise _too_large(name, size, most)


def delta_texts(stream: BinaryIO, schema: Any, names: Sequence[str]) -> set[str]:
    """Those of these columns that have texts in a DELTA encoding, which Arrow cannot read as dictionaries."""
    return {name for name, chunk in _chunks_of(stream, schema, names) if chunk.delta}


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One column of one group: the bytes of its pages, and whether it has texts in a DELTA encoding."""

    at: int
    size: int
    delta: bool


def _chunks_of(stream: BinaryIO, schema: Any, names: Sequence[str]) -> list[tuple[str, _Chunk]]:
    paths = [schema.column(place).path for place in range(len(schema))]
    wanted = {place: path for place, path in enumerate(paths) if path in names}
    footer = _footer(stream)
    try:
        with _WALKING:
            found = _columns(CompactReader(footer), len(paths))
            return [(wanted[place], chunk) for place, chunk in found if place in wanted]
    except IndexError:
        raise ValueError("the description of the file is cut off") from None


def _too_large(name: str, size: int, most: int) -> InvalidInput:
    message = f"A page of column {name!r} unpacks to {size} bytes, {most} at most: write smaller pages."
    return InvalidInput.of(Fault(("input_data",), "parquet_page", message, str(most), str(size)))


def _footer(stream: BinaryIO) -> bytes:
    stream.seek(-8, os.SEEK_END)
    (length,) = struct.unpack_from("<I", stream.read(8))
    stream.seek(-8 - length, os.SEEK_END)
    return stream.read(length)


def _columns(reader: CompactReader, count: int) -> Iterator[tuple[int, _Chunk]]:
    """Each column of each group that has rows, with its place in the schema."""
    for field, kind in reader.fields():
        if field != _ROW_GROUPS:
            reader.skip(kind)
            continue
        for _ in reader.structs(kind):
            rows, columns = 0, list[tuple[int, _Chunk]]()
            for inner, kind_of_it in reader.fields():
                if inner == _COLUMNS:
                    columns += [(place, _described(reader)) for place in reader.structs(kind_of_it)]
                elif inner == _ROWS:
                    rows = reader.number(kind_of_it, I64)
                else:
                    reader.skip(kind_of_it)
            if len(columns) != count:
                raise ValueError("a row group has other columns than the file")
            # Of a group without rows nothing is ever read.
            yield from columns if rows else ()


def _described(reader: CompactReader) -> _Chunk:
    found: dict[int, int] = {}
    encodings: set[int] = set()
    for field, kind in reader.fields():
        if field != _DESCRIBED:
            reader.skip(kind)
        elif kind != STRUCT:
            raise ValueError("a value of another kind")
        else:
            for inner, kind_of_it in reader.fields():
                if inner in (_SIZE, _DATA_PAGE, _DICTIONARY_PAGE):
                    found[inner] = reader.number(kind_of_it, I64)
                elif inner == _ENCODINGS:
                    encodings.update(reader.numbers(kind_of_it, I32))
                else:
                    reader.skip(kind_of_it)
    if not {_SIZE, _DATA_PAGE} <= found.keys():
        raise ValueError("a column does not tell where it is")
    at = found[_DATA_PAGE]
    if found.get(_DICTIONARY_PAGE):
        at = min(at, found[_DICTIONARY_PAGE])
    return _Chunk(at, found[_SIZE], not encodings.isdisjoint((_DELTA_LENGTH_BYTE_ARRAY, _DELTA_BYTE_ARRAY)))


def _page_sizes(stream: BinaryIO, chunk: _Chunk) -> Iterator[int]:
    at, end = chunk.at, chunk.at + chunk.size
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
            reader, sizes = CompactReader(data), dict[int, int]()
            for field, kind in reader.fields():
                if field in (_UNCOMPRESSED, _COMPRESSED):
                    sizes[field] = reader.number(kind, I32)
                else:
                    reader.skip(kind)
            if len(sizes) < 2:
                raise ValueError("a page does not tell its size")
            return sizes, reader.at
        except IndexError:
            if len(data) < window or window >= MAX_HEADER:
                raise ValueError("a page's header is cut off") from None
            window *= 16
