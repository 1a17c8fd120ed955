"""A partition's results as Parquet and its rejects as JSON lines."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.adapters.arrow_numbers import from_numbers, to_numbers
from tensortrigger_backend.adapters.kept_columns import ArrowColumn, check_writable, writable
from tensortrigger_backend.adapters.results_parquet import parquet_file
from tensortrigger_backend.domain.jobs import Reject
from tensortrigger_backend.ports.parts import Columns, ScoredRows

_SHAPE = b"tensortrigger.shape."


class ParquetParts:
    """Keeps the ``PartFormat`` promise: column ``row``, then kept columns, then each output as a fixed-size list."""

    def encode(
        self,
        rows: npt.NDArray[np.int64],
        outputs: Mapping[str, npt.NDArray[Any]],
        kept: Mapping[str, Sequence[Any]] | None = None,
    ) -> bytes:
        """See ``PartFormat.encode``."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns, fields = [from_numbers(rows)], [pa.field("row", pa.int64())]
        for name, pieces in (kept or {}).items():
            columns.append(writable(pieces))
            fields.append(pa.field(f"kept.{name}", columns[-1].type))
        for name, values in outputs.items():
            # Not -1: of a partition in which every row was rejected numpy could not tell the width.
            flat = values.reshape(len(rows), math.prod(values.shape[1:]))
            column = pa.FixedSizeListArray.from_arrays(from_numbers(flat.ravel()), flat.shape[1])
            columns.append(column)
            shape = json.dumps(list(values.shape[1:])).encode()
            fields.append(pa.field(f"output.{name}", column.type, metadata={_SHAPE: shape}))
        sink = io.BytesIO()
        table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
        names = [f"kept.{name}" for name in kept or ()]
        try:
            pq.write_table(table, sink, compression="zstd", use_dictionary=names or False)
        except pa.ArrowException:
            for name in kept or ():
                check_writable(name, table.column(f"kept.{name}"))
            raise
        return sink.getvalue()

    def decode(self, data: bytes) -> ScoredRows:
        """See ``PartFormat.decode``."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        # Threads would cost more memory than they save time, and there is a part for each of them.
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
        outputs, kept = {}, {}
        for place, field in enumerate(table.schema):
            values = table.column(place).combine_chunks()
            if field.metadata and _SHAPE in field.metadata:
                shape = json.loads(field.metadata[_SHAPE])
                numbers = to_numbers(values.flatten())
                outputs[field.name.removeprefix("output.")] = numbers.reshape(table.num_rows, *shape)
            elif place > 0:
                kept[field.name.removeprefix("kept.")] = ArrowColumn(values)
        return ScoredRows(to_numbers(table.column(0).combine_chunks()), outputs, kept)

    def encode_rejects(self, rejects: Sequence[Reject]) -> bytes:
        """One JSON object a line."""
        return b"".join(json.dumps(reject.to_dict()).encode() + b"\n" for reject in rejects)

    def decode_rejects(self, data: bytes) -> list[Reject]:
        """What ``encode_rejects`` was given."""
        return [Reject(**json.loads(line)) for line in data.splitlines()]

    def file(
        self, names: Sequence[str], tables: Callable[[], Iterable[Columns]], mixed: bool
    ) -> Iterator[bytes]:
        """See ``PartFormat.file``."""
        return parquet_file(names, tables, mixed)
