"""The named-vector schema of the native API: which name stands at which place of a model's vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortrigger_backend.domain.encoding import FAULT_LIMIT, VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.field_faults import Loc
from tensortrigger_backend.domain.fields import Field, VarType
from tensortrigger_backend.domain.schema_parsing import read_sides
from tensortrigger_backend.domain.tensors import Signature


@dataclass(frozen=True, slots=True)
class VectorSchema:
    """The fields of a model's input vector, and of its output vector where one was declared, in index order."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """The nested form of the native API: ``{input_schema: ..., output_schema: ...}``."""
        members = {"input_schema": _side_to_dict(self.inputs)}
        if self.outputs:
            members["output_schema"] = _side_to_dict(self.outputs)
        return members

    @classmethod
    def parse(cls, members: object) -> VectorSchema:
        """Read either accepted form: flat ``{name: {var_type, index, ...}}`` or ``{input_schema, output_schema}``.

        Raises:
            InvalidInput: naming each field and member that is wrong.
        """
        faults: list[Fault] = []
        inputs, outputs = read_sides(members, faults)
        if faults:
            raise InvalidInput.of(*faults[:FAULT_LIMIT])
        return cls(inputs, outputs)

    @classmethod
    def inferred(cls, signature: Signature) -> VectorSchema | None:
        """Names ``x0 .. x{n-1}`` for a model that takes one vector; None for any other."""
        width = signature.vector_width
        if width is None:
            return None
        dtype = signature.inputs[0].dtype
        whole = VarType.INT if dtype.startswith(("int", "uint")) else VarType.FLOAT
        var_type = VarType.BOOL if dtype == "bool" else whole
        return cls(tuple(Field(f"x{index}", var_type) for index in range(width)))

    def vector(self, values: object, loc: Loc = ("input_vector",), row: int | None = None) -> list[float]:
        """One vector in schema order, whatever the model's dtype. Raises InvalidInput as ``VectorEncoder.vector``."""
        return VectorEncoder(self.inputs).vector(values, loc, row)

    def vectors(self, rows: object, loc: Loc = ("input_vectors",)) -> list[list[float]]:
        """A batch of vectors in schema order. Raises InvalidInput as ``VectorEncoder.vectors``."""
        return VectorEncoder(self.inputs).vectors(rows, loc)


def _side_to_dict(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {field.name: field.to_dict(index) for index, field in enumerate(fields)}
