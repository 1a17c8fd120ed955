"""Which named-vector schema an example stands for: names and INT or FLOAT, in column order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.wire import VectorSide, names_in_order

VAR_TYPE_OF_KIND = {"b": "INT", "i": "INT", "u": "INT", "f": "FLOAT"}
"""numpy's dtype kinds, which pandas' nullable dtypes share."""


def infer_schema(example: Any) -> VectorSide | None:
    """The schema of one vector a row, or None where the model takes tensors instead.

    Args:
        example: a DataFrame of n rows and k columns; an array of shape (n, k), which names its columns
            ``x0 .. x{k-1}``; anything else (more axes, several inputs as a list or dict) has none.

    Returns:
        ``{name: {var_type, index}}``; booleans and integers are INT, floating-point numbers FLOAT.

    Raises:
        BadInput: a column that holds no numbers, an empty name, or the same name twice.
    """
    if is_frame(example):
        return _checked((str(name), _var_type(str(name), dtype)) for name, dtype in example.dtypes.items())
    if isinstance(example, Mapping):
        return None
    if isinstance(example, list | tuple) and any(hasattr(part, "shape") for part in example):
        return None
    array = as_array(example)
    if array.ndim != 2 or array.dtype.kind not in VAR_TYPE_OF_KIND:
        return None
    var_type = VAR_TYPE_OF_KIND[array.dtype.kind]
    return _checked((f"x{index}", var_type) for index in range(array.shape[1]))


def schema_of_shape(input_shape: Any) -> VectorSide | None:
    """The schema of a model known only by its ``input_shape``: FLOATs for (None, k), else None."""
    if not isinstance(input_shape, tuple) or len(input_shape) != 2 or not isinstance(input_shape[1], int):
        return None
    return {f"x{index}": {"var_type": "FLOAT", "index": index} for index in range(input_shape[1])}


def checked_schema(schema: Any) -> dict[str, Any]:
    """A schema that a caller wrote, in either form of the API, with its inputs checked.

    Raises:
        BadInput: no fields, an empty name, a var_type other than INT or FLOAT, or indices with a gap.
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
        if not isinstance(entry, Mapping) or str(entry.get("var_type")).upper() not in ("INT", "FLOAT"):
            raise BadInput(
                f"Field {name!r} of the schema has no valid var_type.", field=name, expected="INT or FLOAT"
            )
    indices = [entry.get("index") for entry in side.values()]
    if sorted(indices, key=str) != sorted(range(len(side)), key=str):
        raise BadInput(
            "The indices of the schema must count 0, 1, 2, ... with none twice.",
            expected=f"0 to {len(side) - 1}",
            got=", ".join(map(str, indices[:20])),
        )


def _var_type(name: str, dtype: Any) -> str:
    kind = str(getattr(dtype, "kind", "O"))
    if kind not in VAR_TYPE_OF_KIND:
        raise BadInput(
            f"Column {name!r} holds no numbers: encode it or leave it out.",
            field=name,
            expected="a number dtype",
            got=str(dtype),
        )
    return VAR_TYPE_OF_KIND[kind]


def _checked(fields: Iterable[tuple[str, str]]) -> VectorSide:
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
    return {name: {"var_type": var_type, "index": index} for index, (name, var_type) in enumerate(listed)}
