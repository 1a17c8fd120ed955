"""Nested JSON lists to tensors of a signature and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.tensors import Signature, TensorSpec


def tensors_from_json(
    inputs: object, signature: Signature, loc: tuple[str | int, ...] = ("inputs",)
) -> dict[str, npt.NDArray[Any]]:
    """Every input of the signature by name, batch axis first.

    Args:
        inputs: ``{name: nested list}``, or the bare nested list where the model has one input.

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
                    f"The model has {len(specs)} inputs: send an object that names each.",
                    ", ".join(specs),
                    "a bare list",
                )
            )
        inputs = {next(iter(specs)): inputs}
    faults = [
        Fault((*loc, name), "missing", f"Input {name!r} is missing.", spec.dtype, "nothing")
        for name, spec in specs.items()
        if name not in inputs
    ]
    faults += [
        Fault(
            (*loc, str(name)),
            "extra",
            f"The model has no input {str(name)!r}.",
            ", ".join(specs),
            str(name)[:80],
        )
        for name in inputs
        if name not in specs
    ]
    if faults:
        raise InvalidInput.of(*faults)
    arrays = {name: _tensor(inputs[name], spec, (*loc, name)) for name, spec in specs.items()}
    lengths = {name: array.shape[0] for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InvalidInput.of(
            Fault(loc, "batch_length", "The inputs differ in their batch length.", "equal lengths", told)
        )
    return arrays


def _tensor(values: object, spec: TensorSpec, loc: tuple[str | int, ...]) -> npt.NDArray[Any]:
    """One tensor of the spec's dtype and shape."""
    expected = f"{spec.dtype} of shape {_shape(spec.shape)}"
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InvalidInput.of(
            Fault(
                loc,
                "tensor_type",
                f"Input {spec.name!r} must be a nested list.",
                expected,
                type(values).__name__,
            )
        )
    try:
        array: npt.NDArray[Any] = np.array(values)
    except ValueError:
        raise InvalidInput.of(
            Fault(
                loc,
                "ragged",
                f"Input {spec.name!r} is ragged: its lists differ in length.",
                expected,
                "ragged",
            )
        ) from None
    # numpy makes numbers of booleans and texts of numbers where they stand together.
    mixed = bool in (kinds := _kinds(values, array.ndim)) and len(kinds) > 1
    if spec.dtype == "string":
        right_kind = kinds == {str}
    elif spec.dtype == "bool":
        right_kind = array.dtype.kind == "b"
    elif spec.dtype.startswith(("int", "uint")):
        right_kind = array.dtype.kind in "iu" or (
            array.dtype.kind == "f" and bool(np.isfinite(array).all() and (array == np.trunc(array)).all())
        )
    else:
        right_kind = array.dtype.kind in "iuf"
    if mixed or not right_kind:
        raise InvalidInput.of(
            Fault(
                loc,
                "tensor_dtype",
                f"Input {spec.name!r} must hold {spec.dtype} values only.",
                expected,
                "null or mixed values"
                if mixed
                else {"U": "text", "O": "null or mixed values", "b": "booleans", "f": "fractions"}.get(
                    array.dtype.kind, str(array.dtype)
                ),
            )
        )
    fits = array.ndim == len(spec.shape) and all(
        want in (-1, have) for want, have in zip(spec.shape, array.shape, strict=False)
    )
    if not fits or array.size == 0:
        raise InvalidInput.of(
            Fault(
                loc,
                "tensor_shape",
                f"Input {spec.name!r} has shape {_shape(array.shape)}, the model takes {_shape(spec.shape)}.",
                _shape(spec.shape),
                _shape(array.shape),
            )
        )
    if spec.dtype == "string":
        return array.astype(object)
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # The largest int64 is no float64; the number after it is.
        below = array < float(limits.max + 1) if array.dtype.kind == "f" else array <= limits.max
        in_range = bool((array >= limits.min).all() and below.all())
    else:
        with np.errstate(over="ignore"):
            in_range = dtype.kind == "b" or bool(np.isfinite(array.astype(dtype)).all())
    if not in_range:
        raise InvalidInput.of(
            Fault(
                loc,
                "out_of_range",
                f"Input {spec.name!r} holds a value that does not fit {spec.dtype}.",
                spec.dtype,
                "out of range",
            )
        )
    return np.ascontiguousarray(array, dtype=dtype)


def _kinds(values: Iterable[Any], depth: int) -> set[type]:
    """The types of the values in a list nested ``depth`` deep."""
    for _ in range(depth - 1):
        values = chain.from_iterable(values)
    return set(map(type, values))


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
