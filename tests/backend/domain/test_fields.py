"""Is what a field means read exactly, kept by every value, and told back as it was written?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec

COLOURS = ["red", "green", "blue"]


def parsed(**members: Any) -> VectorSchema:
    return VectorSchema.parse({"a": {"index": 0, **members}})


def refused(**members: Any) -> Fault:
    with pytest.raises(InvalidInput) as caught:
        parsed(**members)
    assert len(caught.value.faults) == 1
    return caught.value.faults[0]


def fault_of(value: object, **members: Any) -> Fault:
    with pytest.raises(InvalidInput) as caught:
        parsed(**members).vector([value])
    return caught.value.faults[0]


ENTRIES: list[dict[str, Any]] = [
    {"var_type": "INT"},
    {"var_type": "FLOAT", "min": -1.5, "max": 2},
    {"var_type": "INT", "min": 0},
    {"var_type": "FLOAT", "allowed": [0.1, 3]},
    {"var_type": "FLOAT", "max": 5, "nullable": True, "fill": 0},
    {"var_type": "BOOL"},
    {"var_type": "BOOL", "nullable": True, "fill": False},
    {"var_type": "STRING", "categories": COLOURS},
    {"var_type": "STRING", "categories": {"red": -0.5, "green": 3}, "unknown": -1},
    {"var_type": "STRING", "categories": {"red": 0, "green": 1}, "nullable": True, "fill": "green"},
]


@pytest.mark.parametrize("members", ENTRIES)
def test_a_field_is_told_back_as_it_was_written(members: dict[str, Any]) -> None:
    schema = parsed(**members)
    assert schema.to_dict()["input_schema"]["a"] == {**members, "index": 0}
    assert VectorSchema.parse(schema.to_dict()) == schema


def test_a_member_that_is_null_was_not_said() -> None:
    nothing = dict.fromkeys(("min", "max", "allowed", "categories", "unknown", "nullable", "fill"))
    assert parsed(var_type="float", **nothing).to_dict() == parsed(var_type="FLOAT").to_dict()


@pytest.mark.parametrize(
    ("members", "code", "member", "expected"),
    [
        ({"var_type": "FLOAT", "min": 2, "max": 1}, "schema_range", "min", "1 or less"),
        ({"var_type": "FLOAT", "min": "2"}, "schema_number", "min", "a number"),
        ({"var_type": "FLOAT", "max": True}, "schema_number", "max", "a number"),
        ({"var_type": "FLOAT", "max": 1e39}, "schema_number", "max", "32-bit"),
        ({"var_type": "FLOAT", "max": 10**5000}, "schema_number", "max", "32-bit"),
        ({"var_type": "INT", "max": 3, "allowed": [1, 4]}, "schema_allowed", "allowed", "INT of 3 or less"),
        ({"var_type": "INT", "allowed": [1.5]}, "schema_allowed", "allowed", "INT"),
        ({"var_type": "INT", "allowed": []}, "schema_allowed", "allowed", "a list"),
        ({"var_type": "INT", "allowed": 3}, "schema_allowed", "allowed", "a list"),
        ({"var_type": "INT", "categories": COLOURS}, "schema_member", "categories", "min"),
        ({"var_type": "INT", "maximum": 3}, "schema_member", "maximum", "max"),
        ({"var_type": "BOOL", "max": 1}, "schema_member", "max", "nullable"),
        (
            {"var_type": "STRING", "categories": COLOURS, "allowed": ["red"]},
            "schema_member",
            "allowed",
            "cat",
        ),
        ({"var_type": "STRING"}, "schema_categories", "categories", "object {text: number}"),
        ({"var_type": "STRING", "categories": []}, "schema_categories", "categories", "1 to"),
        ({"var_type": "STRING", "categories": "red"}, "schema_categories", "categories", "a list"),
        ({"var_type": "STRING", "categories": ["a", 3]}, "schema_categories", "categories", "a text"),
        ({"var_type": "STRING", "categories": ["a", " "]}, "schema_categories", "categories", "blank"),
        ({"var_type": "STRING", "categories": ["a", "a"]}, "schema_categories", "categories", "once"),
        ({"var_type": "STRING", "categories": {"a": 1, "b": 1.0}}, "schema_categories", "categories", "once"),
        ({"var_type": "STRING", "categories": {"a": "1"}}, "schema_categories", "categories", "a number"),
        ({"var_type": "STRING", "categories": {"a": 1e39}}, "schema_categories", "categories", "32-bit"),
        (
            {"var_type": "STRING", "categories": COLOURS, "unknown": "x"},
            "schema_number",
            "unknown",
            "a number",
        ),
        ({"var_type": "FLOAT", "nullable": True}, "schema_fill", "fill", "FLOAT"),
        ({"var_type": "FLOAT", "fill": 1}, "schema_fill", "fill", "nullable"),
        ({"var_type": "FLOAT", "nullable": 1, "fill": 1}, "schema_nullable", "nullable", "true or false"),
        ({"var_type": "FLOAT", "max": 1, "nullable": True, "fill": 2}, "schema_fill", "fill", "1 or less"),
        ({"var_type": "INT", "nullable": True, "fill": 0.5}, "schema_fill", "fill", "INT"),
        ({"var_type": "INT", "allowed": [1], "nullable": True, "fill": 0}, "schema_fill", "fill", "INT: 1"),
        ({"var_type": "BOOL", "nullable": True, "fill": 2}, "schema_fill", "fill", "true"),
        (
            {"var_type": "STRING", "categories": COLOURS, "unknown": 9, "nullable": True, "fill": "rde"},
            "schema_fill",
            "fill",
            "'red', 'green', 'blue'",
        ),
    ],
)
def test_each_fault_of_a_field_names_the_member_and_what_is_expected(
    members: dict[str, Any], code: str, member: str, expected: str
) -> None:
    fault = refused(**members)
    assert fault.code == code
    assert fault.loc[:3] == ("model_schema", "a", member)
    assert expected in (fault.expected or "")
    assert fault.got
    assert "'a'" in fault.message


@pytest.mark.parametrize("entry", [{"var_type": "BOOL"}, {"var_type": "STRING", "categories": COLOURS}])
def test_an_output_is_a_number_with_a_name_and_no_more(entry: dict[str, Any]) -> None:
    for members, code in ((entry, "schema_output"), ({"var_type": "INT", "max": 3}, "schema_member")):
        with pytest.raises(InvalidInput) as caught:
            VectorSchema.parse(
                {
                    "input_schema": {"a": {"var_type": "INT", "index": 0}},
                    "output_schema": {"y": {"index": 0, **members}},
                }
            )
        assert caught.value.faults[0].code == code
        assert caught.value.faults[0].loc[:3] == ("model_schema", "output_schema", "y")


def test_values_become_the_numbers_that_their_fields_give_them() -> None:
    schema = VectorSchema.parse(
        {
            "paid": {"var_type": "bool", "index": 2},
            "colour": {"var_type": "string", "index": 0, "categories": COLOURS, "unknown": -1},
            "size": {"var_type": "STRING", "index": 1, "categories": {"s": 36, "m": 40.5}},
            "age": {"var_type": "INT", "index": 3, "nullable": True, "fill": 30},
        }
    )
    assert schema.vector({"paid": True, "colour": "blue", "size": "m", "age": 7}) == [2, 40.5, 1, 7]
    assert schema.vectors([["mauve", "s", 0, None], {"paid": 1.0, "colour": "red", "size": "s"}]) == [
        [-1, 36, 0, 30],
        [0, 36, 1, 30],
    ]


@pytest.mark.parametrize(
    ("value", "members", "code", "expected", "got"),
    [
        (-1, {"var_type": "INT", "min": 0}, "below_min", "INT of 0 or more", "-1"),
        (2.5, {"var_type": "FLOAT", "min": 0, "max": 2}, "above_max", "FLOAT from 0 to 2", "2.5"),
        (3, {"var_type": "INT", "allowed": [1, 2]}, "not_allowed", "INT: 1, 2", "3"),
        (2, {"var_type": "BOOL"}, "not_a_boolean", "BOOL: true, false, 1 or 0", "2"),
        ("true", {"var_type": "BOOL"}, "not_a_boolean", "BOOL: true, false, 1 or 0", "'true'"),
        (
            "Red",
            {"var_type": "STRING", "categories": COLOURS},
            "unknown_category",
            "one of 'red', 'green', 'blue'",
            "'Red'",
        ),
        (1, {"var_type": "STRING", "categories": ["a"]}, "not_text", "one of 'a'", "1"),
        (" ", {"var_type": "STRING", "categories": ["a"]}, "missing", "one of 'a'", "blank text"),
        (None, {"var_type": "BOOL"}, "null", "BOOL: true, false, 1 or 0", "null"),
        ("x", {"var_type": "INT", "nullable": True, "fill": 0}, "not_a_number", "INT, or null", "'x'"),
    ],
)
def test_a_value_that_breaks_a_rule_is_told_with_what_is_expected(
    value: object, members: dict[str, Any], code: str, expected: str, got: str
) -> None:
    fault = fault_of(value, **members)
    assert (fault.code, fault.expected, fault.got) == (code, expected, got)


def test_a_boolean_where_a_number_is_due_is_told_to_be_declared_a_bool() -> None:
    fault = fault_of(True, var_type="FLOAT")
    assert fault.code == "not_a_number"
    assert "BOOL" in (fault.remedy or "")


def test_many_categories_are_told_in_part() -> None:
    fault = fault_of("x", var_type="STRING", categories=[f"c{place}" for place in range(5000)])
    assert len(fault.expected or "") < 400
    assert "and 4980 more" in (fault.expected or "")


def test_faults_of_a_batch_name_row_and_field() -> None:
    schema = parsed(var_type="FLOAT", max=1)
    with pytest.raises(InvalidInput) as caught:
        schema.vectors([{"a": 1}, {"a": 2}, [3]])
    assert [(fault.row, fault.code, fault.loc) for fault in caught.value.faults] == [
        (1, "above_max", ("input_vectors", 1, "a")),
        (2, "above_max", ("input_vectors", 2, 0)),
    ]
    assert caught.value.faults[0].message == "Row 1: field 'a' is above 1."


def test_tensors_are_held_to_the_fields_too() -> None:
    schema = parsed(var_type="STRING", categories={"a": 5, "b": 0.1})
    encoder = VectorEncoder(schema.inputs, np.dtype(np.float32))
    encoder.check_encoded(np.array([[5.0], [0.1]], np.float32), ("inputs",))
    with pytest.raises(InvalidInput) as caught:
        encoder.check_encoded(np.array([[5.0], [1.0]], np.float32), ("inputs",))
    (fault,) = caught.value.faults
    assert (fault.row, fault.code, fault.loc) == (1, "unknown_category", ("inputs", 1, 0))


def test_a_model_of_booleans_has_fields_that_are_booleans() -> None:
    spec = TensorSpec("x", "bool", (-1, 2))
    schema = VectorSchema.inferred(Signature((spec,), (spec,)))
    assert schema is not None
    assert schema.vector([True, 0]) == [1, 0]
