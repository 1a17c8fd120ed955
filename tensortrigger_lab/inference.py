"""Asks a published model for answers, in the form in which the question came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_lab import answers, payload
from tensortrigger_lab.client import Client, reference_to
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_frame, is_series
from tensortrigger_lab.signature import as_array
from tensortrigger_lab.wire import ModelRecord, VectorSide

NUMBERS_PER_REQUEST = 100_000
"""Larger batches go in several requests, so that none nears the backend's limit on bodies."""


def infer(client: Client, reference: str, x: Any, record: ModelRecord | None = None) -> Any:
    """The model's answer to ``x``.

    Args:
        reference: the model's id, ``name``, ``name/3`` or ``name@alias``.
        x: one vector (a mapping of numbers, a Series, a list or array of shape (k,)) or a batch: a DataFrame,
            a list of mappings, a list or array of shape (n, k) or with more axes, or, for a model with
            several inputs, a mapping or list of arrays; batch axis first.
        record: the model's metadata where it is known; looked up where the form of ``x`` needs it.

    Returns:
        for one vector its output, a list, or a dict where outputs have names; for a DataFrame a DataFrame
        with the same index; for a list of lists or mappings a list; for arrays an array, or arrays by
        output name where there are several.

    Raises:
        BadInput: a value that cannot be sent, by field and row.
        TensorTriggerError: see the tree in ``errors``.
    """
    if is_series(x):
        x = x.to_dict() if x.index.dtype.kind not in "iu" else x.to_numpy()
    if is_frame(x):
        try:
            rows = payload.frame_rows(x)
        except BadInput:
            side, record = _fields(client, reference, record)
            rows = payload.frame_rows(x, side)
        outputs = _batches(client, reference, rows, max(1, x.shape[1]))
        record = record or client.model(reference)
        return answers.table(outputs, record.signature.outputs if record.signature else (), x.index)
    if isinstance(x, Mapping):
        if not x:
            raise BadInput("The vector is empty.", expected="{name: number}")
        if all(np.ndim(value) == 0 for value in x.values()):
            try:
                vector = payload.vector(x)
            except BadInput:
                vector = payload.vector(x, side=_fields(client, reference, record)[0])
            return client.run(reference_to(reference), vector).output
        return _tensors(client, reference, {str(name): as_array(value) for name, value in x.items()})
    if isinstance(x, list | tuple):
        if x and all(isinstance(row, Mapping) for row in x):
            try:
                rows = [payload.vector(row, place) for place, row in enumerate(x)]
            except BadInput:
                side, record = _fields(client, reference, record)
                rows = [payload.vector(row, place, side) for place, row in enumerate(x)]
            return _batches(client, reference, rows, max(1, len(rows[0])))
        if len(x) > 1 and all(np.ndim(part) > 0 and hasattr(part, "shape") for part in x):
            record = record or client.model(reference)
            if record.signature is not None and len(record.signature.inputs) == len(x):
                names = [spec.name for spec in record.signature.inputs]
                return _tensors(client, reference, dict(zip(names, map(as_array, x), strict=True)))
    return _array(client, reference, x, record)


def _fields(
    client: Client, reference: str, record: ModelRecord | None
) -> tuple[VectorSide | None, ModelRecord | None]:
    """The model's fields, asked for only when a value is no number: it may be what its field takes."""
    record = record or client.model(reference)
    return (record.schema["input_schema"] if record.schema else None), record


def _array(client: Client, reference: str, x: Any, record: ModelRecord | None) -> Any:
    array = as_array(x)
    if array.ndim == 0 or array.size == 0:
        raise BadInput("There is nothing to run.", expected="a vector or a batch", got=repr(x)[:80])
    if array.dtype.kind == "O" and not any(isinstance(value, str) for value in array.flat):
        raise BadInput("The values are not numbers.", expected="numbers", got=repr(x)[:80])
    if array.ndim == 1 and array.dtype.kind in "biuf" and (record is None or record.schema is not None):
        output = client.run(reference_to(reference), payload.numbers(array)).output
        return answers.tensors(output) if isinstance(x, np.ndarray) else output
    if array.ndim == 2 and array.dtype.kind in "biuf":
        record = record or client.model(reference)
        if record.schema is not None:
            outputs = _batches(client, reference, payload.numbers(array), array.shape[1])
            return answers.by_output(outputs) if isinstance(x, np.ndarray) else outputs
    return _tensors(client, reference, array)


def _batches(client: Client, reference: str, rows: Sequence[Any], width: int) -> list[Any]:
    if not rows:
        return []
    outputs: list[Any] = []
    step = max(1, NUMBERS_PER_REQUEST // width)
    for start in range(0, len(rows), step):
        outputs += client.run_batch(reference_to(reference), rows[start : start + step]).output
    return outputs


def _tensors(
    client: Client, reference: str, inputs: npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    parts = [
        answers.tensors(client.run_tensors(reference_to(reference), part).output) for part in _slices(inputs)
    ]
    return answers.joined(parts)


def _slices(inputs: npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]) -> Iterator[Any]:
    """JSON-ready slices along the batch axis, each of a size that one request may have."""
    if isinstance(inputs, np.ndarray):
        for start, stop in _bounds(len(inputs), inputs.size):
            yield payload.nested(inputs[start:stop])
        return
    for name, array in inputs.items():
        if array.ndim == 0:
            raise BadInput(f"Input {name!r} has no batch axis.", field=name, expected="1 or more axes")
    lengths = {len(array) for array in inputs.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{name}: {len(array)}" for name, array in inputs.items())
        raise BadInput("The inputs differ in their batch length.", expected="equal lengths", got=told)
    for start, stop in _bounds(lengths.pop(), sum(array.size for array in inputs.values())):
        yield {name: payload.nested(array[start:stop], name) for name, array in inputs.items()}


def _bounds(rows: int, numbers: int) -> Iterator[tuple[int, int]]:
    step = max(1, NUMBERS_PER_REQUEST * rows // max(numbers, 1))
    for start in range(0, max(rows, 1), step):
        yield start, start + step
