"""In which words a wrong value is told: the same for a request's field and for a field of a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.fields import Field, VarType, Wrong

Loc = tuple[str | int, ...]

DECLARE_BOOL = "Declare the field BOOL in model_schema to send true and false."

_SENTENCES = {
    Wrong.MISSING: "is missing",
    Wrong.NULL: "is null",
    Wrong.NOT_A_NUMBER: "is not a number",
    Wrong.NOT_A_BOOLEAN: "is neither true nor false",
    Wrong.NOT_TEXT: "is not text",
    Wrong.UNKNOWN_CATEGORY: "is no category of the field",
    Wrong.NOT_FINITE: "is not finite",
    Wrong.NOT_AN_INTEGER: "is not a whole number",
    Wrong.NOT_ALLOWED: "is not among the allowed values",
}


def sentence(wrong: Wrong, field: Field, dtype: np.dtype[Any] | None) -> str:
    """What is wrong, to stand behind the field's name, without a full stop."""
    if wrong is Wrong.OUT_OF_RANGE:
        narrow = dtype is not None and dtype not in (np.float32, np.float64)
        return f"does not fit {dtype}" if narrow else "does not fit a 32-bit float"
    if wrong is Wrong.BELOW_MIN:
        return f"is below {field.minimum:.15g}"
    if wrong is Wrong.ABOVE_MAX:
        return f"is above {field.maximum:.15g}"
    return _SENTENCES[wrong]


def value_fault(
    wrong: Wrong, field: Field, dtype: np.dtype[Any] | None, value: object, loc: Loc, row: int | None
) -> Fault:
    """The fault of one value of a request."""
    hint = wrong is Wrong.NOT_A_NUMBER and isinstance(value, bool)
    got = "null" if value is None else str(value) if wrong is Wrong.NOT_FINITE else shown(value)
    if wrong is Wrong.MISSING:
        got = "blank text" if isinstance(value, str) else "nothing"
    return Fault(
        loc,
        str(wrong),
        f"{about(field.name, row)} {sentence(wrong, field, dtype)}.",
        field.expected,
        got,
        row,
        DECLARE_BOOL if hint else None,
    )


def extra_fault(name: str, known: Sequence[str], loc: Loc, row: int | None) -> Fault:
    """The fault of a value that no field takes."""
    message = f"{about(name, row)} is not in the model's schema."
    return Fault((*loc, name), "extra", message, ", ".join(known[:20]), name[:80], row)


def length_fault(length: int, width: int, loc: Loc, row: int | None) -> Fault:
    """The fault of a list that is not as long as the model's vector."""
    message = f"{_vector(row)} is {length} long, the model takes {width}."
    return Fault(loc, "length", message, str(width), str(length), row)


def vector_fault(values: object, loc: Loc, row: int | None) -> Fault:
    """The fault of what is no vector at all."""
    message = f"{_vector(row)} must be an object of named values or a list in schema order."
    return Fault(loc, "vector_type", message, "object or list", kind_of(values), row)


def about(name: str, row: int | None) -> str:
    """The beginning of a sentence about a field."""
    return f"Field {name!r}" if row is None else f"Row {row}: field {name!r}"


def reject_sentence(
    wrong: Wrong, field: Field, dtype: np.dtype[Any] | None, line: int, text: str, others: int
) -> str:
    """What is told of a CSV's record; ``others`` fields of it are wrong too."""
    more = f" (and {others} more of this row)" if others else ""
    says = "is empty" if wrong is Wrong.MISSING else f"{text!r} {sentence(wrong, field, dtype)}"
    hint = ""
    if (
        wrong is Wrong.NOT_A_NUMBER
        and field.var_type != VarType.BOOL
        and text.strip().lower() in ("true", "false")
    ):
        hint = f" {DECLARE_BOOL}"
    return f"Line {line}: field {field.name!r} {says}{more}.{hint}"


def shown(value: object) -> str:
    """A value as Python writes it, 80 characters at most."""
    try:
        text = repr(value)
    except ValueError:
        # Python writes no integer of more than 4300 digits.
        return "a number of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "..."


def kind_of(value: object) -> str:
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


def _vector(row: int | None) -> str:
    """The beginning of a sentence about a whole vector."""
    return "The vector" if row is None else f"Row {row}: the vector"
