"""Does a vector become numbers in schema order, or an error that names every field that is wrong?"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_backend.domain.encoding import FAULT_LIMIT
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.fields import FLOAT32_MAX, Field
from tensortrigger_backend.domain.schema import VectorSchema

SCHEMA = VectorSchema((Field("age", "INT"), Field("mass"), Field("height")))
GOOD: dict[str, Any] = {"height": 3.5, "age": 1, "mass": 2}


def faults_of(values: object, row: int | None = None) -> tuple[Fault, ...]:
    with pytest.raises(InvalidInput) as caught:
        SCHEMA.vector(values, row=row)
    return caught.value.faults


def test_a_named_vector_comes_out_in_index_order() -> None:
    assert SCHEMA.vector(GOOD) == [1.0, 2.0, 3.5]
    assert all(type(number) is float for number in SCHEMA.vector(GOOD))


def test_a_list_is_taken_in_schema_order() -> None:
    assert SCHEMA.vector([1, 2.5, -3]) == [1.0, 2.5, -3.0]


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert SCHEMA.vector({**GOOD, "age": 4.0})[0] == 4.0


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("mass", None, "null"),
        ("mass", True, "not_a_number"),
        ("age", False, "not_a_number"),
        ("mass", "2.5", "not_a_number"),
        ("mass", [2.5], "not_a_number"),
        ("mass", {}, "not_a_number"),
        ("mass", math.nan, "not_finite"),
        ("mass", math.inf, "not_finite"),
        ("age", -math.inf, "not_finite"),
        ("mass", 3.5e38, "out_of_range"),
        ("mass", -(10**39), "out_of_range"),
        pytest.param("age", 10**5000, "out_of_range", id="endless"),
        ("age", 1.5, "not_an_integer"),
    ],
)
def test_each_bad_value_is_named_by_field_and_code(field: str, value: object, code: str) -> None:
    (fault,) = faults_of({**GOOD, field: value})
    assert (fault.loc, fault.code) == (("input_vector", field), code)
    assert repr(field) in fault.message
    assert fault.expected == ("INT" if field == "age" else "FLOAT")
    assert len(fault.got or "") <= 80
    place = SCHEMA.input_names.index(field)
    listed = [1, 2, 3]
    listed[place] = value  # type: ignore[call-overload]
    (fault,) = faults_of(listed)
    assert (fault.loc, fault.code) == (("input_vector", place), code)


@pytest.mark.parametrize("limit", [FLOAT32_MAX, -FLOAT32_MAX])
def test_the_largest_32_bit_float_still_fits(limit: float) -> None:
    assert SCHEMA.vector({**GOOD, "mass": limit})[1] == limit


def test_a_missing_field_is_named() -> None:
    (fault,) = faults_of({"age": 1, "mass": 2})
    assert (fault.loc, fault.code, fault.got) == (("input_vector", "height"), "missing", "nothing")


def test_an_extra_field_is_named_with_those_that_exist() -> None:
    (fault,) = faults_of({**GOOD, "heigth": 1})
    assert (fault.loc, fault.code) == (("input_vector", "heigth"), "extra")
    assert fault.expected == "age, mass, height"


def test_a_misspelt_field_is_both_missing_and_extra() -> None:
    faults = faults_of({"age": 1, "mass": 2, "heigth": 3})
    assert [(fault.code, fault.loc[-1]) for fault in faults] == [("missing", "height"), ("extra", "heigth")]


def test_every_fault_of_a_vector_is_told_at_once() -> None:
    faults = faults_of({"mass": None, "height": math.nan, "x": 0})
    assert {(fault.code, fault.loc[-1]) for fault in faults} == {
        ("missing", "age"),
        ("extra", "x"),
        ("null", "mass"),
        ("not_finite", "height"),
    }


@pytest.mark.parametrize("values", [[], [1, 2], [1, 2, 3, 4]])
def test_a_list_of_wrong_length_says_both_lengths(values: list[int]) -> None:
    (fault,) = faults_of(values)
    assert (fault.code, fault.expected, fault.got) == ("length", "3", str(len(values)))


@pytest.mark.parametrize(
    ("values", "kind"), [(None, "null"), (5, "number"), ("abc", "string"), (True, "boolean")]
)
def test_what_is_neither_object_nor_list_is_no_vector(values: object, kind: str) -> None:
    (fault,) = faults_of(values)
    assert (fault.code, fault.got) == ("vector_type", kind)


def test_faults_of_a_batch_name_their_rows() -> None:
    rows = [GOOD, {**GOOD, "mass": None}, [1, 2, 3], {"age": 1.5, "mass": 1, "height": 1, "z": 1}]
    with pytest.raises(InvalidInput) as caught:
        SCHEMA.vectors(rows)
    assert [(fault.row, fault.code) for fault in caught.value.faults] == [
        (1, "null"),
        (3, "extra"),
        (3, "not_an_integer"),
    ]
    assert caught.value.faults[0].loc == ("input_vectors", 1, "mass")
    assert "Row 1: field 'mass'" in caught.value.detail


@given(st.lists(st.permutations(["age", "mass", "height"]), min_size=1, max_size=20))
def test_every_row_of_a_batch_is_in_schema_order_whatever_its_own(orders: list[list[str]]) -> None:
    numbers = {"age": 7, "mass": 8.5, "height": -9}
    rows = [{name: numbers[name] for name in order} for order in orders]
    assert SCHEMA.vectors(rows) == [[7.0, 8.5, -9.0]] * len(orders)


@pytest.mark.parametrize(("rows", "code"), [([], "batch_empty"), ({}, "batch_type"), ("ab", "batch_type")])
def test_a_batch_must_be_a_list_with_something_in_it(rows: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SCHEMA.vectors(rows)
    assert caught.value.faults[0].code == code


def test_a_batch_of_a_thousand_bad_rows_tells_a_hundred_faults() -> None:
    with pytest.raises(InvalidInput) as caught:
        SCHEMA.vectors([{"age": None, "mass": "x", "height": math.inf, "z": 0}] * 1000)
    assert len(caught.value.faults) == FAULT_LIMIT


def test_a_wide_vector_with_every_field_wrong_tells_a_hundred_faults() -> None:
    wide = VectorSchema(tuple(Field(f"f{place}") for place in range(500)))
    with pytest.raises(InvalidInput) as caught:
        wide.vector(dict.fromkeys(wide.input_names))
    assert len(caught.value.faults) == FAULT_LIMIT
