"""What a notebook holds, as strict JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_lab import payload
from tensortrigger_lab.errors import BadInput


def test_numpys_numbers_become_pythons() -> None:
    row = payload.vector({"a": np.int64(1), "b": np.float32(0.5), "c": np.bool_(True), "d": 2, "e": False})
    assert row == {"a": 1, "b": 0.5, "c": 1, "d": 2, "e": 0}
    assert [type(value) for value in row.values()] == [int, float, int, int, int]


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_named_by_field_and_row(value: float) -> None:
    with pytest.raises(BadInput, match="Field 'age' in row 7 is not finite") as caught:
        payload.vector({"age": value}, 7)
    assert (caught.value.field, caught.value.row) == ("age", 7)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", [None, "12", [1], pd.Timestamp(0)])
def test_a_value_that_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(BadInput, match="Field 'age' is not a number"):
        payload.vector({"age": value})


def test_a_table_becomes_a_row_of_names_each_with_its_own_types() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.0], "c": [True, False], 7: pd.array([3, 4], "Int64")})
    assert json.dumps(payload.frame_rows(frame)) == json.dumps(
        [{"a": 1, "b": 0.5, "c": 1, "7": 3}, {"a": 2, "b": 1.0, "c": 0, "7": 4}]
    )


@pytest.mark.parametrize("column", [pd.array([1, None], "Int64"), [0.5, np.nan], [0.5, np.inf], [1, None]])
def test_a_gap_in_a_table_is_named_by_column_and_row(column: Any) -> None:
    with pytest.raises(BadInput, match="Field 'b' in row 1") as caught:
        payload.frame_rows(pd.DataFrame({"a": [1, 2], "b": column}, index=[100, 200]))
    assert (caught.value.field, caught.value.row) == ("b", 1)


def test_text_in_a_table_is_named_by_column_and_row() -> None:
    with pytest.raises(BadInput, match="Field 'b' in row 0 is not a number"):
        payload.frame_rows(pd.DataFrame({"b": ["x"]}))


def test_a_gap_in_an_array_is_named_by_row_and_place() -> None:
    array = np.zeros((3, 4, 2))
    array[1, 3, 0] = np.nan
    with pytest.raises(BadInput, match=r"Input 'left' is not finite in row 1 at \[3, 0\]") as caught:
        payload.nested(array, "left")
    assert caught.value.row == 1


def test_text_and_whole_numbers_are_sent_as_they_are() -> None:
    assert payload.nested(np.array([["a"], ["b"]])) == [["a"], ["b"]]
    assert payload.nested(np.array([[1, 2]])) == [[1, 2]]
    assert payload.numbers(np.array([True, False])) == [1, 0]
    assert payload.nested(np.array([True])) == [True]


def test_a_single_value_has_no_batch_axis() -> None:
    with pytest.raises(BadInput, match="no batch axis"):
        payload.nested(np.array(1.0), "left")


def test_dates_are_not_sent() -> None:
    with pytest.raises(BadInput, match="neither numbers nor text"):
        payload.nested(np.array(["2026-01-01"], "datetime64[D]"))


numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=True, allow_infinity=True))


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_a_table_is_either_sent_whole_or_refused_by_the_first_gap(rows: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype="float64")
    finite = np.isfinite(frame.to_numpy())
    if finite.all():
        sent = json.loads(json.dumps(payload.frame_rows(frame), allow_nan=False))
        assert pd.DataFrame(sent, dtype="float64").equals(frame)
    else:
        with pytest.raises(BadInput) as caught:
            payload.frame_rows(frame)
        assert not finite[caught.value.row, ["a", "b"].index(caught.value.field or "")]


SIDE: Any = {
    "age": {"var_type": "INT", "index": 0, "nullable": True, "fill": 0},
    "plan": {"var_type": "STRING", "index": 1, "categories": ["a", "b"], "nullable": True, "fill": "a"},
    "size": {"var_type": "STRING", "index": 2, "categories": ["s"]},
    "paid": {"var_type": "BOOL", "index": 3, "nullable": True, "fill": False},
}


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT, np.float32("nan")])
def test_a_gap_in_a_nullable_field_is_sent_as_null(gap: Any) -> None:
    row = {"age": gap, "plan": gap, "size": "s", "paid": gap}
    assert payload.vector(row, side=SIDE) == {"age": None, "plan": None, "size": "s", "paid": None}
    with pytest.raises(BadInput, match="Field 'size' is empty"):
        payload.vector({**row, "size": gap}, side=SIDE)


def test_a_table_with_text_and_gaps_is_sent_as_its_fields_take_them() -> None:
    frame = pd.DataFrame(
        {
            "size": ["s", "s"],
            "paid": pd.array([True, None], "boolean"),
            "age": pd.array([None, 4], "Int64"),
            "plan": pd.Categorical(["b", None]),
        }
    )
    assert json.dumps(payload.frame_rows(frame, SIDE)) == json.dumps(
        [
            {"size": "s", "paid": 1, "age": None, "plan": "b"},
            {"size": "s", "paid": None, "age": 4, "plan": None},
        ]
    )
    with pytest.raises(BadInput, match="Field 'age' in row 0 is not a number"):
        payload.frame_rows(pd.DataFrame({"age": ["x"]}), SIDE)
