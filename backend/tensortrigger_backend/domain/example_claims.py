"""What a caller claims: to these inputs the notebook's model answered that. JSON, made tensors of the signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.arrays import tensors_from_json
from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.receipts import Example
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec

_INPUTS: Final = ("example", "inputs")
_OUTPUTS: Final = ("example", "outputs")
_VERSIONS: Final = 20
_TEXT: Final = 64


@dataclass(frozen=True, slots=True)
class ExampleClaim:
    """An ``example`` member as it came, looked at as far as that goes without the model."""

    inputs: object
    outputs: object
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, members: object, schema: VectorSchema | None = None) -> ExampleClaim:
        """Read ``{inputs, outputs, versions?}``.

        Raises:
            InvalidInput: naming member, row and field.
        """
        if not isinstance(members, Mapping):
            message = "example must be an object of inputs and outputs."
            raise InvalidInput.of(Fault(("example",), "type", message, "object", type(members).__name__))
        faults = [
            Fault(
                ("example", name), "missing", f"example.{name} is missing.", "a list or an object", "nothing"
            )
            for name in ("inputs", "outputs")
            if members.get(name) is None
        ]
        faults += [
            Fault(
                ("example", str(name)),
                "unknown_member",
                f"There is no member {str(name)[:80]!r} in an example.",
                "inputs, outputs, versions",
                str(name)[:80],
            )
            for name in members
            if name not in ("inputs", "outputs", "versions")
        ]
        if faults:
            raise InvalidInput.of(*faults)
        claim = cls(members["inputs"], members["outputs"], _versions(members.get("versions")))
        if schema is not None and isinstance(claim.inputs, list):
            VectorEncoder(schema.inputs).vectors(claim.inputs, _INPUTS)
        _same_length(claim.inputs, claim.outputs)
        return claim

    def fingerprint(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return {"inputs": self.inputs, "outputs": self.outputs, "versions": dict(self.versions)}

    def example(self, signature: Signature, schema: VectorSchema | None) -> Example:
        """The tensors that the claim is about; inputs go through the schema as a caller's would.

        Raises:
            InvalidInput: naming tensor or row, what was expected and what came.
        """
        inputs = self._input_tensors(signature, schema)
        outputs = _output_tensors(self.outputs, signature, schema)
        rows = {len(values) for values in (*inputs.values(), *outputs.values())}
        if len(rows) > 1:
            raise _lengths(len(next(iter(inputs.values()))), len(next(iter(outputs.values()))))
        return Example(inputs, outputs)

    def _input_tensors(
        self, signature: Signature, schema: VectorSchema | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        if schema is None:
            return tensors_from_json(self.inputs, signature, _INPUTS)
        tensor = signature.inputs[0]
        encoder = VectorEncoder(schema.inputs, np.dtype(tensor.dtype))
        if isinstance(self.inputs, list):
            return {tensor.name: encoder.matrix(encoder.vectors(self.inputs, _INPUTS))}
        arrays = tensors_from_json(self.inputs, signature, _INPUTS)
        encoder.check_encoded(arrays[tensor.name], _INPUTS)
        return arrays


def _output_tensors(
    outputs: object, signature: Signature, schema: VectorSchema | None
) -> dict[str, npt.NDArray[Any]]:
    """Outputs by tensor; null stands for a value that is not finite."""
    names = schema.output_names if schema is not None else ()
    if isinstance(outputs, list) and names:
        outputs = [_row(row, names, place) for place, row in enumerate(outputs)]
    by_name = outputs if isinstance(outputs, Mapping) else None
    nulls: dict[str, npt.NDArray[np.bool_]] = {}
    cleaned: dict[str, object] = {}
    for spec in signature.outputs:
        if by_name is None and len(signature.outputs) > 1:
            break
        if by_name is not None and spec.name not in by_name:
            continue
        values = outputs if by_name is None else by_name[spec.name]
        cleaned[spec.name] = values
        if np.dtype(spec.dtype if spec.dtype != "string" else object).kind == "f" and _holds_null(values):
            cleaned[spec.name] = _zero_for_null(values)
            nulls[spec.name] = _where_null(values, spec)
    told: object = {**by_name, **cleaned} if by_name is not None else cleaned or outputs
    found = tensors_from_json(told, Signature(signature.outputs, ()), _OUTPUTS, "Output")
    for name, places in nulls.items():
        if places.shape == found[name].shape:
            found[name][places] = np.nan
    return found


def _row(row: object, names: tuple[str, ...], place: int) -> object:
    """A row of named outputs as a list in the schema's order."""
    if not isinstance(row, Mapping):
        return row
    if set(row) != set(names):
        raise InvalidInput.of(
            Fault(
                (*_OUTPUTS, place),
                "output_names",
                f"Row {place}: the outputs must have the names of output_schema.",
                ", ".join(names)[:200],
                ", ".join(map(str, row))[:200],
                place,
            )
        )
    return [row[name] for name in names]


def _holds_null(values: object) -> bool:
    if isinstance(values, list):
        return any(map(_holds_null, values))
    return values is None


def _zero_for_null(values: object) -> object:
    if isinstance(values, list):
        return [_zero_for_null(value) for value in values]
    return 0.0 if values is None else values


def _where_null(values: object, spec: TensorSpec) -> npt.NDArray[np.bool_]:
    def marked(value: object) -> object:
        return [marked(entry) for entry in value] if isinstance(value, list) else value is None

    try:
        return np.array(marked(values), np.bool_)
    except ValueError:  # ragged, which is told with its place when the tensor is read
        return np.zeros((0,) * len(spec.shape), np.bool_)


def _same_length(inputs: object, outputs: object) -> None:
    if isinstance(inputs, list) and isinstance(outputs, list) and len(inputs) != len(outputs):
        raise _lengths(len(inputs), len(outputs))


def _lengths(inputs: int, outputs: int) -> InvalidInput:
    message = (
        f"The example has {inputs} rows of inputs and {outputs} of outputs: send one output for each row."
    )
    return InvalidInput.of(Fault(_OUTPUTS, "batch_length", message, f"{inputs} rows", f"{outputs} rows"))


def _versions(members: object) -> dict[str, str]:
    if members is None:
        return {}
    if (
        not isinstance(members, Mapping)
        or len(members) > _VERSIONS
        or not all(
            isinstance(text, str) and 0 < len(text) <= _TEXT for pair in members.items() for text in pair
        )
    ):
        message = f"example.versions must name up to {_VERSIONS} packages with their versions."
        raise InvalidInput.of(Fault(("example", "versions"), "type", message, '{"keras": "3.15.1"}'))
    return {str(name): str(version) for name, version in members.items()}
