"""What a model takes and gives, as a notebook shows it: names, types, shapes and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tensortrigger_lab.display import html_table, text_table
from tensortrigger_lab.wire import ModelRecord, TensorSpec, VectorSide, names_in_order

HEADINGS = ("", "index", "name", "type", "shape")


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output.

    Attributes:
        type: INT or FLOAT for a number of a vector, else a tensor's dtype such as ``float32``.
        shape: of the tensor, batch axis first, -1 where an axis is free; None for a number of a vector.
    """

    name: str
    type: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Schema:
    """The inputs and outputs of a model version, each in the order in which a plain list gives them.

    Example:
        >>> [field.name for field in model.schema.inputs]  # doctest: +SKIP
        ['age', 'income']
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]

    @classmethod
    def of(cls, record: ModelRecord) -> Schema:
        """The numbers of a vector where they were declared, else the model's tensors."""
        tensors = record.signature
        declared = record.schema
        inputs = _numbers(declared["input_schema"]) if declared else ()
        outputs = _numbers(declared.get("output_schema") or {}) if declared else ()
        return cls(
            inputs or _tensors(tensors.inputs if tensors else ()),
            outputs or _tensors(tensors.outputs if tensors else ()),
        )

    def __repr__(self) -> str:
        return text_table(HEADINGS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(HEADINGS, self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (side, str(index), field.name, field.type, "" if field.shape is None else str(field.shape))
            for side, fields in (("input", self.inputs), ("output", self.outputs))
            for index, field in enumerate(fields)
        ]


def _numbers(side: VectorSide) -> tuple[Field, ...]:
    return tuple(Field(name, side[name]["var_type"]) for name in names_in_order(side))


def _tensors(specs: Sequence[TensorSpec]) -> tuple[Field, ...]:
    return tuple(Field(spec.name, spec.dtype, spec.shape) for spec in specs)
