"""Do results and rejects of a partition come back as they were laid down?"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.domain.jobs import Reject
from tensortrigger_backend.ports.parts import PartFormat


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
