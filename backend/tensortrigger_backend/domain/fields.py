"""What one field of a vector means: its type, which values it takes, and what stands in for none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

FLOAT32_MAX = 3.4028234663852886e38
FLOAT32_END = 3.4028235677973366e38
"""From here on a number becomes infinite as a 32-bit float; what lies between is rounded to the largest."""


class VarType(StrEnum):
    """What kind of value a field takes; each becomes one number of the vector."""

    INT = "INT"
    FLOAT = "FLOAT"
    BOOL = "BOOL"
    STRING = "STRING"


class Wrong(StrEnum):
    """What can be wrong with one value: the code of its fault."""

    MISSING = "missing"
    NULL = "null"
    NOT_A_NUMBER = "not_a_number"
    NOT_A_BOOLEAN = "not_a_boolean"
    NOT_TEXT = "not_text"
    UNKNOWN_CATEGORY = "unknown_category"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    NOT_AN_INTEGER = "not_an_integer"
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    NOT_ALLOWED = "not_allowed"


@dataclass(frozen=True)
class Field:
    """One named value of a vector.

    Attributes:
        minimum, maximum: inclusive; of a number only.
        allowed: the only numbers that are taken; None for any.
        categories: the texts of a STRING and the number that each becomes.
        listed: the categories were written as a list, each number being its place.
        unknown: the number of a text that is no category; None where such a text is a fault.
        fill: what a null stands for, as a caller would write it; None where null is a fault.
    """

    name: str
    var_type: str = VarType.FLOAT
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[float, ...] | None = None
    categories: tuple[tuple[str, float], ...] = ()
    listed: bool = True
    unknown: float | None = None
    fill: bool | float | str | None = None

    @property
    def nullable(self) -> bool:
        return self.fill is not None

    @property
    def numeric(self) -> bool:
        return self.var_type in (VarType.INT, VarType.FLOAT)

    @property
    def plain(self) -> bool:
        """Whether it is any INT or FLOAT, with no more said of it."""
        unbounded = self.minimum is None and self.maximum is None and self.allowed is None
        return self.numeric and unbounded and not self.nullable

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The number of each category."""
        return {name: float(number) for name, number in self.categories}

    @cached_property
    def expected(self) -> str:
        """The values that it takes, in words."""
        kind = str(self.var_type)
        if self.var_type == VarType.BOOL:
            kind = "BOOL: true, false, 1 or 0"
        elif self.var_type == VarType.STRING:
            kind = "one of " + _listed([repr(name) for name, _ in self.categories])
        if self.minimum is not None and self.maximum is not None:
            kind += f" from {self.minimum:.15g} to {self.maximum:.15g}"
        elif self.minimum is not None:
            kind += f" of {self.minimum:.15g} or more"
        elif self.maximum is not None:
            kind += f" of {self.maximum:.15g} or less"
        if self.allowed is not None:
            kind += ": " + _listed([f"{number:.15g}" for number in self.allowed])
        return kind + (", or null" if self.nullable else "")

    def to_dict(self, index: int) -> dict[str, Any]:
        """Its entry in a ``model_schema``; only what was said of it is there."""
        members: dict[str, Any] = {"var_type": str(self.var_type), "index": index}
        numbers = {"min": self.minimum, "max": self.maximum, "unknown": self.unknown}
        members |= {name: value for name, value in numbers.items() if value is not None}
        if self.allowed is not None:
            members["allowed"] = list(self.allowed)
        if self.categories:
            members["categories"] = (
                [name for name, _ in self.categories] if self.listed else dict(self.categories)
            )
        if self.fill is not None:
            members |= {"nullable": True, "fill": self.fill}
        return members


def _listed(words: list[str]) -> str:
    more = len(words) - 20
    return ", ".join(word[:40] for word in words[:20]) + (f" and {more} more" if more > 0 else "")
