"""Which Keras models and example data the notebook holds, within a budget of time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tensortrigger_lab.callbacks.fit import models_in_training
from tensortrigger_lab.kernel.assigned import newest_first
from tensortrigger_lab.kernel.description import described
from tensortrigger_lab.kernel.namespace import is_a, is_model, is_shown, kernel_session, variables

BUDGET = 0.18
"""Seconds. The front end is promised 0.2: a list that is cut short is better than a kernel that is held up."""
COLUMNS = 500


def listing(clock: Callable[[], float] = time.monotonic, budget: float = BUDGET) -> dict[str, Any]:
    """The models and examples, the last assigned first; ``complete`` is false where the budget ended before."""
    until = clock() + budget
    names = variables()
    found, complete = _of_interest(names, lambda: clock() > until)
    models: dict[int, tuple[str, Any]] = {}
    examples: list[tuple[str, str, Any]] = []
    for variable in newest_first(found, names.get("In")):
        kind, value = found[variable], names[variable]
        if kind == "model":
            models.setdefault(id(value), (variable, value))
        elif kind != "list" or _is_numbers(value):
            examples.append((variable, kind, value))
    training = {id(model) for model in models_in_training()} if models else set()
    told: list[dict[str, Any]] = []
    for identity, (variable, model) in models.items():
        if clock() > until:
            complete = False
            break
        told.append(described(variable, model, training=identity in training))
    tables: list[dict[str, Any]] = []
    for example in examples:
        if clock() > until:
            complete = False
            break
        if entry := _example(*example):
            tables.append(entry)
    return {
        "session": kernel_session(),
        "models": told,
        "examples": tables,
        "complete": complete,
    }


def _of_interest(names: dict[str, Any], late: Callable[[], bool]) -> tuple[dict[str, str], bool]:
    """The kind by name, in the namespace's order, of every variable that has one; whether all were seen."""
    # By identity: a type's own hash may be anybody's code too.
    kinds: dict[int, str | None] = {}
    found: list[tuple[str, str]] = []
    complete = True
    # The newest are at the end, and must not be the ones to be missed.
    for place, (name, value) in enumerate(reversed(names.items())):
        if place % 256 == 0 and late():
            complete = False
            break
        identity = id(type(value))
        if identity not in kinds:
            kinds[identity] = _kind(value)
        kind = kinds[identity]
        if kind is not None and is_shown(name):
            found.append((name, kind))
    return dict(reversed(found)), complete


def _kind(value: object) -> str | None:
    """What a value is, as its type alone tells; None for what is of no interest."""
    if is_model(value):
        return "model"
    if is_a(value, "pandas", "DataFrame"):
        return "DataFrame"
    if is_a(value, "pandas", "Series"):
        return "Series"
    if is_a(value, "numpy", "ndarray"):
        return "array"
    return "list" if type(value) is list else None


def _is_numbers(values: list[Any]) -> bool:
    """Whether a list begins with a number, a list of numbers or an array: no element is asked anything."""
    first = values[0] if values else None
    if type(first) is list and first:
        first = first[0]
    return type(first) in (int, float) or is_a(first, "numpy", "ndarray")


def _example(variable: str, kind: str, value: Any) -> dict[str, Any] | None:
    try:
        if kind == "list":
            first = value[0]
            shape = [len(value), *([len(first)] if type(first) is list else [])]
        else:
            shape = [int(size) for size in value.shape]
        columns = [str(name) for name in value.columns[:COLUMNS]] if kind == "DataFrame" else None
    except Exception:  # noqa: BLE001 - a subclass of somebody's may raise anything
        return None
    if not shape:
        return None
    return {"variable": variable, "kind": kind, "shape": shape, "columns": columns}


def keras_is_here() -> bool:
    """Whether Keras was imported; it is never imported to find out."""
    return hasattr(sys.modules.get("keras"), "Model")
