"""How a ``model_schema`` is written: read either form of it, and name everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.field_faults import Loc, kind_of, shown
from tensortrigger_backend.domain.field_rules import FieldRules, is_blank
from tensortrigger_backend.domain.fields import FLOAT32_END, Field, VarType

MAX_NAME: Final = 256
MAX_CHOICES: Final = 10_000
"""How many categories or allowed values a field may list."""

_ALWAYS: Final = ("var_type", "index")
_NUMERIC: Final = ("min", "max", "allowed", "nullable", "fill")
_MEMBERS: Final = {
    VarType.INT: _NUMERIC,
    VarType.FLOAT: _NUMERIC,
    VarType.BOOL: ("nullable", "fill"),
    VarType.STRING: ("categories", "unknown", "nullable", "fill"),
}
_TYPE_EXPECTED: Final = "INT, FLOAT, BOOL or STRING"
_FIELDS_EXPECTED: Final = "object {name: {var_type, index}}"


def read_sides(members: object, faults: list[Fault]) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Inputs and outputs, from flat ``{name: {var_type, index}}`` or from ``{input_schema, output_schema}``."""
    root: Loc = ("model_schema",)
    if not isinstance(members, Mapping) or not members:
        message = "model_schema must be an object that names at least one input."
        faults.append(Fault(root, "schema_type", message, _FIELDS_EXPECTED, kind_of(members)))
        return (), ()
    if "input_schema" not in members or is_field(members["input_schema"]):
        return read_side(members, root, faults), ()
    for name in members:
        if name not in ("input_schema", "output_schema"):
            message = f"model_schema has an unknown member {name!r} beside input_schema."
            expected = "input_schema, output_schema"
            faults.append(Fault((*root, str(name)), "schema_member", message, expected, str(name)))
    inputs = read_side(members["input_schema"], (*root, "input_schema"), faults)
    declared = members.get("output_schema")
    if declared is None:
        return inputs, ()
    return inputs, read_side(declared, (*root, "output_schema"), faults, output=True)


def read_side(members: object, loc: Loc, faults: list[Fault], output: bool = False) -> tuple[Field, ...]:
    """The fields of one side in index order; empty where anything of it is wrong."""
    if not isinstance(members, Mapping) or not members:
        message = f"{loc[-1]} must be an object that names at least one field."
        faults.append(Fault(loc, "schema_type", message, _FIELDS_EXPECTED, kind_of(members)))
        return ()
    placed: dict[int, Field] = {}
    before = len(faults)
    for name, entry in members.items():
        here = (*loc, str(name))
        if not name or len(name) > MAX_NAME:
            message = f"A field name must have 1 to {MAX_NAME} characters."
            faults.append(Fault(here, "schema_name", message, f"1 to {MAX_NAME} characters", shown(name)))
        elif not is_field(entry):
            message = f"Field {name!r} must be an object with var_type and index."
            faults.append(Fault(here, "schema_field", message, "{var_type, index}", kind_of(entry)))
        else:
            field = _read_field(name, entry, here, faults, output)
            index = _read_index(name, entry.get("index"), here, faults, len(members), placed)
            if field is not None and index is not None:
                placed[index] = field
    if len(faults) > before:
        return ()
    return tuple(placed[index] for index in range(len(placed)))


def is_field(entry: object) -> bool:
    """Whether this is one field's entry: so a model may have an input that is called ``input_schema``."""
    return (
        isinstance(entry, Mapping)
        and ("var_type" in entry or "index" in entry)
        and not isinstance(entry.get("var_type"), Mapping)
    )


def _read_index(
    name: str, index: object, loc: Loc, faults: list[Fault], count: int, placed: Mapping[int, Field]
) -> int | None:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        message = f"Field {name!r} has index {shown(index)}; the {count} fields take 0 to {count - 1}."
        fault = Fault((*loc, "index"), "schema_index", message, f"0 to {count - 1}", shown(index))
    elif index in placed:
        message = f"Fields {placed[index].name!r} and {name!r} share index {index}."
        fault = Fault((*loc, "index"), "schema_index", message, "each index once", str(index))
    else:
        return index
    faults.append(fault)
    return None


def _read_field(
    name: str, entry: Mapping[str, Any], loc: Loc, faults: list[Fault], output: bool
) -> Field | None:
    """One field, less its place; None where something is wrong with it."""
    written = entry.get("var_type")
    if not isinstance(written, str) or written.upper() not in VarType.__members__:
        message = f"Field {name!r} has an unknown var_type."
        faults.append(Fault((*loc, "var_type"), "schema_var_type", message, _TYPE_EXPECTED, shown(written)))
        return None
    var_type = VarType(written.upper())
    if output and var_type not in (VarType.INT, VarType.FLOAT):
        message = f"Output {name!r} is a number: it cannot be declared {var_type}."
        faults.append(Fault((*loc, "var_type"), "schema_output", message, "INT or FLOAT", shown(written)))
        return None
    return _Entry(name, var_type, entry, loc, faults).read(() if output else _MEMBERS[var_type])


