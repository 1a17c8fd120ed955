"""The named-vector schema of the native API: which name stands at which place of a model's vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.tensors import Signature

VAR_TYPES = ("INT", "FLOAT")
MAX_NAME = 256
FAULT_LIMIT = 100
"""How many faults one answer lists; a batch of a thousand bad rows is not a megabyte of errors."""

FLOAT32_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Field:
    """One named number of a vector."""

    name: str
    var_type: str = "FLOAT"


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
        """The nested form of PROTOCOLS 1: ``{input_schema: ..., output_schema: ...}``."""
        members = {"input_schema": _side_to_dict(self.inputs)}
        if self.outputs:
            members["output_schema"] = _side_to_dict(self.outputs)
        return members

    @classmethod
    def parse(cls, members: object) -> VectorSchema:
        """Read either accepted form: flat ``{name: {var_type, index}}`` or ``{input_schema, output_schema}``.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        faults: list[Fault] = []
        if not isinstance(members, Mapping) or not members:
            raise InvalidInput.of(
                Fault(
                    ("model_schema",),
                    "schema_type",
                    "model_schema must be an object that names at least one input.",
                    "object {name: {var_type, index}}",
                    _kind(members),
                )
            )
        if "input_schema" in members and not _is_field(members["input_schema"]):
            for name in members:
                if name not in ("input_schema", "output_schema"):
                    faults.append(
                        Fault(
                            ("model_schema", str(name)),
                            "schema_member",
                            f"model_schema has an unknown member {name!r} beside input_schema.",
                            "input_schema, output_schema",
                            str(name),
                        )
                    )
            inputs = _side(members["input_schema"], ("model_schema", "input_schema"), faults)
            declared = members.get("output_schema")
            outputs = () if declared is None else _side(declared, ("model_schema", "output_schema"), faults)
        else:
            inputs, outputs = _side(members, ("model_schema",), faults), ()
        if faults:
            raise InvalidInput.of(*faults[:FAULT_LIMIT])
        return cls(inputs, outputs)

    @classmethod
    def inferred(cls, signature: Signature) -> VectorSchema | None:
        """Names ``x0 .. x{n-1}`` for a model that takes one vector; None for any other."""
        width = signature.vector_width
        if width is None:
            return None
        whole = signature.inputs[0].dtype.startswith(("int", "uint"))
        return cls(tuple(Field(f"x{index}", "INT" if whole else "FLOAT") for index in range(width)))

    def vector(
        self, values: object, loc: tuple[str | int, ...] = ("input_vector",), row: int | None = None
    ) -> list[float]:
        """One vector in schema order, from ``{name: number}`` or a plain list.

        Raises:
            InvalidInput: naming every missing, extra, non-numeric, null or non-finite field.
        """
        faults: list[Fault] = []
        numbers = self._numbers(values, loc, row, faults)
        if faults:
            raise InvalidInput.of(*faults[:FAULT_LIMIT])
        return numbers

    def vectors(self, rows: object, loc: tuple[str | int, ...] = ("input_vectors",)) -> list[list[float]]:
        """A batch of vectors in schema order; the faults of all rows are told at once.

        Raises:
            InvalidInput: naming row and field of each fault.
        """
        if not isinstance(rows, Sequence) or isinstance(rows, str):
            raise InvalidInput.of(
                Fault(loc, "batch_type", f"{loc[-1]} must be a list of vectors.", "list", _kind(rows))
            )
        if not rows:
            raise InvalidInput.of(
                Fault(loc, "batch_empty", f"{loc[-1]} is empty: send at least one vector.", "1 or more", "0")
            )
        faults: list[Fault] = []
        batch = []
        for index, values in enumerate(rows):
            batch.append(self._numbers(values, (*loc, index), index, faults))
            if len(faults) >= FAULT_LIMIT:
                break
        if faults:
            raise InvalidInput.of(*faults[:FAULT_LIMIT])
        return batch

    def _numbers(
        self, values: object, loc: tuple[str | int, ...], row: int | None, faults: list[Fault]
    ) -> list[float]:
        if isinstance(values, Mapping):
            for field in self.inputs:
                if field.name not in values:
                    faults.append(
                        Fault(
                            (*loc, field.name),
                            "missing",
                            f"{_about(field.name, row)} is missing.",
                            field.var_type,
                            "nothing",
                            row,
                        )
                    )
            if len(values) + len(faults) != len(self.inputs):
                known = set(self.input_names)
                for name in values:
                    if name not in known:
                        faults.append(
                            Fault(
                                (*loc, str(name)),
                                "extra",
                                f"{_about(str(name), row)} is not in the model's schema.",
                                ", ".join(self.input_names[:20]),
                                str(name)[:80],
                                row,
                            )
                        )
            return [
                check_number(values[field.name], field, (*loc, field.name), row, faults)
                for field in self.inputs
                if field.name in values
            ]
        if isinstance(values, Sequence) and not isinstance(values, str):
            if len(values) != len(self.inputs):
                faults.append(
                    Fault(
                        loc,
                        "length",
                        f"{_vector(row)} is {len(values)} long, the model takes {len(self.inputs)}.",
                        str(len(self.inputs)),
                        str(len(values)),
                        row,
                    )
                )
                return []
            return [
                check_number(value, field, (*loc, place), row, faults)
                for place, (field, value) in enumerate(zip(self.inputs, values, strict=True))
            ]
        faults.append(
            Fault(
                loc,
                "vector_type",
                f"{_vector(row)} must be an object of named numbers or a list in schema order.",
                "object or list",
                _kind(values),
                row,
            )
        )
        return []


