"""How a JSON answer is read: member by member, each with the type that the API promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
_REQUIRED: Any = object()


class WireError(ValueError):
    """An answer that does not have the shape which the API promises."""


def member(members: Any, name: str, read: Callable[[Any], T], default: T = _REQUIRED) -> T:
    """``members[name]`` through ``read``; ``default`` where it is absent or null.

    Raises:
        WireError: absent without a default, or not what ``read`` takes.
    """
    if not isinstance(members, Mapping):
        raise WireError(f"an object with {name!r} was expected, {type(members).__name__} came")
    value = members.get(name)
    if value is None:
        if default is _REQUIRED:
            raise WireError(f"{name!r} is missing")
        return default
    try:
        return read(value)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise WireError(f"{name!r} is not readable: {error}") from error


def text(value: Any) -> str:
    """A string, as it is."""
    if not isinstance(value, str):
        raise WireError(f"text was expected, {type(value).__name__} came")
    return value


def number(value: Any) -> float:
    """A number; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"a number was expected, {type(value).__name__} came")
    return float(value)


def whole(value: Any) -> int:
    """A number, cut to a whole one."""
    return int(number(value))


def listed(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A reader of lists whose entries ``read`` takes."""

    def read_all(values: Any) -> tuple[T, ...]:
        if not isinstance(values, list):
            raise WireError(f"a list was expected, {type(values).__name__} came")
        return tuple(read(value) for value in values)

    return read_all


def mapping(value: Any) -> dict[str, Any]:
    """An object, as it is."""
    if not isinstance(value, dict):
        raise WireError(f"an object was expected, {type(value).__name__} came")
    return value
