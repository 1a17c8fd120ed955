"""Results of a job as one Parquet file, written part by part, so that memory does not grow with the job."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tensortrigger_backend.adapters.arrow_numbers import from_numbers
from tensortrigger_backend.adapters.kept_columns import ArrowColumn
from tensortrigger_backend.ports.parts import Columns

GROUP_ROWS = 250_000
"""Rows that are gathered into one row group, or ..."""
GROUP_BYTES = 32 << 20
"""... so many bytes."""
EXACT = 1 << 53
"""Up to here a 64-bit float has every whole number."""


def parquet_file(
    names: Sequence[str], tables: Callable[[], Iterable[Columns]], mixed: bool
) -> Iterator[bytes]:
    """See ``PartFormat.file``."""
    import pyarrow as pa

    schema = _common_schema(names, tables()) if mixed else None
    sink = _Taken()
    writer, waiting = None, []
    for columns in tables():
        arrays = [_array(columns[name]) for name in names]
        if schema is None:
            schema = pa.schema(
                [pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)]
            )
        casted = [_as_type(array, field.type) for array, field in zip(arrays, schema, strict=True)]
        waiting.append(pa.Table.from_arrays(casted, schema=schema))
        if _rows(waiting) >= GROUP_ROWS or sum(table.nbytes for table in waiting) >= GROUP_BYTES:
            writer = writer or _writer(sink, schema)
            writer.write_table(pa.concat_tables(waiting))
            waiting = []
            yield sink.taken()
    if schema is None:
        # A job without rows: nobody knows of what type its outputs would have been.
        kinds = [pa.int64(), *[pa.float32()] * (len(names) - 1)]
        schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, kinds, strict=True)])
    writer = writer or _writer(sink, schema)
    if waiting:
        writer.write_table(pa.concat_tables(waiting))
    writer.close()
    yield sink.taken()


def _writer(sink: Any, schema: Any) -> Any:
    import pyarrow.parquet as pq
    from pyarrow import types

    # A dictionary of numbers, hardly one of which comes twice, takes seven times the memory and a larger file.
    numeric = (types.is_integer, types.is_floating)
    others = [field.name for field in schema if not any(is_one(field.type) for is_one in numeric)]
    return pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=others or False)


class _Taken(io.RawIOBase):
    """A file whose beginning is taken away while it is still being written."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        block = bytes(data)
        self._blocks.append(block)
        self._size += len(block)
        return len(block)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """What was written since this was last asked."""
        data = b"".join(self._blocks)
        self._blocks.clear()
        return data


def _rows(tables: Sequence[Any]) -> int:
    return sum(table.num_rows for table in tables)


def _array(column: Any) -> Any:
    import pyarrow as pa
    from pyarrow import types

    if not isinstance(column, ArrowColumn):
        return from_numbers(column) if isinstance(column, np.ndarray) else pa.array(column)
    array = column.array
    if types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return array


def _as_type(array: Any, kind: Any) -> Any:
    import pyarrow as pa

    if array.type == kind:
        return array
    if kind == pa.string():
        nulls = array.is_null().to_pylist()
        texts = ArrowColumn(array).texts()
        return pa.array([None if null else text for null, text in zip(nulls, texts, strict=True)], kind)
    return array.cast(kind)


def _common_schema(names: Sequence[str], tables: Iterable[Columns]) -> Any:
    """The types that every table's columns can take; what has none in common becomes text."""
    import pyarrow as pa

    common: list[Any] = [pa.null()] * len(names)
    large: set[str] = set()
    seen = False
    for columns in tables:
        seen = True
        arrays = [_array(columns[name]) for name in names]
        large.update(name for name, array in zip(names, arrays, strict=True) if not _is_exact(array))
        common = [_wider(kind, array.type) for kind, array in zip(common, arrays, strict=True)]
    if not seen:
        return None
    # A float would not be the number that was kept.
    common = [
        pa.string() if kind == pa.float64() and name in large else kind
        for name, kind in zip(names, common, strict=True)
    ]
    return pa.schema([pa.field(name, kind) for name, kind in zip(names, common, strict=True)])


def _is_exact(array: Any) -> bool:
    """Whether every value would be the same number as a 64-bit float."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.type != pa.int64():
        return True
    ends = pc.min_max(array).as_py()
    return ends["min"] is None or max(-ends["min"], ends["max"]) <= EXACT


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa

    # JSON has no types of a column's kind: as text it is what every reader can take.
    one, other = (pa.string() if isinstance(kind, pa.JsonType) else kind for kind in (one, other))
    if one == other or other == pa.null():
        return one
    if one == pa.null():
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()
