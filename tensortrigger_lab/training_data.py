"""Rows and labels, in whatever form a notebook holds them, as the body of a training request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tensortrigger_lab import payload
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_frame, is_series
from tensortrigger_lab.request import Body
from tensortrigger_lab.rows_file import CSV, RowsFile, found_file
from tensortrigger_lab.signature import as_array
from tensortrigger_lab.wire import ModelRecord

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 1 << 18
"""Bytes of a file that are in memory at once."""


def training_data(record: ModelRecord, x: Any, y: Any) -> dict[str, Any]:
    """The members of the body that hold the points.

    Args:
        x: n rows: a DataFrame whose columns are the model's inputs in any order; a list of mappings; an array or
            list of shape (n, k) in schema order; for a model of tensors an array with the batch axis first, or
            arrays by input name.
        y: n labels: numbers or class indices (from 0) as an array, list or Series of shape (n,); an array or
            DataFrame of shape (n, outputs); for several outputs arrays by output name.

    Raises:
        BadInput: what cannot be right, by column and row; nothing was sent.
    """
    inputs, rows = _inputs(record, x)
    labels, count = _labels(record, y)
    if rows != count:
        raise BadInput("There must be one label for every row.", expected=f"{rows} labels", got=str(count))
    if rows == 0:
        raise BadInput("There is nothing to learn from.", expected="1 or more rows", got="0")
    return {**inputs, **labels}


def csv_file(source: str | Path) -> RowsFile:
    """A file that a training can read.

    Raises:
        BadInput: there is no such file, or its name says that it is no CSV.
    """
    rows = found_file(source)
    if rows.media_type != CSV:
        raise BadInput(
            "A training reads no files but CSV: make this one a DataFrame, and train on that.",
            expected=".csv, .tsv or .txt, perhaps with .gz",
            got=rows.path.name,
        )
    return rows


def file_body(path: Path) -> Body:
    """Opens the bytes of a file anew, in blocks."""

    def blocks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block

    return blocks


def label_names(y: Any) -> tuple[str, ...]:
    """The label columns of a file.

    Raises:
        BadInput: this names no columns.
    """
    names = (y,) if isinstance(y, str) else () if y is None else y
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise BadInput(
            "The labels of a file are columns of it.",
            expected="a name or a list of names",
            got=type(y).__name__,
        )
    return tuple(names)


def table_and_labels(table: pd.DataFrame, labels: Sequence[str]) -> tuple[Any, Any]:
    """A table cut into rows and labels.

    Args:
        labels: the columns that are to be learnt; all others are inputs.

    Raises:
        BadInput: there is no such column.
    """
    missing = [name for name in labels if name not in table.columns]
    if missing or not labels:
        told = ", ".join(map(repr, missing)) or "none was named"
        raise BadInput(
            "The label column is not in the table.",
            expected=f"of {', '.join(map(str, table.columns))}"[:200],
            got=told,
        )
    chosen = table[list(labels)]
    return table.drop(columns=list(labels)), chosen.iloc[:, 0] if len(labels) == 1 else chosen


def _inputs(record: ModelRecord, x: Any) -> tuple[dict[str, Any], int]:
    side = record.schema["input_schema"] if record.schema is not None else None
    if is_frame(x):
        rows = payload.frame_lists(_in_order(x, record.input_names, "input"), side)
        return ({"input_vectors": rows} if record.schema is not None else {"inputs": rows}), len(rows)
    if isinstance(x, Mapping):
        arrays = {str(name): as_array(values) for name, values in x.items()}
        return {"inputs": _nested(arrays)}, _rows(arrays)
    if isinstance(x, list | tuple) and x and all(isinstance(row, Mapping) for row in x):
        vectors = [payload.vector(row, place, side) for place, row in enumerate(x)]
        return {"input_vectors": vectors}, len(vectors)
    array = as_array(x)
    if array.ndim < 2 and array.dtype.kind not in "UO":
        raise BadInput(
            "The rows need a batch axis and a feature axis.",
            expected="shape (rows, features) or more axes",
            got=f"shape {array.shape}",
        )
    if record.schema is None or array.ndim != 2:
        return {"inputs": payload.numbers(array)}, len(array)
    width = len(record.input_names)
    if array.shape[1] != width:
        raise BadInput(
            "The rows do not fit the model's inputs.", expected=f"{width} columns", got=f"{array.shape[1]}"
        )
    return {"input_vectors": payload.numbers(array)}, len(array)


def _labels(record: ModelRecord, y: Any) -> tuple[dict[str, Any], int]:
    if is_frame(y):
        rows = payload.frame_lists(_in_order(y, record.output_names, "output"))
        return {"output_vectors": rows}, len(rows)
    if is_series(y):
        if y.dtype.kind not in "biuf":
            _refuse_text(y.tolist())
        numbers = payload.series_numbers(y)
        return {"output_vectors": numbers}, len(numbers)
    if isinstance(y, Mapping):
        arrays = {str(name): as_array(values) for name, values in y.items()}
        return {"outputs": _nested(arrays)}, _rows(arrays)
    if isinstance(y, list | tuple) and y and all(isinstance(row, Mapping) for row in y):
        vectors = [payload.vector(row, place) for place, row in enumerate(y)]
        return {"output_vectors": vectors}, len(vectors)
    array = as_array(y)
    if array.ndim == 0:
        raise BadInput("There are no labels.", expected="one for every row", got=repr(y)[:80])
    if array.dtype.kind in "UO":
        _refuse_text(array.ravel().tolist())
    member = "outputs" if array.ndim > 2 else "output_vectors"
    return {member: payload.numbers(array)}, len(array)


def _in_order(frame: pd.DataFrame, names: Sequence[str], what: str) -> pd.DataFrame:
    """The columns in the model's order, where it names them; by their place where it does not."""
    if not names:
        return frame
    columns = [str(name) for name in frame.columns]
    if set(columns) != set(names) or len(columns) != len(names):
        missing = [repr(name) for name in names if name not in columns]
        other = [repr(name) for name in columns if name not in names]
        told = [f"missing: {', '.join(missing[:10])}"] * bool(missing)
        told += [f"not the model's: {', '.join(other[:10])}"] * bool(other)
        raise BadInput(
            f"The columns are not the model's {what}s.", got="; ".join(told) or "a column stands twice"
        )
    return frame.iloc[:, [columns.index(name) for name in names]]


def _nested(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {name: payload.nested(array, name) for name, array in arrays.items()}


def _rows(arrays: Mapping[str, np.ndarray[Any, Any]]) -> int:
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise BadInput("The arrays differ in their number of rows.", expected="equal lengths", got=told)
    return next(iter(lengths.values()), 0)


def _refuse_text(values: Sequence[Any]) -> None:
    """Point out the first label that is no number, with what to do about it."""
    for row, value in enumerate(values):
        if isinstance(value, str):
            raise BadInput(
                f"The label in row {row} is text: number the classes from 0, in the order of the model's outputs.",
                row=row,
                expected="a number, or a class index",
                got=repr(value)[:80],
            )
