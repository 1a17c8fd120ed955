"""Do results and rejects of a partition come back as they were laid down?"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensortrigger_backend.adapters.kept_columns import ArrowColumn, json_column
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.domain.jobs import Reject
from tensortrigger_backend.ports.parts import Columns, PartFormat


@pytest.fixture(params=["parquet"])
def parts(request: pytest.FixtureRequest) -> PartFormat:
    return ParquetParts()


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 4), (2, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_outputs_of_any_shape_come_back(
    parts: PartFormat, rows: int, shape: tuple[int, ...], dtype: str
) -> None:
    values = (np.arange(rows * int(np.prod(shape))) % 7).reshape(rows, *shape).astype(dtype)
    numbers = np.arange(rows, dtype=np.int64) * 3 + 10
    read = parts.decode(parts.encode(numbers, {"y": values}))
    read_numbers, outputs = read.rows, read.outputs
    assert list(outputs) == ["y"]
    assert (outputs["y"].dtype, outputs["y"].shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(outputs["y"], values)
    np.testing.assert_array_equal(read_numbers, numbers)
    assert read_numbers.dtype == np.int64


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.floats(width=32))
)
def test_every_bit_of_a_float_survives(values: npt.NDArray[Any]) -> None:
    numbers = np.arange(len(values), dtype=np.int64)
    outputs = ParquetParts().decode(ParquetParts().encode(numbers, {"y": values})).outputs
    assert outputs["y"].tobytes() == values.tobytes()


def test_several_outputs_keep_their_names_and_order(parts: PartFormat) -> None:
    given_outputs = {
        "output.odd name": np.ones((2, 1), np.float32),
        "row": np.zeros((2, 2), np.float32),
        "a": np.array([1, 2], np.int64),
    }
    outputs = parts.decode(parts.encode(np.array([4, 9]), given_outputs)).outputs
    assert list(outputs) == list(given_outputs)
    for name, values in given_outputs.items():
        np.testing.assert_array_equal(outputs[name], values)


REJECTS = st.builds(
    Reject,
    st.integers(0, 2**40),
    st.integers(1, 2**40),
    st.none() | st.text(),
    st.text(max_size=20),
    st.text(),
)


@given(st.lists(REJECTS, max_size=5))
def test_rejects_come_back(rejects: list[Reject]) -> None:
    assert ParquetParts().decode_rejects(ParquetParts().encode_rejects(rejects)) == rejects


def merged(parts: PartFormat, *partitions: list[Any]) -> Any:
    """The kept column of a file made of these partitions, each with these JSON values."""
    tables: list[Columns] = [
        {"k": ArrowColumn(json_column([None if value is None else json.dumps(value) for value in values]))}
        for values in partitions
    ]
    return pq.read_table(io.BytesIO(b"".join(parts.file(["k"], lambda: iter(tables), True)))).column("k")


@pytest.mark.parametrize("turned", [False, True])
def test_whole_numbers_that_no_float_has_become_text_beside_floats(parts: PartFormat, turned: bool) -> None:
    partitions: list[list[Any]] = [[2**53 + 1, None], [7], [1.5]]
    texts = [["9007199254740993", None], ["7"], ["1.5"]]
    if turned:
        partitions, texts = partitions[::-1], texts[::-1]
    column = merged(parts, *partitions)
    assert column.type == pa.string()
    assert column.to_pylist() == [text for some in texts for text in some]


def test_whole_numbers_beside_floats_become_floats_where_they_stay_the_same_number(parts: PartFormat) -> None:
    column = merged(parts, [2**53, -(2**53)], [None], [1.5])
    assert column.type == pa.float64()
    assert column.to_pylist() == [2.0**53, -(2.0**53), None, 1.5]


def test_whole_numbers_alone_stay_whole_however_large(parts: PartFormat) -> None:
    assert merged(parts, [-(2**63)], [2**63 - 1]).to_pylist() == [-(2**63), 2**63 - 1]


def test_numbers_become_parts_and_results_without_pandas() -> None:
    script = """
import sys
import numpy as np
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
parts = ParquetParts()
encoded = parts.encode(np.arange(3), {"y": np.ones((3, 2), np.float32)})
scored = parts.decode(encoded)
table = {"row": scored.rows, "y_0": scored.outputs["y"][:, 0]}
assert b"".join(parts.file(["row", "y_0"], lambda: iter([table]), False))
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