def check_number(
    value: object, field: Field, loc: tuple[str | int, ...], row: int | None, faults: list[Fault]
) -> float:
    """``value`` as a float; what is wrong with it is appended to ``faults``."""
    named = _about(field.name, row)
    if value is None:
        fault = ("null", f"{named} is null.", "null")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        fault = ("not_a_number", f"{named} is not a number.", _shown(value))
    elif isinstance(value, float) and not math.isfinite(value):
        fault = ("not_finite", f"{named} is not finite.", str(value))
    elif abs(value) > FLOAT32_MAX:
        fault = ("out_of_range", f"{named} does not fit a 32-bit float.", _shown(value))
    elif field.var_type == "INT" and value != int(value):
        fault = ("not_an_integer", f"{named} is not a whole number.", _shown(value))
    else:
        return float(value)
    faults.append(Fault(loc, fault[0], fault[1], field.var_type, fault[2], row))
    return math.nan


def _about(name: str, row: int | None) -> str:
    """The beginning of a sentence about a field."""
    return f"Field {name!r}" if row is None else f"Row {row}: field {name!r}"


def _vector(row: int | None) -> str:
    """The beginning of a sentence about a whole vector."""
    return "The vector" if row is None else f"Row {row}: the vector"


def _side(members: object, loc: tuple[str | int, ...], faults: list[Fault]) -> tuple[Field, ...]:
    """The fields of one side in index order."""
    if not isinstance(members, Mapping) or not members:
        faults.append(
            Fault(
                loc,
                "schema_type",
                f"{loc[-1]} must be an object that names at least one field.",
                "object {name: {var_type, index}}",
                _kind(members),
            )
        )
        return ()
    placed: dict[int, Field] = {}
    before = len(faults)
    for name, entry in members.items():
        here = (*loc, str(name))
        if not name or len(name) > MAX_NAME:
            faults.append(
                Fault(
                    here,
                    "schema_name",
                    f"A field name must have 1 to {MAX_NAME} characters.",
                    f"1 to {MAX_NAME} characters",
                    _shown(name),
                )
            )
            continue
        if not _is_field(entry):
            faults.append(
                Fault(
                    here,
                    "schema_field",
                    f"Field {name!r} must be an object with var_type and index.",
                    "{var_type, index}",
                    _kind(entry),
                )
            )
            continue
        var_type, index = entry.get("var_type"), entry.get("index")
        if not isinstance(var_type, str) or var_type.upper() not in VAR_TYPES:
            faults.append(
                Fault(
                    (*here, "var_type"),
                    "schema_var_type",
                    f"Field {name!r} has an unknown var_type.",
                    " or ".join(VAR_TYPES),
                    _shown(var_type),
                )
            )
        elif isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(members):
            faults.append(
                Fault(
                    (*here, "index"),
                    "schema_index",
                    f"Field {name!r} has index {_shown(index)}; "
                    f"the {len(members)} fields take 0 to {len(members) - 1}.",
                    f"0 to {len(members) - 1}",
                    _shown(index),
                )
            )
        elif index in placed:
            faults.append(
                Fault(
                    (*here, "index"),
                    "schema_index",
                    f"Fields {placed[index].name!r} and {name!r} share index {index}.",
                    "each index once",
                    str(index),
                )
            )
        else:
            placed[index] = Field(name, var_type.upper())
    if len(faults) > before:
        return ()
    return tuple(placed[index] for index in range(len(placed)))


def _side_to_dict(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {field.name: {"var_type": field.var_type, "index": index} for index, field in enumerate(fields)}


def _is_field(entry: object) -> bool:
    """Whether this is one field's entry: so a model may have an input that is called ``input_schema``."""
    return (
        isinstance(entry, Mapping)
        and ("var_type" in entry or "index" in entry)
        and not isinstance(entry.get("var_type"), Mapping)
    )


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        # Python writes no integer of more than 4300 digits.
        return "a number of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "..."


def _kind(value: object) -> str:
    """JSON's name of the value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, Sequence) else "object"
