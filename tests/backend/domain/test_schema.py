"""Is a named-vector schema read exactly, and every fault of it named?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_backend.domain.encoding import FAULT_LIMIT
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec


def entry(index: object, var_type: object = "FLOAT") -> dict[str, Any]:
    return {"var_type": var_type, "index": index}


def refused(members: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        VectorSchema.parse(members)
    return caught.value


def test_the_flat_form_names_the_inputs_in_index_order() -> None:
    schema = VectorSchema.parse({"b": entry(1, "INT"), "a": entry(0)})
    assert schema.inputs == (Field("a", "FLOAT"), Field("b", "INT"))
    assert schema.outputs == ()


def test_the_nested_form_names_inputs_and_outputs() -> None:
    schema = VectorSchema.parse(
        {"input_schema": {"a": entry(0)}, "output_schema": {"no": entry(1), "yes": entry(0)}}
    )
    assert (schema.input_names, schema.output_names) == (("a",), ("yes", "no"))


def test_a_null_output_schema_is_none_at_all() -> None:
    assert VectorSchema.parse({"input_schema": {"a": entry(0)}, "output_schema": None}).outputs == ()


@pytest.mark.parametrize("written", ["int", "INT", "Int", "iNt"])
def test_var_type_is_read_in_any_case(written: str) -> None:
    assert VectorSchema.parse({"a": entry(0, written)}).inputs == (Field("a", "INT"),)


def test_a_model_may_have_an_input_that_is_called_input_schema() -> None:
    schema = VectorSchema.parse({"input_schema": entry(1), "other": entry(0)})
    assert schema.input_names == ("other", "input_schema")


def test_an_input_called_var_type_does_not_hide_the_nested_form() -> None:
    schema = VectorSchema.parse({"input_schema": {"var_type": entry(0), "index": entry(1)}})
    assert schema.input_names == ("var_type", "index")


@given(st.permutations(range(12)), st.permutations(range(12)))
def test_order_comes_from_index_whatever_the_order_of_the_members(
    indexes: list[int], written: list[int]
) -> None:
    members = {f"f{place}": entry(indexes[place]) for place in written}
    schema = VectorSchema.parse(members)
    assert [indexes[int(name[1:])] for name in schema.input_names] == list(range(12))
    assert VectorSchema.parse(schema.to_dict()) == schema
    values = {f"f{place}": float(indexes[place]) for place in written}
    assert schema.vector(values) == [float(place) for place in range(12)]


@pytest.mark.parametrize("members", [None, {}, [], "x", 3, True])
def test_a_schema_that_is_no_object_with_fields_is_refused(members: object) -> None:
    assert refused(members).faults[0].code == "schema_type"


@pytest.mark.parametrize(
    ("members", "code", "loc"),
    [
        ({"a": {"var_type": "FLOAT"}}, "schema_index", ("a", "index")),
        ({"a": entry(-1)}, "schema_index", ("a", "index")),
        ({"a": entry(1)}, "schema_index", ("a", "index")),
        ({"a": entry(0.0)}, "schema_index", ("a", "index")),
        ({"a": entry("0")}, "schema_index", ("a", "index")),
        ({"a": entry(True), "b": entry(0)}, "schema_index", ("a", "index")),
        ({"a": entry(0), "b": entry(0)}, "schema_index", ("b", "index")),
        ({"a": entry(0, "TEXT")}, "schema_var_type", ("a", "var_type")),
        ({"a": entry(0, None)}, "schema_var_type", ("a", "var_type")),
        ({"a": entry(0, 3)}, "schema_var_type", ("a", "var_type")),
        ({"a": {"index": 0}}, "schema_var_type", ("a", "var_type")),
        ({"a": "FLOAT"}, "schema_field", ("a",)),
        ({"a": None}, "schema_field", ("a",)),
        ({"": entry(0)}, "schema_name", ("",)),
        ({"n" * 257: entry(0)}, "schema_name", ("n" * 257,)),
    ],
)
def test_each_fault_of_a_field_names_the_field(
    members: Mapping[str, Any], code: str, loc: tuple[str, ...]
) -> None:
    fault = refused(members).faults[0]
    assert (fault.code, fault.loc) == (code, ("model_schema", *loc))
    nested = refused({"input_schema": members}).faults[0]
    assert (nested.code, nested.loc) == (code, ("model_schema", "input_schema", *loc))


def test_all_wrong_fields_are_told_at_once_up_to_a_hundred() -> None:
    error = refused({f"f{place}": entry(place, "TEXT") for place in range(150)})
    assert len(error.faults) == FAULT_LIMIT
    assert {fault.code for fault in error.faults} == {"schema_var_type"}
    assert f"and {FAULT_LIMIT - 1} more" in error.detail


def test_an_unknown_member_beside_input_schema_is_named() -> None:
    fault = refused({"input_schema": {"a": entry(0)}, "outputs": {"b": entry(0)}}).faults[0]
    assert (fault.code, fault.got) == ("schema_member", "outputs")


@pytest.mark.parametrize("side", [{}, [], "x", 0])
def test_an_empty_side_is_refused_by_its_name(side: object) -> None:
    assert refused({"input_schema": side}).faults[0].loc == ("model_schema", "input_schema")
    fault = refused({"input_schema": {"a": entry(0)}, "output_schema": side}).faults[0]
    assert fault.loc == ("model_schema", "output_schema")


def test_an_enormous_index_is_refused_rather_than_printed() -> None:
    fault = refused({"a": entry(10**5000)}).faults[0]
    assert fault.code == "schema_index"
    assert len(fault.message) < 300


def signature(dtype: str, *shape: int) -> Signature:
    spec = TensorSpec("x", dtype, shape)
    return Signature((spec,), (TensorSpec("y", "float32", (-1, 1)),))


def test_a_schema_is_inferred_for_a_model_that_takes_one_vector() -> None:
    schema = VectorSchema.inferred(signature("float32", -1, 3))
    assert schema is not None
    assert schema.inputs == (Field("x0"), Field("x1"), Field("x2"))
    whole = VectorSchema.inferred(signature("int64", -1, 1))
    assert whole is not None
    assert whole.inputs == (Field("x0", "INT"),)


@pytest.mark.parametrize("shape", [(-1,), (-1, -1), (-1, 3, 3)])
def test_no_schema_is_inferred_for_other_tensors(shape: tuple[int, ...]) -> None:
    assert VectorSchema.inferred(signature("float32", *shape)) is None
    assert VectorSchema.inferred(signature("string", -1, 1)) is None


def test_no_schema_is_inferred_for_several_inputs() -> None:
    one = TensorSpec("a", "float32", (-1, 2))
    assert VectorSchema.inferred(Signature((one, TensorSpec("b", "float32", (-1, 2))), (one,))) is None
