"""How a client's verb shows itself in help and completion: as a method, not as the call that it carries out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

M = TypeVar("M", bound=Callable[..., Any])


def shown_as(method: M, call: Callable[..., Any], described: str, given: str) -> M:
    """The method with the call's parameters after ``self``.

    Args:
        described: how the call's result is annotated, such as ``Call[...]``.
        given: what the method gives instead, such as ``Iterator[...]``; empty for what stands in the brackets.
    """
    found = inspect.signature(call)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    inner = str(found.return_annotation).removeprefix(f"{described}[").removesuffix("]")
    returned = f"{given}[{inner}]" if given else inner
    parameters = [own, *list(found.parameters.values())[1:]]
    method.__signature__ = found.replace(parameters=parameters, return_annotation=returned)  # type: ignore[attr-defined]
    return method
