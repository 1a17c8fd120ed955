"""Does this config ask for more numbers than a machine holds? Told from the sizes in it, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tensortrigger_backend.forge.refusal import refuse

Path = tuple[str | int, ...]

MOST_NUMBERS = 1 << 29
"""Of one weight or one answer: 2 GiB of float32. What only several layers together make is for the memory limit."""

_SIZES = frozenset(
    (
        *("units", "filters", "kernel_size", "depth_multiplier", "num_heads", "key_dim", "value_dim"),
        *("n", "size", "height", "width", "num_tokens", "output_sequence_length", "input_dim", "output_dim"),
        *("batch_shape", "batch_input_shape", "input_shape", "target_shape", "output_shape"),
    )
)
_MARGINS = frozenset(("padding", "cropping"))
_TABLE = ("input_dim", "output_dim")


def check_sizes(config: Any, path: Path = ()) -> None:
    """Look at every size that a layer's config writes.

    Raises:
        Refused: one of them alone makes more than ``MOST_NUMBERS`` numbers.
    """
    for described, where in _dicts(config, path):
        for key, value in described.items():
            if key in _SIZES:
                _judge(described, key, _product(value), (*where, key))
            elif key in _MARGINS:
                _judge(described, key, _margin(value), (*where, key))
        if all(key in described for key in _TABLE):
            _judge(described, "table", math.prod(_product(described[key]) for key in _TABLE), where)


def _dicts(config: Any, path: Path) -> Iterator[tuple[Mapping[str, Any], Path]]:
    waiting: list[tuple[Any, Path]] = [(config, path)]
    while waiting:
        value, where = waiting.pop()
        if isinstance(value, Mapping):
            yield value, where
            waiting += [
                (member, (*where, key)) for key, member in value.items() if isinstance(member, dict | list)
            ]
        elif isinstance(value, list):
            waiting += [
                (member, (*where, at)) for at, member in enumerate(value) if isinstance(member, dict | list)
            ]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for member in value for number in _numbers(member)]
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return [abs(value)] if number else []


def _product(value: Any) -> float:
    if isinstance(value, list) and any(isinstance(member, list) for member in value):
        # A shape for each of several inputs.
        return max(_product(member) for member in value)
    return math.prod(max(1, number) for number in _numbers(value))


def _margin(value: Any) -> float:
    """What is added along each axis, multiplied: a pair of plain numbers belongs to one axis."""
    if not isinstance(value, list) or not any(isinstance(member, list) for member in value):
        return sum(_numbers(value))
    return math.prod(1 + sum(_numbers(axis)) for axis in value)


def _judge(described: Mapping[str, Any], key: str, numbers: float, path: Path) -> None:
    if numbers <= MOST_NUMBERS:
        return
    name = described.get("name")
    layer = f"layer '{name[:80]}'" if isinstance(name, str) else "a layer"
    raise refuse(
        "too_large",
        f"{layer} has a {key} that makes more numbers than can be held",
        *path,
        expected=f"at most {MOST_NUMBERS}",
        got=f"{numbers:.4g}",
        remedy="make the layer smaller, or split it",
    )
