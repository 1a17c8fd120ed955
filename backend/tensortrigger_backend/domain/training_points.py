"""Are these points that the model can learn from? The same checks as for answering them, and for the labels too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.arrays import tensors_from_json
from tensortrigger_backend.domain.encoding import FAULT_LIMIT, VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.domain.training import Choice

VECTORS, LABELS, INPUTS, OUTPUTS = "input_vectors", "output_vectors", "inputs", "outputs"

BETWEEN_0_AND_1 = ("binary_crossentropy", "categorical_crossentropy")
"""Losses whose labels are probabilities."""

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class TrainingPoints:
    """Points as arrays, batch axis first.

    Attributes:
        inputs: one array for each input of the signature, in its order and dtype.
        targets: one for each output: float32 of the output's shape, or int32 class indices without its last axis,
            kept as an axis of one.
        indexed: for each output, whether its targets are class indices.
    """

    inputs: tuple[npt.NDArray[Any], ...]
    targets: tuple[npt.NDArray[Any], ...]
    indexed: tuple[bool, ...]

    @property
    def count(self) -> int:
        return len(self.inputs[0])


def points_of(
    body: Mapping[str, Any],
    signature: Signature,
    declared: VectorSchema | None,
    inferred: VectorSchema | None,
    choice: Choice,
) -> TrainingPoints:
    """The points of a request's body.

    Args:
        declared: the schema that the model was published with.
        inferred: that or, where there is none, the one that follows from the signature.

    Raises:
        InvalidInput: naming row and field of each fault.
    """
    given_in = _one_of(body, VECTORS, INPUTS)
    given_out = _one_of(body, LABELS, OUTPUTS)
    inputs = _inputs(body[given_in], given_in, signature, inferred)
    if given_out == LABELS:
        names = declared.output_names if declared is not None else ()
        targets, indexed = _labels(body[LABELS], signature, names, choice)
    else:
        targets, indexed = _targets(body[OUTPUTS], signature, choice)
    rows = {len(array) for array in (*inputs, *targets)}
    if len(rows) > 1:
        count, labels = len(inputs[0]), len(targets[0])
        message = f"{count} {given_in} came with {labels} {given_out}: send one of each for every point."
        raise InvalidInput.of(Fault((given_out,), "count_mismatch", message, str(count), str(labels)))
    for place, spec in enumerate(signature.outputs):
        if choice.losses[place].name in BETWEEN_0_AND_1 and not indexed[place]:
            _must_be_probabilities(targets[place], choice.losses[place].name, spec, (given_out,))
    return TrainingPoints(inputs, targets, indexed)


def _one_of(body: Mapping[str, Any], *names: str) -> str:
    given = [name for name in names if body.get(name) is not None]
    if len(given) != 1:
        raise InvalidInput.of(
            Fault(
                (names[0],),
                "missing" if not given else "ambiguous",
                f"Send either {names[0]!r} or {names[1]!r}.",
                f"one of {', '.join(names)}",
                " and ".join(given) or "neither",
            )
        )
    return given[0]


def _inputs(
    values: Any, given: str, signature: Signature, schema: VectorSchema | None
) -> tuple[npt.NDArray[Any], ...]:
    if given == INPUTS:
        arrays = tensors_from_json(values, signature)
        if schema is not None:
            _encoder(schema, signature).check_encoded(arrays[signature.inputs[0].name], (INPUTS,))
        return tuple(arrays[spec.name] for spec in signature.inputs)
    if schema is None:
        names = ", ".join(spec.name for spec in signature.inputs)
        message = "This model does not take one vector: send 'inputs' and 'outputs' with the batch axis."
        raise InvalidInput.of(Fault((VECTORS,), "takes_tensors", message, f"inputs: {names}", VECTORS))
    encoder = _encoder(schema, signature)
    return (encoder.matrix(encoder.vectors(values, (VECTORS,))),)


def _encoder(schema: VectorSchema, signature: Signature) -> VectorEncoder:
    # By the signature's dtype too: a model of integers takes no fraction, whatever its schema calls the field.
    return VectorEncoder(schema.inputs, np.dtype(signature.inputs[0].dtype))


def _labels(
    rows: Any, signature: Signature, names: Sequence[str], choice: Choice
) -> tuple[tuple[npt.NDArray[Any], ...], tuple[bool, ...]]:
    """Labels of a model with one vector out: vectors, objects by name, or one number a row."""
    width = signature.output_width
    spec = signature.outputs[0]
    if width is None:
        message = "This model does not answer with one vector: send 'outputs' with the batch axis."
        expected = "outputs: " + ", ".join(output.name for output in signature.outputs)
        raise InvalidInput.of(Fault((LABELS,), "gives_tensors", message, expected, LABELS))
    if not isinstance(rows, list):
        kind = type(rows).__name__
        raise InvalidInput.of(Fault((LABELS,), "batch_type", f"{LABELS} must be a list.", "list", kind))
    if not rows:
        message = f"{LABELS} is empty: send one for every point."
        raise InvalidInput.of(Fault((LABELS,), "batch_empty", message, "1 or more", "0"))
    if width > 1 and choice.takes_classes(0) and all(_single(row) for row in rows):
        numbers = [row[0] if isinstance(row, list) else row for row in rows]
        return (_classes(numbers, width),), (True,)
    faults: list[Fault] = []
    vectors = [[row] if width == 1 and _number(row) else row for row in rows]
    for place, row in enumerate(vectors):
        length = 1 if _number(row) else len(row) if isinstance(row, list | Mapping) else width
        if length != width:
            message = f"Row {place}: the output vector is {length} long, the model gives {width}."
            faults.append(Fault((LABELS, place), "length", message, str(width), str(length), place))
    if faults:
        raise InvalidInput.of(*faults[:FAULT_LIMIT])
    plain = tuple(Field(name) for name in names or [f"{spec.name}_{place}" for place in range(width)])
    try:
        matrix = VectorSchema(plain).vectors(vectors, (LABELS,))
    except InvalidInput as error:
        raise InvalidInput.of(*(_of_label(fault, width) for fault in error.faults)) from None
    return (np.array(matrix, np.float32),), (False,)


def _of_label(fault: Fault, width: int) -> Fault:
    """A fault of a vector in the words of labels, which may be bare numbers too."""
    if fault.code != "vector_type":
        return fault
    expected = "a number, or a list or object of 1" if width == 1 else f"a list or object of {width} numbers"
    message = f"Row {fault.row}: the output vector must be {expected}."
    return replace(fault, message=message, expected=expected)


def _classes(numbers: Sequence[Any], width: int) -> npt.NDArray[np.int32]:
    """Class indices, shape (n, 1)."""
    faults = []
    for row, value in enumerate(numbers):
        if value != value // 1 or not 0 <= value < width:
            message = (
                f"Row {row}: there is no class {str(value)[:40]}; the model tells {width} apart, from 0 on."
            )
            expected = f"a whole number from 0 to {width - 1}"
            faults.append(Fault((LABELS, row), "unknown_class", message, expected, str(value)[:40], row))
            if len(faults) >= FAULT_LIMIT:
                break
    if faults:
        raise InvalidInput.of(*faults)
    return np.array(numbers, np.int32).reshape(-1, 1)


def _targets(
    values: Any, signature: Signature, choice: Choice
) -> tuple[tuple[npt.NDArray[Any], ...], tuple[bool, ...]]:
    """Labels of any model as nested lists with the batch axis."""
    if not isinstance(values, Mapping) and len(signature.outputs) == 1:
        values = {signature.outputs[0].name: values}
    by_name = values if isinstance(values, Mapping) else {}
    indexed = tuple(
        choice.takes_classes(place) and _depth(by_name.get(spec.name)) == len(spec.shape) - 1
        for place, spec in enumerate(signature.outputs)
    )
    specs = tuple(
        TensorSpec(spec.name, "int64", spec.shape[:-1])
        if here
        else TensorSpec(spec.name, "float32", spec.shape)
        for spec, here in zip(signature.outputs, indexed, strict=True)
    )
    arrays = tensors_from_json(values, Signature(specs, specs), (OUTPUTS,), "Output")
    targets = []
    for spec, here in zip(signature.outputs, indexed, strict=True):
        array = arrays[spec.name]
        if here:
            wrong = (array < 0) | ((array >= spec.shape[-1]) if spec.shape[-1] > 0 else False)
            if wrong.any():
                row = int(np.argwhere(wrong)[0][0])
                value = int(array[wrong][0])
                message = f"Row {row}: output {spec.name!r} has no class {value}."
                expected = f"a whole number from 0 to {spec.shape[-1] - 1}"
                fault = Fault((OUTPUTS, spec.name), "unknown_class", message, expected, str(value), row)
                raise InvalidInput.of(fault)
            array = array.astype(np.int32)[..., np.newaxis]
        targets.append(array)
    return tuple(targets), indexed


def _must_be_probabilities(array: npt.NDArray[Any], loss: str, spec: TensorSpec, loc: Loc) -> None:
    wrong = (array < 0) | (array > 1)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        value = str(float(array[wrong][0]))
        message = f"Row {row}: the label {value} of {spec.name!r} is not from 0 to 1, as {loss} demands."
        raise InvalidInput.of(Fault((*loc, row), "out_of_range", message, "0 to 1", value, row))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _single(row: object) -> bool:
    """Whether this row is one number, bare or alone in a list."""
    return _number(row) or (isinstance(row, list) and len(row) == 1 and _number(row[0]))


def _depth(values: object) -> int:
    depth = 0
    while isinstance(values, list) and values:
        depth += 1
        values = values[0]
    return depth
