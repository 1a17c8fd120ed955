"""Nested JSON lists to tensors of a signature and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.tensors import Signature, TensorSpec


def tensors_from_json(
    inputs: object,
    signature: Signature,
    loc: tuple[str | int, ...] = ("inputs",),
    side: str = "Input",
) -> dict[str, npt.NDArray[Any]]:
    """Every input of the signature by name, batch axis first.

    Args:
        inputs: ``{name: nested list}``, or the bare nested list where the model has one input.
        side: what the tensors are called in faults; ``Output`` where they are labels.

    Raises:
        InvalidInput: naming the tensor, with the shape that was expected and the one that came.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    if not isinstance(inputs, Mapping):
        if len(specs) != 1:
            raise InvalidInput.of(
                Fault(
                    loc,
                    "inputs_type",
                    f"The model has {len(specs)} {side.lower()}s: send an object that names each.",
                    ", ".join(specs),
                    "a bare list",
                )
            )
        inputs = {next(iter(specs)): inputs}
    faults = [
        Fault((*loc, name), "missing", f"{side} {name!r} is missing.", spec.dtype, "nothing")
        for name, spec in specs.items()
        if name not in inputs
    ]
    faults += [
        Fault(
            (*loc, str(name)),
            "extra",
            f"The model has no {side.lower()} {str(name)!r}.",
            ", ".join(specs),
            str(name)[:80],
        )
        for name in inputs
        if name not in specs
    ]
    if faults:
        raise InvalidInput.of(*faults)
    arrays = {name: _tensor(inputs[name], spec, (*loc, name), side) for name, spec in specs.items()}
    lengths = {name: array.shape[0] for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InvalidInput.of(
            Fault(
                loc,
                "batch_length",
                f"The {side.lower()}s differ in their batch length.",
                "equal lengths",
                told,
            )
        )
    return arrays


def _tensor(values: object, spec: TensorSpec, loc: tuple[str | int, ...], side: str) -> npt.NDArray[Any]:
    """One tensor of the spec's dtype and shape."""
    expected = f"{spec.dtype} of shape {_shape(spec.shape)}"
    if not isinstance(values, list):
        raise InvalidInput.of(
            Fault(
                loc,
                "tensor_type",
                f"{side} {spec.name!r} must be a nested list.",
                expected,
                type(values).__name__,
            )
        )
    leaves, shape = _flattened(values, spec, loc, side)
    if (
        len(shape) != len(spec.shape)
        or any(want not in (-1, have) for want, have in zip(spec.shape, shape, strict=True))
        or not leaves
    ):
        raise InvalidInput.of(
            Fault(
                loc,
                "tensor_shape",
                f"{side} {spec.name!r} has shape {_shape(shape)}, the model "
                f"{'takes' if side == 'Input' else 'gives'} {_shape(spec.shape)}.",
                _shape(spec.shape),
                _shape(shape),
            )
        )
    # Looked at before numpy sees them: it makes numbers of booleans, and pads every text to the longest.
    kinds = set(map(type, leaves))
    if not kinds <= _ALLOWED.get(np.dtype(spec.dtype).kind if spec.dtype != "string" else "string", set()):
        raise InvalidInput.of(_wrong_dtype(spec, loc, expected, kinds, side))
    if spec.dtype == "string":
        return np.array(leaves, dtype=object).reshape(shape)
    array = _numbers(leaves, spec, loc, expected, side)
    return np.ascontiguousarray(array).reshape(shape)


_ALLOWED: dict[str, set[type]] = {
    "string": {str},
    "b": {bool},
    "i": {int, float},
    "u": {int, float},
    "f": {int, float},
}
"""By numpy's kind of a dtype: the JSON values that a tensor of it may hold."""


def _flattened(
    values: list[Any], spec: TensorSpec, loc: tuple[str | int, ...], side: str
) -> tuple[list[Any], tuple[int, ...]]:
    """The values of a nested list, one after the other, and its shape.

    Raises:
        InvalidInput: lists side by side differ in length.
    """
    shape: list[int] = []
    level: list[Any] = [values]
    while level and isinstance(level[0], list) and len(shape) <= len(spec.shape):
        lengths = {len(entry) if isinstance(entry, list) else -1 for entry in level}
        if len(lengths) > 1:
            expected = f"{spec.dtype} of shape {_shape(spec.shape)}"
            raise InvalidInput.of(
                Fault(
                    loc,
                    "ragged",
                    f"{side} {spec.name!r} is ragged: its lists differ in length.",
                    expected,
                    "ragged",
                )
            )
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    return level, tuple(shape)


def _wrong_dtype(
    spec: TensorSpec, loc: tuple[str | int, ...], expected: str, kinds: set[type], side: str
) -> Fault:
    names = {str: "text", bool: "booleans", int: "numbers", float: "numbers", type(None): "null"}
    got = " and ".join(sorted({names.get(kind, "lists") for kind in kinds}))
    return Fault(
        loc, "tensor_dtype", f"{side} {spec.name!r} must hold {spec.dtype} values only.", expected, got
    )


def _numbers(
    leaves: list[Any], spec: TensorSpec, loc: tuple[str | int, ...], expected: str, side: str
) -> npt.NDArray[Any]:
    """The leaves in the spec's dtype, none of them cut off or out of range."""
    dtype = np.dtype(spec.dtype)
    too_large = InvalidInput.of(
        Fault(
            loc,
            "out_of_range",
            f"{side} {spec.name!r} holds a value that does not fit {spec.dtype}.",
            spec.dtype,
            "out of range",
        )
    )
    if dtype.kind == "b":
        return np.array(leaves, dtype)
    if dtype.kind == "f":
        try:
            with np.errstate(over="ignore"):
                array: npt.NDArray[Any] = np.array(leaves, np.float64).astype(dtype)
        except OverflowError:
            raise too_large from None
        if not np.isfinite(array).all():
            raise too_large
        return array
    if any(value != value // 1 for value in leaves):
        raise InvalidInput.of(
            Fault(
                loc,
                "tensor_dtype",
                f"{side} {spec.name!r} must hold {spec.dtype} values only.",
                expected,
                "fractions",
            )
        )
    limits = np.iinfo(dtype)
    if min(leaves) < limits.min or max(leaves) > limits.max:
        raise too_large
    return np.array([int(value) for value in leaves], dtype)


def row_answers(outputs: Mapping[str, list[Any]], names: Sequence[str]) -> list[Any]:
    """What each row of vectors is answered.

    Args:
        outputs: nested lists by output, batch axis first.
        names: declared names of a single output's numbers; empty where none were declared.

    Returns:
        an object by output where there are several; else the one output's list, or an object by ``names``.
    """
    if len(outputs) > 1:
        return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    (rows,) = outputs.values()
    return [dict(zip(names, row, strict=True)) for row in rows] if names else rows


def json_from_tensor(array: npt.NDArray[Any]) -> tuple[Any, int]:
    """A nested list that strict JSON can hold, and how many non-finite values became null."""
    if array.dtype.kind == "f":
        bad = ~np.isfinite(array)
        count = int(bad.sum())
        if count:
            masked = array.astype(object)
            masked[bad] = None
            return masked.tolist(), count
    if array.dtype.kind in "SO":
        decoded = np.vectorize(
            lambda text: text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        )
        return decoded(array).tolist(), 0
    return array.tolist(), 0


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join("any" if length == -1 else str(length) for length in shape) + ")"
