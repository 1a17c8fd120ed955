"""Rows of a CSV upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from tensortrigger_backend.adapters.csv_arrow import ArrowCsvReader
from tensortrigger_backend.domain.csv_rows import CsvSplitter
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.ports.rows import CutSize, RowBatch, RowSource, RowSplitter, Wanted


class CsvRows:
    """Keeps the ``RowFormatReader`` promise."""

    def __init__(self) -> None:
        self._reader = ArrowCsvReader()

    def splitter(
        self,
        wanted: Wanted,
        size: CutSize,
        stored: Callable[[], BinaryIO],  # noqa: ARG002 - what another format needs
    ) -> RowSplitter:
        """See ``RowFormatReader.splitter``."""
        return CsvSplitter(wanted.schema.input_names, size.rows, size.bytes, wanted.delimiter, wanted.keep)

    def read(
        self, source: RowSource, columns: Sequence[str], slice_: Slice, wanted: Wanted
    ) -> Iterator[RowBatch]:
        """See ``RowFormatReader.read``."""
        yield self._reader.read(
            source.bytes(), columns, wanted.schema, slice_, wanted.dtype, wanted.delimiter, wanted.keep
        )
