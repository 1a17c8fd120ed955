"""Which named-vector schema an example stands for: names and types, in column order, and categories if asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import numpy as np

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.wire import FieldSchema, VectorSide, names_in_order

VAR_TYPE_OF_KIND = {"b": "BOOL", "i": "INT", "u": "INT", "f": "FLOAT"}
"""numpy's dtype kinds, which pandas' nullable dtypes share."""


VAR_TYPES = ("INT", "FLOAT", "BOOL", "STRING")


def infer_schema(example: Any, categories: Collection[str] | bool = ()) -> VectorSide | None:
    """The schema of one vector a row, or None where the model takes tensors instead.

    Args:
        example: a DataFrame of n rows and k columns; an array of shape (n, k), which names its columns
            ``x0 .. x{k-1}``; anything else (more axes, several inputs as a list or dict) has none.
        categories: columns of text that callers are to send as such, or True for all of them. The endpoint gives
            the model a category's place: of a pandas categorical in its own order, which is that of ``.cat.codes``,
            else in the order of the alphabet. The model must have been fitted on those very numbers.

    Returns:
        ``{name: {var_type, index}}``, to be passed as ``schema=`` as it is or with more said: booleans are BOOL,
        integers INT, floating-point numbers FLOAT, text STRING with its ``categories``.

    Raises:
        BadInput: a column that holds no numbers and was not asked to be categories, an empty name, or the same
            name twice.

    Example:
        >>> tt.infer_schema(customers, categories=["plan"])  # doctest: +SKIP
        {'age': {'var_type': 'INT', 'index': 0},
         'plan': {'var_type': 'STRING', 'index': 1, 'categories': ['basic', 'plus']}}
    """
    if is_frame(example):
        return _of_frame(example, categories)
    if isinstance(example, Mapping):
        return None
    if isinstance(example, list | tuple) and any(hasattr(part, "shape") for part in example):
        return None
    array = as_array(example)
    if array.ndim != 2 or array.dtype.kind not in VAR_TYPE_OF_KIND:
        return None
    var_type = VAR_TYPE_OF_KIND[array.dtype.kind]
    return _checked((f"x{index}", {"var_type": var_type}) for index in range(array.shape[1]))


def schema_of_shape(input_shape: Any) -> VectorSide | None:
    """The schema of a model known only by its ``input_shape``: FLOATs for (None, k), else None."""
    if not isinstance(input_shape, tuple) or len(input_shape) != 2 or not isinstance(input_shape[1], int):
        return None
    return {f"x{index}": {"var_type": "FLOAT", "index": index} for index in range(input_shape[1])}


def checked_schema(schema: Any) -> dict[str, Any]:
    """A schema that a caller wrote, in either form of the API, with its inputs checked.

    Raises:
        BadInput: no fields, an empty name, an unknown var_type, a STRING without categories, or indices with a gap.
            The rest is for the backend to say.
    """
    if not isinstance(schema, Mapping) or not schema:
        raise BadInput("The schema must be an object of named fields.", expected="{name: {var_type, index}}")
    nested = "input_schema" in schema and "index" not in schema["input_schema"]
    for side in (schema["input_schema"], schema.get("output_schema")) if nested else (schema,):
        if side is not None:
            _check_side(side)
    return dict(schema)


def check_width(schema: Mapping[str, Any], width: int | None) -> None:
    """Refuse a schema that names more or fewer inputs than the model has.

    Raises:
        BadInput: saying both numbers.
    """
    count = len(input_side(schema))
    if width is not None and count != width:
        raise BadInput(
            "The example or schema does not fit the model's input.",
            expected=f"{width} columns",
            got=f"{count}",
        )


def input_side(schema: Mapping[str, Any]) -> VectorSide:
    """The inputs of a schema in either form."""
    nested = "input_schema" in schema and "index" not in schema["input_schema"]
    return dict(schema["input_schema"] if nested else schema)


def output_names(schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Names of the declared outputs in index order; empty where none are."""
    if not schema or "input_schema" not in schema or "index" in schema["input_schema"]:
        return ()
    return names_in_order(schema.get("output_schema") or {})


