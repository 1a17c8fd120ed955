"""How the kernel answers a front end: one MIME bundle that holds a result, or an error to show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MIME = "application/vnd.tensortrigger.rpc+json"
VERSION = 1


class Refusal(Exception):
    """Something that cannot be done, for a person to read.

    Attributes:
        code: for the front end to tell cases apart.
        action: what to do about it; None where nothing can be.
    """

    def __init__(self, code: str, message: str, action: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.action = code, message, action

    @property
    def members(self) -> dict[str, Any]:
        """As the front end takes it."""
        return {"code": self.code, "message": self.message, "action": self.action}


class Reply:
    """What ``call`` returns. The kernel sends its bundle; as text it is a constant."""

    def __init__(self, result: Mapping[str, Any] | None = None, error: Refusal | None = None) -> None:
        told = {"ok": True, "result": result} if error is None else {"ok": False, "error": error.members}
        self.members: dict[str, Any] = {"v": VERSION, **strict(told)}

    def __repr__(self) -> str:
        return "<TensorTrigger reply>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        del include, exclude
        return {MIME: self.members, "text/plain": repr(self)}


def strict(value: Any) -> Any:
    """``value`` in JSON's own types: what is not finite becomes null, what is unknown its text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(name): strict(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [strict(entry) for entry in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    item = getattr(value, "item", None)
    return strict(item()) if callable(item) and getattr(value, "ndim", None) == 0 else str(value)
