"""Which rules a field's value must keep: one table for a single value and for a whole column of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.fields import FLOAT32_END, Field, VarType, Wrong

WRONGS = tuple(Wrong)
"""By its place here, counted from 1, a column of faults names what is wrong; 0 is nothing."""

BLANK = " \t\n\r\v\f"
"""A text of nothing but these is no value."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a number must be.

    Attributes:
        breaks: whether a float breaks the rule; or which of an array of float64 do.
    """

    wrong: Wrong
    breaks: Callable[[Any], Any]


class FieldRules:
    """The rules of one field in a model of one dtype.

    Args:
        dtype: of the model's tensor: a number that it cannot hold would be changed without a word.
    """

    def __init__(self, field: Field, dtype: np.dtype[Any] | None = None) -> None:
        self.field = field
        self._dtype = dtype
        self._rules = (*_of_field(field), *_of_dtype(dtype))
        # A fill may be right by its field, and yet more than the model's dtype holds.
        self._filled = None if field.fill is None else self.number(field.fill)

    def number(self, value: object) -> tuple[float, Wrong | None]:
        """What a value out of JSON becomes, NaN where it is wrong, and what is wrong with it."""
        field = self.field
        # Most values are floats in a numeric field.
        if type(value) is float and field.numeric:
            number = value
            if math.isinf(number):
                return math.nan, Wrong.NOT_FINITE
        else:
            if value is None or (type(value) is str and field.var_type == VarType.STRING and is_blank(value)):
                return self.absent(Wrong.NULL if value is None else Wrong.MISSING)
            number, wrong = _read(value, field)
            if wrong is not None:
                return math.nan, wrong
        for rule in self._rules:
            if rule.breaks(number):
                return math.nan, rule.wrong
        return number, None

    def absent(self, wrong: Wrong) -> tuple[float, Wrong | None]:
        """What stands in for no value; ``wrong`` where nothing does."""
        return (math.nan, wrong) if self._filled is None else self._filled

    def faults(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        """Which rule each encoded number of a column breaks first.

        Returns:
            int8, places in ``WRONGS`` counted from 1; 0 for none.
        """
        return _first_broken(self._rules, numbers)

    def encoded_faults(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        """As ``faults``, of numbers in the model's dtype: each must be one that a value becomes there."""
        return _first_broken(self._in_dtype, numbers)

    @cached_property
    def _in_dtype(self) -> list[Rule]:
        field = self.field
        if field.var_type == VarType.BOOL:
            return [Rule(Wrong.NOT_A_BOOLEAN, _outside((0.0, 1.0)))]
        if field.var_type == VarType.STRING:
            unknown = () if field.unknown is None else (field.unknown,)
            return [
                Rule(Wrong.UNKNOWN_CATEGORY, _outside(self._rounded((*field.numbers.values(), *unknown))))
            ]
        (minimum,) = self._rounded([math.nan if field.minimum is None else field.minimum])
        (maximum,) = self._rounded([math.nan if field.maximum is None else field.maximum])
        allowed = None if field.allowed is None else self._rounded(field.allowed)
        return _of_field(replace(field, minimum=minimum, maximum=maximum, allowed=allowed))

    def _rounded(self, numbers: Sequence[float]) -> tuple[float, ...]:
        """As a float dtype of the model rounds them; nothing else is ever rounded."""
        if self._dtype is None or self._dtype.kind != "f":
            return tuple(numbers)
        with np.errstate(over="ignore"):
            return tuple(np.array(numbers, np.float64).astype(self._dtype).tolist())


def _first_broken(rules: Sequence[Rule], numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    faults = np.zeros(len(numbers), np.int8)
    for rule in reversed(rules):
        faults[rule.breaks(numbers)] = place_of(rule.wrong)
    return faults


def place_of(wrong: Wrong) -> int:
    """Its place in ``WRONGS``, counted from 1."""
    return WRONGS.index(wrong) + 1


def is_blank(text: str) -> bool:
    """Whether there is nothing in the text but white space."""
    return not text.strip(BLANK)


def is_plain(fields: Sequence[Field], dtype: np.dtype[Any]) -> bool:
    """Whether a vector of these is any numbers, so that no more than their dtype and wholeness must be looked at."""
    return dtype.kind in "fiu" and all(field.plain for field in fields)


def _read(value: object, field: Field) -> tuple[float, Wrong | None]:
    """A value's number before its rules were looked at."""
    if field.var_type == VarType.STRING:
        if not isinstance(value, str):
            return math.nan, Wrong.NOT_TEXT
        number = field.numbers.get(value, field.unknown)
        return (math.nan, Wrong.UNKNOWN_CATEGORY) if number is None else (float(number), None)
    if field.var_type == VarType.BOOL:
        if isinstance(value, int | float) and value in (0, 1):
            return float(value), None
        return math.nan, Wrong.NOT_A_BOOLEAN
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan, Wrong.NOT_A_NUMBER
    try:
        number = float(value)
    except OverflowError:
        return math.nan, Wrong.OUT_OF_RANGE
    return (math.nan, Wrong.NOT_FINITE) if math.isinf(number) else (number, None)


def _of_field(field: Field) -> list[Rule]:
    # A text such as 1e400 parses to infinity: out of range says it better than not finite.
    rules = [
        Rule(Wrong.NOT_FINITE, lambda number: number != number),
        Rule(Wrong.OUT_OF_RANGE, lambda number: abs(number) >= FLOAT32_END),
    ]
    if field.var_type == VarType.INT:
        rules.append(Rule(Wrong.NOT_AN_INTEGER, _fraction))
    minimum, maximum = field.minimum, field.maximum
    if minimum is not None:
        rules.append(Rule(Wrong.BELOW_MIN, lambda number: number < minimum))
    if maximum is not None:
        rules.append(Rule(Wrong.ABOVE_MAX, lambda number: number > maximum))
    if field.allowed is not None:
        rules.append(Rule(Wrong.NOT_ALLOWED, _outside(field.allowed)))
    return rules


def _of_dtype(dtype: np.dtype[Any] | None) -> list[Rule]:
    if dtype is None or dtype in (np.float32, np.float64):
        return []
    if dtype.kind == "b":
        return [Rule(Wrong.NOT_A_BOOLEAN, _outside((0.0, 1.0)))]
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        # Half a step above the largest, where rounding turns to infinity.
        end = float(limits.max) + 2.0 ** (int(limits.maxexp) - int(limits.nmant) - 2)
        return [Rule(Wrong.OUT_OF_RANGE, lambda number: abs(number) >= end)]
    least, most = float(np.iinfo(dtype).min), float(int(np.iinfo(dtype).max) + 1)
    return [
        Rule(Wrong.NOT_AN_INTEGER, _fraction),
        Rule(Wrong.OUT_OF_RANGE, lambda number: (number < least) | (number >= most)),
    ]


def _fraction(number: Any) -> Any:
    # An infinite number is no fraction; the rule on range comes before.
    return not number.is_integer() if type(number) is float else number != np.trunc(number)


def _outside(values: Sequence[float]) -> Callable[[Any], Any]:
    known = frozenset(map(float, values))
    column = np.array(sorted(known))
    return lambda number: number not in known if type(number) is float else ~np.isin(number, column)