def as_array(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """``values`` as an array.

    Raises:
        BadInput: ragged lists.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        raise BadInput(f"The values do not form an array: {error}.") from None


def _check_side(side: Any) -> None:
    if not isinstance(side, Mapping) or not side:
        raise BadInput("The schema must be an object of named fields.", expected="{name: {var_type, index}}")
    for name, entry in side.items():
        if not isinstance(name, str) or not name:
            raise BadInput("A field of the schema has no name.", got=repr(name))
        if not isinstance(entry, Mapping) or str(entry.get("var_type")).upper() not in VAR_TYPES:
            raise BadInput(
                f"Field {name!r} of the schema has no valid var_type.",
                field=name,
                expected="INT, FLOAT, BOOL or STRING",
            )
        if str(entry["var_type"]).upper() == "STRING" and not entry.get("categories"):
            raise BadInput(
                f"Field {name!r} of the schema is a STRING without categories.",
                field=name,
                expected="categories: a list of texts, or {text: number}",
            )
    indices = [entry.get("index") for entry in side.values()]
    if sorted(indices, key=str) != sorted(range(len(side)), key=str):
        raise BadInput(
            "The indices of the schema must count 0, 1, 2, ... with none twice.",
            expected=f"0 to {len(side) - 1}",
            got=", ".join(map(str, indices[:20])),
        )


def written_value(entry: FieldSchema, number: Any) -> Any:
    """What a caller would send for a number that the model takes: the inverse of the endpoint's encoding.

    Returns:
        an int for an INT, a bool for a BOOL, a category's text; the number itself where there is nothing like it.
    """
    var_type = entry["var_type"].upper()
    if var_type == "STRING":
        listed = entry.get("categories") or []
        pairs = (
            listed.items() if isinstance(listed, Mapping) else ((text, at) for at, text in enumerate(listed))
        )
        return next((text for text, encoded in pairs if np.isclose(encoded, number, rtol=1e-6)), number)
    if var_type == "BOOL" and number in (0, 1):
        return bool(number)
    return int(number) if var_type == "INT" and float(number).is_integer() else number


def _of_frame(frame: Any, categories: Collection[str] | bool) -> VectorSide:
    asked = set() if isinstance(categories, bool) else {str(name) for name in categories}
    missing = asked.difference(str(name) for name in frame.columns)
    if missing:
        raise BadInput(
            "There is no such column to take categories from.",
            expected=", ".join(map(str, frame.columns[:20])),
            got=", ".join(sorted(missing)[:20]),
        )
    fields: list[tuple[str, dict[str, Any]]] = []
    for place, name in enumerate(map(str, frame.columns)):
        dtype = frame.dtypes.iloc[place]
        text = str(getattr(dtype, "kind", "O")) not in VAR_TYPE_OF_KIND
        if name in asked or (categories is True and text):
            fields.append((name, {"var_type": "STRING", "categories": _texts(name, frame.iloc[:, place])}))
        else:
            fields.append((name, {"var_type": _var_type(name, dtype)}))
    return _checked(fields)


def _texts(name: str, column: Any) -> list[str]:
    """The categories of a column, in the order of their numbers."""
    known = getattr(column.dtype, "categories", None)
    values = list(known) if known is not None else list(column.dropna().unique())
    wrong = [value for value in values if not isinstance(value, str) or not value.strip()]
    if wrong or not values:
        raise BadInput(
            f"Column {name!r} does not hold categories.",
            field=name,
            expected="text in every row that has a value",
            got=repr(wrong[0])[:80] if wrong else "no value at all",
        )
    return values if known is not None else sorted(values)


def _var_type(name: str, dtype: Any) -> str:
    kind = str(getattr(dtype, "kind", "O"))
    if kind not in VAR_TYPE_OF_KIND:
        raise BadInput(
            f"Column {name!r} holds no numbers: encode it or leave it out; or publish with a schema in which it is a "
            "STRING with categories (tt.infer_schema(example, categories=True)).",
            field=name,
            expected="a number dtype",
            got=str(dtype),
        )
    return VAR_TYPE_OF_KIND[kind]


def _checked(fields: Iterable[tuple[str, dict[str, Any]]]) -> VectorSide:
    listed = list(fields)
    if not listed:
        raise BadInput("The example has no columns.", expected="1 or more", got="0")
    for name, count in Counter(name for name, _ in listed).items():
        if not name.strip():
            raise BadInput("A column of the example has no name.", got=repr(name))
        if count > 1:
            raise BadInput(
                f"Column {name!r} stands {count} times in the example.", field=name, expected="once"
            )
    return {
        name: cast("FieldSchema", {"var_type": said["var_type"], "index": index, **said})
        for index, (name, said) in enumerate(listed)
    }
