"""The schema that an example stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.signature import (
    check_width,
    checked_schema,
    infer_schema,
    output_names,
    schema_of_shape,
    written_value,
)


def test_a_dataframe_names_the_inputs_in_column_order() -> None:
    frame = pd.DataFrame({"b": [1.5], "a": [2], "flag": [True], "tiny": np.array([1], "uint8")})
    assert infer_schema(frame) == {
        "b": {"var_type": "FLOAT", "index": 0},
        "a": {"var_type": "INT", "index": 1},
        "flag": {"var_type": "BOOL", "index": 2},
        "tiny": {"var_type": "INT", "index": 3},
    }


@pytest.mark.parametrize(
    ("dtype", "var_type"),
    [
        ("Int64", "INT"),
        ("boolean", "BOOL"),
        ("Float32", "FLOAT"),
        ("float16", "FLOAT"),
        ("int64[pyarrow]", "INT"),
    ],
)
def test_nullable_dtypes_count_as_what_they_hold(dtype: str, var_type: str) -> None:
    schema = infer_schema(pd.DataFrame({"a": pd.Series([1, 0], dtype=dtype)}))
    assert schema == {"a": {"var_type": var_type, "index": 0}}


def test_an_array_names_its_columns_by_number() -> None:
    schema = infer_schema(np.zeros((4, 2), "float32"))
    assert schema == {"x0": {"var_type": "FLOAT", "index": 0}, "x1": {"var_type": "FLOAT", "index": 1}}
    assert infer_schema([[1, 2, 3]]) == {f"x{n}": {"var_type": "INT", "index": n} for n in range(3)}


@pytest.mark.parametrize(
    "example",
    [
        np.zeros((2, 3, 4)),
        np.zeros(3),
        [np.zeros((2, 3)), np.zeros((2, 4))],
        {"left": np.zeros((2, 3)), "right": np.zeros((2, 3))},
        np.array([["text"]]),
    ],
)
def test_what_is_not_one_vector_a_row_has_no_vector_schema(example: Any) -> None:
    assert infer_schema(example) is None


@pytest.mark.parametrize("values", [["a", "b"], [pd.Timestamp(0), pd.Timestamp(1)], [object(), object()]])
def test_a_column_without_numbers_is_refused_by_name(values: list[Any]) -> None:
    with pytest.raises(BadInput, match="Column 'kind' holds no numbers") as caught:
        infer_schema(pd.DataFrame({"age": [1, 2], "kind": values}))
    assert caught.value.field == "kind"


def test_a_column_that_stands_twice_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="'a' stands 2 times"):
        infer_schema(pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]))


def test_names_that_are_equal_as_text_are_refused() -> None:
    with pytest.raises(BadInput, match="'1' stands 2 times"):
        infer_schema(pd.DataFrame([[1, 2]], columns=[1, "1"]))


@pytest.mark.parametrize("frame", [pd.DataFrame([[1]], columns=[" "]), pd.DataFrame(index=[0, 1])])
def test_a_table_without_names_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(BadInput):
        infer_schema(frame)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(BadInput, match="do not form an array"):
        infer_schema([[1, 2], [3]])


def test_a_models_input_shape_gives_float_fields() -> None:
    assert schema_of_shape((None, 2)) == infer_schema(np.zeros((1, 2)))
    assert schema_of_shape((None, None)) is None
    assert schema_of_shape((None, 3, 2)) is None
    assert schema_of_shape([(None, 2), (None, 2)]) is None


def test_a_width_that_differs_from_the_models_is_refused_with_both_numbers() -> None:
    schema = infer_schema(np.zeros((1, 4)))
    assert schema is not None
    with pytest.raises(BadInput, match="expected 5 columns, got 4"):
        check_width(schema, 5)
    check_width(schema, 4)
    check_width(schema, None)
    with pytest.raises(BadInput):
        check_width({"input_schema": schema}, 5)


def test_both_written_forms_of_a_schema_are_taken() -> None:
    side = {"a": {"var_type": "float", "index": 1}, "b": {"var_type": "INT", "index": 0}}
    assert checked_schema(side) == side
    nested = {"input_schema": side, "output_schema": {"z": {"var_type": "FLOAT", "index": 0}}}
    assert checked_schema(nested) == nested
    assert output_names(nested) == ("z",)
    assert output_names(side) == ()


def test_an_input_may_be_called_input_schema() -> None:
    side = {"input_schema": {"var_type": "INT", "index": 0}}
    assert checked_schema(side) == side


@pytest.mark.parametrize(
    "schema",
    [
        {},
        [],
        {"a": 1},
        {"a": {"var_type": "TEXT", "index": 0}},
        {"a": {"var_type": "INT", "index": 1}},
        {"a": {"var_type": "INT", "index": 0}, "b": {"var_type": "INT", "index": 0}},
        {"": {"var_type": "INT", "index": 0}},
        {"input_schema": {}},
    ],
)
def test_a_written_schema_with_a_gap_is_refused(schema: Any) -> None:
    with pytest.raises(BadInput):
        checked_schema(schema)


def test_text_becomes_categories_where_that_is_asked() -> None:
    frame = pd.DataFrame(
        {
            "age": [1, 2, 3],
            "plan": ["plus", None, "basic"],
            "size": pd.Categorical(["s", "l", None], categories=["s", "m", "l"]),
        }
    )
    plan = {"var_type": "STRING", "index": 1, "categories": ["basic", "plus"]}
    size = {"var_type": "STRING", "index": 2, "categories": ["s", "m", "l"]}
    schema = {"age": {"var_type": "INT", "index": 0}, "plan": plan, "size": size}
    assert infer_schema(frame, categories=["plan", "size"]) == schema
    assert infer_schema(frame, categories=True) == schema
    assert checked_schema(schema) == schema
    with pytest.raises(BadInput, match="Column 'size' holds no numbers"):
        infer_schema(frame, categories=["plan"])
    with pytest.raises(BadInput, match=r"no such column.*plam"):
        infer_schema(frame, categories=["plam"])


@pytest.mark.parametrize("values", [[1, 2], ["a", 3], ["a", " "], [None, None]])
def test_what_is_not_all_text_is_no_column_of_categories(values: list[Any]) -> None:
    with pytest.raises(BadInput, match="Column 'kind' does not hold categories"):
        infer_schema(pd.DataFrame({"kind": pd.Series(values, dtype=object)}), categories=["kind"])


def test_a_string_without_categories_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="'a' of the schema is a STRING without categories"):
        checked_schema({"a": {"var_type": "string", "index": 0}})


@pytest.mark.parametrize(
    ("entry", "number", "value"),
    [
        ({"var_type": "INT"}, 3.0, 3),
        ({"var_type": "INT"}, 3.5, 3.5),
        ({"var_type": "FLOAT"}, 3.0, 3.0),
        ({"var_type": "bool"}, 1.0, True),
        ({"var_type": "BOOL"}, 0.5, 0.5),
        ({"var_type": "STRING", "categories": ["a", "b"]}, 1.0, "b"),
        ({"var_type": "STRING", "categories": {"a": 0.1, "b": 7}}, np.float32(0.1), "a"),
        ({"var_type": "STRING", "categories": ["a", "b"]}, 2.0, 2.0),
    ],
)
def test_a_number_of_the_model_is_sent_as_a_caller_would_write_it(
    entry: Any, number: float, value: object
) -> None:
    written = written_value({"index": 0, **entry}, number)
    assert (written, type(written)) == (value, type(value))