class _Entry:
    """One field's entry while it is being read."""

    def __init__(
        self, name: str, var_type: VarType, entry: Mapping[str, Any], loc: Loc, faults: list[Fault]
    ) -> None:
        self._name = name
        self._var_type = var_type
        # A member that is null was not said.
        self._entry = {str(member): value for member, value in entry.items() if value is not None}
        self._loc = loc
        self._faults = faults

    def read(self, known: tuple[str, ...]) -> Field | None:
        """The field; None where something is wrong with it."""
        before = len(self._faults)
        members = (*_ALWAYS, *known)
        for member in self._entry:
            if member not in members:
                says = f"does not take the member {member[:80]!r}"
                self._fault(member, "schema_member", says, ", ".join(members), member[:80])
        if len(self._faults) > before:
            return None
        field = Field(
            self._name,
            self._var_type,
            self._number("min"),
            self._number("max"),
            categories=self._categories(),
            listed=isinstance(self._entry.get("categories", []), list),
            unknown=self._number("unknown"),
        )
        if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
            at_most = f"{shown(field.maximum)} or less"
            self._fault("min", "schema_range", "has a min above its max", at_most, shown(field.minimum))
        if len(self._faults) == before:
            field = replace(field, allowed=self._allowed(field))
        if len(self._faults) == before:
            field = replace(field, fill=self._fill(field))
        return field if len(self._faults) == before else None

    def _number(self, member: str) -> float | None:
        value = self._entry.get(member)
        if value is not None and not _is_number(value):
            expected = "a number that fits a 32-bit float"
            self._fault(
                member, "schema_number", f"has a {member} that is no such number", expected, shown(value)
            )
            return None
        return value

    def _allowed(self, field: Field) -> tuple[float, ...] | None:
        values = self._entry.get("allowed")
        if values is None:
            return None
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_CHOICES:
            expected, got = f"a list of 1 to {MAX_CHOICES} numbers", _length_or_kind(values)
            self._fault("allowed", "schema_allowed", "needs a list of allowed values", expected, got)
            return None
        rules = FieldRules(field)
        for place, value in enumerate(values):
            if rules.number(value)[1] is not None:
                says = "allows a value that the rest of its entry refuses"
                self._fault("allowed", "schema_allowed", says, field.expected, shown(value), place)
                return None
        return tuple(values)

    def _categories(self) -> tuple[tuple[str, float], ...]:
        """Each category's name and number."""
        if self._var_type is not VarType.STRING:
            return ()
        written = self._entry.get("categories")
        if not isinstance(written, list | Mapping) or not 1 <= len(written) <= MAX_CHOICES:
            expected = f"a list of 1 to {MAX_CHOICES} texts, or an object {{text: number}}"
            says = "is a STRING, so it needs the categories that it may be"
            self._fault("categories", "schema_categories", says, expected, _length_or_kind(written))
            return ()
        pairs = (
            list(written.items())
            if isinstance(written, Mapping)
            else [(name, place) for place, name in enumerate(written)]
        )
        names: set[str] = set()
        numbers: dict[float, str] = {}
        for name, number in pairs:
            if not isinstance(name, str) or is_blank(name) or len(name) > MAX_NAME:
                says, expected, got = "has a category that is no name", "a text, not blank", shown(name)
            elif not _is_number(number):
                says, got = f"gives category {name[:80]!r} no number", shown(number)
                expected = "a number that fits a 32-bit float"
            elif name in names:
                says, expected, got = "lists a category twice", "each category once", shown(name)
            elif number in numbers:
                says = f"gives {numbers[number][:80]!r} and {name[:80]!r} the same number"
                expected, got = "each number once", shown(number)
            else:
                names.add(name)
                numbers[number] = name
                continue
            self._fault("categories", "schema_categories", says, expected, got)
            return ()
        return tuple(pairs)

    def _fill(self, field: Field) -> bool | float | str | None:
        nullable, fill = self._entry.get("nullable", False), self._entry.get("fill")
        if not isinstance(nullable, bool):
            self._fault("nullable", "schema_nullable", "is nullable or not", "true or false", shown(nullable))
        elif nullable and fill is None:
            says = "is nullable, so it needs a fill that stands in for null"
            self._fault("fill", "schema_fill", says, field.expected, "nothing")
        elif fill is not None and not nullable:
            says = "has a fill, which only a nullable field takes"
            self._fault("fill", "schema_fill", says, "nullable: true", "no nullable")
        elif fill is not None and FieldRules(replace(field, unknown=None)).number(fill)[1] is not None:
            says = "has a fill that it would refuse itself"
            self._fault("fill", "schema_fill", says, field.expected, shown(fill))
        else:
            return fill
        return None

    def _fault(
        self, member: str, code: str, says: str, expected: str, got: str, place: int | None = None
    ) -> None:
        loc = (*self._loc, member) if place is None else (*self._loc, member, place)
        self._faults.append(Fault(loc, code, f"Field {self._name!r} {says}.", expected, got))


def _is_number(value: object) -> bool:
    """Whether it is a finite number that a 32-bit float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < FLOAT32_END and math.isfinite(value)


def _length_or_kind(value: object) -> str:
    return (
        f"{len(value)}"
        if isinstance(value, list | Mapping)
        else "nothing"
        if value is None
        else kind_of(value)
    )
