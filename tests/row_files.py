"""Files of rows in every format, and what their readers make of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tensortrigger_backend.adapters.kept_columns import ArrowColumn
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import CutSize, Wanted

FIELDS = (
    Field("size"),
    Field("rooms", "INT", minimum=0),
    Field("new", "BOOL"),
    Field("city", "STRING", categories=(("Rome", 1.0), ("Oslo", 2.0)), fill="Oslo"),
)
WANTED = Wanted(VectorSchema(FIELDS), np.dtype(np.float32), ("id", "note"))
CITY = Wanted(VectorSchema((FIELDS[3],)))
KEPT_CITY = Wanted(VectorSchema((FIELDS[3],)), None, ("city",))
NAMES = ("id", "size", "rooms", "new", "city", "note")
TYPES = (pa.int64(), pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.string())
LIMIT = 1 << 26
Rows = list[tuple[Any, ...]]
Writer = Callable[[Rows], bytes]


@dataclass(frozen=True)
class Stored:
    """Keeps the ``RowSource`` promise."""

    data: bytes
    slice: Slice

    def bytes(self) -> bytes:
        return self.data[self.slice.offset : self.slice.offset + self.slice.length]

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def table(rows: Rows) -> pa.Table:
    columns = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(TYPES)]
    return pa.table(columns, names=list(NAMES))


def as_csv(rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(NAMES)
    for row in rows:
        # Without quotation marks a row of nothing would be no row.
        writer.writerow(
            ["" if value is None else repr(value) if isinstance(value, float) else value for value in row]
        )
    return text.getvalue().encode()


def as_ndjson(rows: Rows) -> bytes:
    return "\r\n".join(
        json.dumps(dict(zip(NAMES, row, strict=True)), allow_nan=False) for row in rows
    ).encode()


def as_parquet(rows: Rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(rows), sink, row_group_size=7, compression="snappy")
    return sink.getvalue()


def as_arrow(
    rows: Rows, new: Any = pa.ipc.new_stream, compression: str | None = None, size: int = 5
) -> bytes:
    sink = io.BytesIO()
    whole = table(rows)
    with new(sink, whole.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(whole, max_chunksize=size)
    return sink.getvalue()


def as_polars_writes(rows: Rows) -> bytes:
    """An Arrow file whose schema has neither a mark nor a length before it."""
    data = as_arrow(rows, pa.ipc.new_file)
    return data[:8] + data[16:]


WRITERS: dict[str, tuple[RowFormat, Writer]] = {
    "csv": (RowFormat.CSV, as_csv),
    "ndjson": (RowFormat.NDJSON, as_ndjson),
    "parquet": (RowFormat.PARQUET, as_parquet),
    "arrow stream": (RowFormat.ARROW, as_arrow),
    "arrow file": (RowFormat.ARROW, lambda rows: as_arrow(rows, pa.ipc.new_file)),
    "arrow file of polars": (RowFormat.ARROW, as_polars_writes),
    "arrow lz4": (RowFormat.ARROW, lambda rows: as_arrow(rows, compression="lz4")),
    "arrow in one batch": (RowFormat.ARROW, lambda rows: as_arrow(rows, size=10_000)),
}


def cut(
    row_format: RowFormat, data: bytes, block: int, wanted: Wanted = WANTED, rows: int = 4
) -> tuple[Any, list[Slice]]:
    """The splitter of a format, given so many bytes at a time, and the slices that it made."""
    size = CutSize(rows, 1 << 20, LIMIT)
    splitter = row_formats()[row_format].splitter(wanted, size, lambda: io.BytesIO(data))
    slices = [slice_ for at in range(0, len(data), block) for slice_ in splitter.feed(data[at : at + block])]
    return splitter, [*slices, *splitter.finish()]


def read(
    row_format: RowFormat, data: bytes, block: int = 1 << 16, wanted: Wanted = WANTED
) -> tuple[Any, Any, Any]:
    """Values by row, rejects by row, and kept values by row."""
    splitter, slices = cut(row_format, data, block, wanted)
    assert [slice_.number for slice_ in slices] == list(range(len(slices)))
    assert [slice_.first_row for slice_ in slices] == list(np.cumsum([0, *[one.rows for one in slices]]))[:-1]
    assert sum(slice_.rows for slice_ in slices) == splitter.rows
    values, rejects, kept = {}, {}, {}
    for slice_ in slices:
        count = 0
        for batch in row_formats()[row_format].read(Stored(data, slice_), splitter.columns, slice_, wanted):
            columns = [ArrowColumn(batch.kept[name]).values() for name in wanted.keep]
            for at, row in enumerate(batch.rows):
                values[int(row)] = batch.values[at].astype(np.float32).tolist()
                kept[int(row)] = tuple(column[at] for column in columns)
            rejects |= {reject.row: (reject.field, reject.code) for reject in batch.rejects}
            count += len(batch.rows) + len(batch.rejects)
        assert count == slice_.rows
    return values, rejects, kept


def streamed(whole: pa.Table, batch: int = 1 << 20, compression: str | None = None) -> bytes:
    """An Arrow stream of a table of any columns."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, whole.schema, options=options) as writer:
        writer.write_table(whole, max_chunksize=batch)
    return sink.getvalue()
