"""What a notebook holds, as the strict JSON of a request; a value that cannot be sent is named first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensortrigger_lab.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


def vector(values: Mapping[Any, Any], row: int | None = None) -> dict[str, int | float]:
    """``{name: number}`` with Python numbers.

    Raises:
        BadInput: a value that is no finite number, by field and row.
    """
    return {str(name): _number(value, str(name), row) for name, value in values.items()}


def frame_rows(frame: pd.DataFrame) -> list[dict[str, int | float]]:
    """Each row of a DataFrame as ``{column: number}``.

    Raises:
        BadInput: the first value that is no finite number, by column and row (counted from 0).
    """
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in frame_lists(frame)]


def frame_lists(frame: pd.DataFrame) -> list[list[int | float]]:
    """Each row of a DataFrame as a list in the order of its columns.

    Raises:
        BadInput: the first value that is no finite number, by column and row (counted from 0).
    """
    columns = [_column(frame.iloc[:, place], str(name)) for place, name in enumerate(frame.columns)]
    return [list(row) for row in zip(*columns, strict=True)]


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
