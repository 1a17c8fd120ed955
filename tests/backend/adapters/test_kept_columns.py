"""Do columns that a job hands through come out as they went in, whatever their type?"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any
from unittest.mock import ANY

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from row_files import read

from tensortrigger_backend.adapters.kept_columns import ArrowColumn, check_kept_type
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import Wanted


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.array([1.5, math.nan], pa.float16()), [1.5, None]),
        (pa.array([Decimal("1.50"), None]), ["1.50", None]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
        (pa.array([0, 253402300800000000], pa.timestamp("us")), ["1970-01-01T00:00:00.000000", ANY]),
        (pa.array([1, None], pa.timestamp("ns", "No/Where")), ["1970-01-01T00:00:00.000000001Z", None]),
        (pa.array([1, None], pa.date32()), ["1970-01-02", None]),
        (pa.array([1, None], pa.time64("ns")), ["00:00:00.000000001", None]),
        (pa.array([7, None]).dictionary_encode(), [7, None]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.DictionaryArray.from_arrays([0, 1], pa.array(["x", None])), ["x", None]),
        (pa.DictionaryArray.from_arrays([1, 0], pa.array([None, 7])), [7, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_kept_values_of_every_type_can_be_written(column: Any, told: list[Any]) -> None:
    kept = ArrowColumn(column)
    assert check_kept_type("k", column.type) is None
    assert kept.values() == told
    assert msgspec.json.encode(kept.values())
    assert kept.texts() == ["" if value is None else ANY for value in told]
    assert kept.take(np.array([1])).values() == told[1:]
    whole = ParquetParts().encode(np.arange(2), {"y": np.zeros((2, 1), np.float32)}, {"k": [column]})
    assert ParquetParts().decode(whole).kept["k"].values() == told


@pytest.mark.parametrize("coded", [False, True])
def test_times_that_parquet_has_no_place_for_are_refused_by_column(coded: bool) -> None:
    times = pa.array([0, 1 << 60], pa.timestamp("s"))
    kept = {"id": [pa.array([1, 2])], "when": [times.dictionary_encode() if coded else times]}
    with pytest.raises(InvalidInput, match="Column 'when', which is to be kept, cannot be written"):
        ParquetParts().encode(np.arange(2), {"y": np.zeros((2, 1), np.float32)}, kept)


def test_members_of_any_type_are_kept_as_they_are() -> None:
    wanted = Wanted(VectorSchema((Field("a"),)), None, ("k",))
    kept: list[Any] = [1, None, 2.5, "x", True, [1, {"b": None}], 2**70, "ü"]
    data = b"\n".join(json.dumps({"a": 1, "k": value}).encode() for value in kept)
    assert read(RowFormat.NDJSON, data, wanted=wanted)[2] == {at: (value,) for at, value in enumerate(kept)}
