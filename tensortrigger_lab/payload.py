"""What a notebook holds, as the strict JSON of a request; a value that cannot be sent is named first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.wire import FieldSchema, Value, VectorSide

if TYPE_CHECKING:
    import pandas as pd


def vector(
    values: Mapping[Any, Any], row: int | None = None, side: VectorSide | None = None
) -> dict[str, Value]:
    """``{name: value}`` with Python's own types.

    Args:
        side: the model's fields where they are known: a STRING takes text, and what is nullable a gap (None,
            NaN, NA), which is sent as null. Every other value must be a number.

    Raises:
        BadInput: a value that is no finite number, nor what its field takes instead, by field and row.
    """
    fields = side or {}
    return {str(name): _value(value, str(name), row, fields.get(str(name))) for name, value in values.items()}


def frame_rows(frame: pd.DataFrame, side: VectorSide | None = None) -> list[dict[str, Value]]:
    """Each row of a DataFrame as ``{column: value}``.

    Args:
        side: as for ``vector``.

    Raises:
        BadInput: the first value that cannot be sent, by column and row (counted from 0).
    """
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in frame_lists(frame, side)]


def frame_lists(frame: pd.DataFrame, side: VectorSide | None = None) -> list[list[Value]]:
    """Each row of a DataFrame as a list in the order of its columns.

    Args:
        side: as for ``vector``.

    Raises:
        BadInput: the first value that cannot be sent, by column and row (counted from 0).
    """
    fields = side or {}
    columns = [
        _field_column(frame.iloc[:, place], str(name), fields.get(str(name)))
        for place, name in enumerate(frame.columns)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def says_more(side: VectorSide | None) -> bool:
    """Whether a field of the model takes text or a gap, so that not every value need be a number."""
    return side is not None and any(
        entry.get("nullable") or entry["var_type"].upper() == "STRING" for entry in side.values()
    )


def series_numbers(series: pd.Series[Any]) -> list[int | float]:
    """The values of a Series; booleans become 0 and 1.

    Raises:
        BadInput: the first value that is no finite number, by row (counted from 0).
    """
    return list(_column(series, str(series.name)))


def nested(array: npt.NDArray[Any], name: str | None = None) -> list[Any]:
    """A nested list of an array, batch axis first; text is sent as strings.

    Raises:
        BadInput: the first value that is not finite, by row and place.
    """
    what = f"Input {name!r}" if name else "The input"
    if array.ndim == 0:
        raise BadInput(
            f"{what} has no batch axis.", field=name, expected="1 or more axes", got="a single value"
        )
    if array.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            row, place = int(bad[0][0]), ", ".join(str(int(index)) for index in bad[0][1:])
            raise BadInput(
                f"{what} is not finite in row {row}" + (f" at [{place}]." if place else "."),
                field=f"x{place}" if array.ndim == 2 and not name else name,
                row=row,
                expected="a finite number",
                got=str(array[tuple(bad[0])]),
            )
    elif array.dtype.kind not in "biuUO":
        raise BadInput(f"{what} holds neither numbers nor text.", field=name, got=str(array.dtype))
    listed: list[Any] = array.tolist()
    return listed


def numbers(array: npt.NDArray[Any]) -> list[Any]:
    """A nested list of a vector or of rows of vectors: booleans become 0 and 1."""
    return nested(array.astype(np.int8) if array.dtype.kind == "b" else array)


def _field_column(column: pd.Series[Any], name: str, entry: FieldSchema | None) -> Sequence[Value]:
    if entry is None or not says_more({name: entry}):
        return _column(column, name)
    if column.dtype.kind in "biuf" and not column.isna().any():
        return _column(column, name)
    return [_value(value, name, row, entry) for row, value in enumerate(column.tolist())]


def _value(value: Any, name: str, row: int | None, entry: FieldSchema | None) -> Value:
    if entry is not None:
        if entry.get("nullable") and _is_gap(value):
            return None
        if entry["var_type"].upper() == "STRING" and isinstance(value, str):
            return str(value)
        if entry["var_type"].upper() == "STRING" and _is_gap(value):
            raise BadInput(
                f"Field {name!r}" + ("" if row is None else f" in row {row}") + " is empty.",
                field=name,
                row=row,
                expected="text",
                got=str(value),
            )
    return _number(value, name, row)


def _is_gap(value: Any) -> bool:
    """Whether this is None, NaN, or pandas' NA or NaT; known by name, for pandas need not be there."""
    missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    return missing or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _column(column: pd.Series[Any], name: str) -> Sequence[int | float]:
    kind = str(getattr(column.dtype, "kind", "O"))
    if kind in "biu" and not column.hasnans:
        integers: list[int] = column.to_numpy(dtype=np.int64 if kind != "u" else np.uint64).tolist()
        return integers
    if kind in "biuf":
        array = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad):
            raise _refusal(array[bad[0]], name, int(bad[0]))
        floats: list[float] = array.tolist()
        return floats
    return [_number(value, name, row) for row, value in enumerate(column.tolist())]


def _number(value: Any, name: str, row: int | None) -> int | float:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise _refusal(value, name, row)


def _refusal(value: Any, name: str, row: int | None) -> BadInput:
    where = f" in row {row}" if row is not None else ""
    shown = repr(value) if isinstance(value, str) else str(value)
    fault = "is not finite" if isinstance(value, float) else "is not a number"
    return BadInput(
        f"Field {name!r}{where} {fault}.", field=name, row=row, expected="a finite number", got=shown[:80]
    )
