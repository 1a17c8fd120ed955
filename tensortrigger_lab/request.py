"""One question to the backend, as a value: it is described once, and sent by either client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tensortrigger_lab.errors import BadInput

Body = Callable[[], Iterable[bytes]]
"""Opens the body anew, so that a request can be sent twice."""

READS = ("GET", "HEAD")
KEY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        idempotent: sending it twice does what sending it once does, though neither method nor key say so.
        refuses_models: a 400 means that the model was refused.
    """

    method: str
    path: str
    members: Any = None
    params: Mapping[str, str | int | Sequence[str]] | None = None
    headers: Mapping[str, str] | None = None
    body: Body | None = None
    idempotent: bool = False
    refuses_models: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows what became of it."""
        return self.idempotent or self.method in READS or KEY_HEADER in (self.headers or {})


def segment(value: str) -> str:
    """``value`` as one part of a path.

    Raises:
        BadInput: it is not even text.
    """
    if not isinstance(value, str):
        raise BadInput("This names nothing.", expected="a name or an id, as text", got=type(value).__name__)
    return quote(value, safe="")
