"""A partition's results as Parquet and its rejects as JSON lines."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.jobs import Reject

_SHAPE = b"tensortrigger.shape."


class ParquetParts:
    """Keeps the ``PartFormat`` promise: column ``row``, then each output flattened to a fixed-size list."""

    def encode(self, rows: npt.NDArray[np.int64], outputs: Mapping[str, npt.NDArray[Any]]) -> bytes:
        """Arrays of n rows each, any trailing shape."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns, fields = [pa.array(rows, pa.int64())], [pa.field("row", pa.int64())]
        for name, values in outputs.items():
            # Not -1: of a partition in which every row was rejected numpy could not tell the width.
            flat = values.reshape(len(rows), math.prod(values.shape[1:]))
            column = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
            columns.append(column)
            shape = json.dumps(list(values.shape[1:])).encode()
            fields.append(pa.field(f"output.{name}", column.type, metadata={_SHAPE: shape}))
        sink = io.BytesIO()
        pq.write_table(
            pa.Table.from_arrays(columns, schema=pa.schema(fields)),
            sink,
            compression="zstd",
            use_dictionary=False,
        )
        return sink.getvalue()

    def decode(self, data: bytes) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
        """What ``encode`` was given."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(pa.BufferReader(data)).combine_chunks()
        outputs = {}
        for field in table.schema:
            if field.name == "row":
                continue
            shape = json.loads(field.metadata[_SHAPE])
            values = table[field.name].combine_chunks()
            outputs[field.name.removeprefix("output.")] = (
                values.flatten().to_numpy(zero_copy_only=False).reshape(table.num_rows, *shape)
            )
        return table["row"].to_numpy(), outputs

    def encode_rejects(self, rejects: Sequence[Reject]) -> bytes:
        """One JSON object a line."""
        return b"".join(json.dumps(reject.to_dict()).encode() + b"\n" for reject in rejects)

    def decode_rejects(self, data: bytes) -> list[Reject]:
        """What ``encode_rejects`` was given."""
        return [Reject(**json.loads(line)) for line in data.splitlines()]
