"""What named values become: a model's vector, or a fault for every value that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.field_faults import (
    Loc,
    extra_fault,
    kind_of,
    length_fault,
    value_fault,
    vector_fault,
)
from tensortrigger_backend.domain.field_rules import WRONGS, FieldRules, is_plain
from tensortrigger_backend.domain.fields import Field, Wrong

FAULT_LIMIT: Final = 100
"""How many faults one answer lists; a batch of a thousand bad rows is not a megabyte of errors."""

_ABSENT: Final = object()


class VectorEncoder:
    """Reads rows of JSON values for one model; a CSV's columns keep the same ``rules``.

    Args:
        fields: in the order of the vector.
        dtype: of the model's tensor; None where the numbers are not meant for one.

    Attributes:
        rules: those of each field.
        plain: no field is more than any INT or FLOAT.
    """

    def __init__(self, fields: Sequence[Field], dtype: np.dtype[Any] | None = None) -> None:
        self.fields = tuple(fields)
        self.dtype = np.dtype(np.float64) if dtype is None else dtype
        self.rules = tuple(FieldRules(field, dtype) for field in fields)
        self.plain = is_plain(fields, self.dtype)
        self._named = [(field.name, rules) for field, rules in zip(fields, self.rules, strict=True)]
        self._declared = dtype

    def vector(self, values: object, loc: Loc = ("input_vector",), row: int | None = None) -> list[float]:
        """One vector in schema order, from ``{name: value}`` or a plain list.

        Raises:
            InvalidInput: naming every field that is missing, extra or wrong.
        """
        faults: list[Fault] = []
        numbers = self._numbers(values, loc, row, faults)
        if faults:
            raise InvalidInput.of(*faults[:FAULT_LIMIT])
        return numbers

    def vectors(self, rows: object, loc: Loc = ("input_vectors",)) -> list[list[float]]:
        """A batch of vectors in schema order; the faults of all rows are told at once.

        Raises:
            InvalidInput: naming row and field of each fault.
        """
        if not isinstance(rows, Sequence) or isinstance(rows, str):
            message = f"{loc[-1]} must be a list of vectors."
            raise InvalidInput.of(Fault(loc, "batch_type", message, "list", kind_of(rows)))
        if not rows:
            message = f"{loc[-1]} is empty: send at least one vector."
            raise InvalidInput.of(Fault(loc, "batch_empty", message, "1 or more", "0"))
        faults: list[Fault] = []
        batch = []
        for index, values in enumerate(rows):
            batch.append(self._numbers(values, (*loc, index), index, faults))
            if len(faults) >= FAULT_LIMIT:
                break
        if faults:
            raise InvalidInput.of(*faults[:FAULT_LIMIT])
        return batch

    def matrix(self, rows: list[list[float]]) -> npt.NDArray[Any]:
        """Checked vectors as the model takes them, shape (n, fields)."""
        return np.array(rows, np.float64).astype(self.dtype)

    def check_encoded(self, array: npt.NDArray[Any], loc: Loc) -> None:
        """Let only those numbers through that a caller's values could have become.

        Args:
            array: shape (n, fields).

        Raises:
            InvalidInput: naming row and field of each fault.
        """
        if self.plain:
            return
        numbers = array.astype(np.float64)
        faults = []
        for place, rules in enumerate(self.rules):
            if rules.field.plain:
                continue
            found = rules.encoded_faults(numbers[:, place])
            for row in np.flatnonzero(found)[:FAULT_LIMIT]:
                wrong, number = WRONGS[found[row] - 1], float(numbers[row, place])
                here = (*loc, int(row), place)
                faults.append(value_fault(wrong, rules.field, self._declared, number, here, int(row)))
        if faults:
            faults.sort(key=lambda fault: fault.row or 0)
            raise InvalidInput.of(*faults[:FAULT_LIMIT])

    def _numbers(self, values: object, loc: Loc, row: int | None, faults: list[Fault]) -> list[float]:
        """The numbers of one vector; what is wrong with it is appended to ``faults``."""
        if isinstance(values, Mapping):
            return self._of_object(values, loc, row, faults)
        if not isinstance(values, Sequence) or isinstance(values, str):
            faults.append(vector_fault(values, loc, row))
            return []
        if len(values) != len(self.fields):
            faults.append(length_fault(len(values), len(self.fields), loc, row))
            return []
        numbers = []
        for place, (rules, value) in enumerate(zip(self.rules, values, strict=True)):
            number, wrong = rules.number(value)
            if wrong is not None:
                faults.append(value_fault(wrong, rules.field, self._declared, value, (*loc, place), row))
            numbers.append(number)
        return numbers

    def _of_object(
        self, values: Mapping[Any, Any], loc: Loc, row: int | None, faults: list[Fault]
    ) -> list[float]:
        numbers, found, present = [], [], 0
        for name, rules in self._named:
            value = values.get(name, _ABSENT)
            if value is _ABSENT:
                number, wrong = rules.absent(Wrong.MISSING)
                if wrong is not None:
                    faults.append(value_fault(wrong, rules.field, self._declared, _ABSENT, (*loc, name), row))
            else:
                present += 1
                number, wrong = rules.number(value)
                if wrong is not None:
                    found.append(value_fault(wrong, rules.field, self._declared, value, (*loc, name), row))
            numbers.append(number)
        if present != len(values):
            known = [name for name, _ in self._named]
            every = set(known)
            faults += [extra_fault(str(name), known, loc, row) for name in values if name not in every]
        faults += found
        return numbers
