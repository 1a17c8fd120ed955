"""Rows of a Parquet upload, read by row groups and some rows at a time."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from tensortrigger_backend.adapters.arrow_columns import check_schema, read_columns, rows_at_once
from tensortrigger_backend.adapters.kept_columns import MAX_BYTES, too_heavy, weigh
from tensortrigger_backend.adapters.parquet_pages import FOOTER, check_footer, check_pages, delta_texts
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.row_groups import GroupCutter
from tensortrigger_backend.ports.rows import CutSize, RowBatch, RowSource, RowSplitter, Wanted

BATCH_ROWS = 16_384
DELTA_ROWS = 64
"""The same of texts in a DELTA encoding, each of which may be as long as a page of them: 256 MiB at most."""
BUFFER = 256 << 10
"""Bytes of a column that are read at a time."""


class ParquetRows:
    """Keeps the ``RowFormatReader`` promise."""

    def splitter(self, wanted: Wanted, size: CutSize, stored: Callable[[], BinaryIO]) -> RowSplitter:
        """See ``RowFormatReader.splitter``."""
        return ParquetSplitter(wanted, size, stored)

    def read(
        self,
        source: RowSource,
        columns: Sequence[str],  # noqa: ARG002 - the rows name them themselves
        slice_: Slice,
        wanted: Wanted,
    ) -> Iterator[RowBatch]:
        """See ``RowFormatReader.read``."""
        weight = 0
        with source.open() as stream:
            batches = _batches(stream, slice_, wanted)
            while True:
                # Not around the whole loop: what goes wrong while a batch is scored is no fault of the file.
                with refusals(reading=True):
                    found = next(batches, None)
                    if found is None:
                        return
                    batch, first_row = found
                    weight += sum(
                        weigh(batch.column(batch.schema.get_field_index(name))) for name in wanted.keep
                    )
                    if weight > MAX_BYTES:
                        raise too_heavy()
                    rows = read_columns(batch, first_row, wanted)
                yield rows


class ParquetSplitter:
    """Keeps the ``RowSplitter`` promise: the file is described at its end, so nothing is known before."""

    def __init__(self, wanted: Wanted, size: CutSize, stored: Callable[[], BinaryIO]) -> None:
        self.columns: tuple[str, ...] = ()
        self.rows = 0
        self._wanted = wanted
        self._size = size
        self._stored = stored

    def feed(self, data: bytes) -> Iterator[Slice]:
        """See ``RowSplitter.feed``."""
        del data
        return iter(())

    def finish(self) -> Iterator[Slice]:
        """See ``RowSplitter.finish``."""
        with self._stored() as stream, refusals():
            check_footer(stream)
            file = _open(stream, ())
            schema, metadata = file.schema_arrow, file.metadata
            self.columns = check_schema(schema, self._wanted, "parquet")
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            rows = [group.num_rows for group in groups]
            _refuse_too_many(rows, len(self.columns), self._size.upload_bytes)
            names = [*self._wanted.schema.input_names, *self._wanted.keep]
            check_pages(stream, metadata.schema, names)
            cutter = GroupCutter(self._size.rows, self._size.bytes)
            weight = 0
            for group, count in zip(groups, rows, strict=True):
                # A slice is found again by its rows; its bytes only tell how large it is.
                size = min(max(group.total_byte_size, 0), self._size.upload_bytes)
                yield from cutter.add(count, weight, size)
                weight += size
            yield from cutter.finish()
            self.rows = cutter.rows


@contextlib.contextmanager
def refusals(reading: bool = False) -> Iterator[None]:
    """What Arrow finds wrong with a file, as what its sender is told.

    Args:
        reading: a file that was found good when it was cut: what memory there is now is no fault of it.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        # What the system says has a number, what Arrow says of a file has none; a file may name a place that none has.
        if getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise
        if reading and isinstance(error, MemoryError):
            raise
        cause = str(error).partition("\n")[0][:200].removesuffix(".")
        message = f"The upload is damaged, or is no file that can be read: {cause}."
        raise InvalidInput.of(Fault(("input_data",), "damaged", message)) from None


def _open(stream: BinaryIO, texts: Sequence[str]) -> Any:
    """The file; columns named in ``texts`` come as dictionaries where they lie as such, so that none unfolds."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        stream,
        read_dictionary=list(texts),
        buffer_size=BUFFER,
        # Or a whole row group is fetched before its first row is read.
        pre_buffer=False,
        thrift_string_size_limit=FOOTER,
        thrift_container_size_limit=FOOTER // 64,
    )


def _batches(stream: BinaryIO, slice_: Slice, wanted: Wanted) -> Iterator[tuple[Any, int]]:
    """Record batches of the slice's rows, each with the row that it begins with."""
    names = list(dict.fromkeys([*wanted.schema.input_names, *wanted.keep]))
    plain = _open(stream, ())
    types = {field.name: field.type for field in plain.schema_arrow}
    texts = [name for name in names if _is_text(types[name])]
    delta = delta_texts(stream, plain.metadata.schema, texts) if texts else set()
    file = _open(stream, [name for name in texts if name not in delta])
    first, groups, begins = 0, [], None
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if first < slice_.first_row + slice_.rows and first + rows > slice_.first_row:
            groups.append(number)
            begins = first if begins is None else begins
        first += rows
    at, end = begins or 0, slice_.first_row + slice_.rows
    size = rows_at_once(max(1, DELTA_ROWS // len(delta)) if delta else BATCH_ROWS, wanted)
    for batch in file.iter_batches(size, row_groups=groups, columns=names, use_threads=False):
        start, stop = max(slice_.first_row - at, 0), min(end - at, batch.num_rows)
        if start < stop:
            for name in texts:
                # Places outside their dictionary would be followed otherwise.
                batch.column(batch.schema.get_field_index(name)).validate(full=True)
            batch = _without_views(batch)
            yield batch.slice(start, stop - start), at + start
        at += batch.num_rows
        if at >= end:
            return


def _without_views(batch: Any) -> Any:
    """Views of texts, as they come where no dictionary does, as the texts that all functions of Arrow know."""
    import pyarrow as pa

    return batch.cast(
        pa.schema(
            field.with_type(pa.large_string()) if pa.types.is_string_view(field.type) else field
            for field in batch.schema
        )
    )


def _is_text(arrow_type: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type)
    )


def _refuse_too_many(rows: Sequence[int], columns: int, limit: int) -> None:
    """As a CSV, every value is a byte at least, so a small file cannot order more work than a large one."""
    if min(rows, default=0) < 0:
        raise ValueError("a row group has a negative number of rows")
    if sum(rows) * max(columns, 1) > limit:
        message = f"The upload holds {sum(rows)} rows of {columns} columns: over the limit of {limit} values."
        raise InvalidInput.of(Fault(("input_data",), "parquet_rows", message, str(limit)))
