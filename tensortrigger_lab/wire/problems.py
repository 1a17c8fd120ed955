"""Why the backend said no: RFC 9457 problem details and the single faults in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortrigger_lab.wire.reading import listed, member, text, whole


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where, what was expected, what came."""

    loc: tuple[str | int, ...]
    code: str
    message: str
    expected: str | None = None
    got: str | None = None
    row: int | None = None
    remedy: str | None = None

    def hint(self) -> str:
        """What was expected, what came, and the remedy, as far as they are known."""
        halves = [f"expected {self.expected}"] * bool(self.expected) + [f"got {self.got}"] * bool(self.got)
        return ". ".join(part for part in (", ".join(halves), self.remedy) if part)

    def told(self) -> str:
        """The fault in one line."""
        return f"{self.message} ({self.hint()})" if self.hint() else self.message

    @classmethod
    def read(cls, members: Any) -> Fault:
        """From JSON."""
        return cls(
            member(members, "loc", tuple, ()),
            member(members, "code", str, ""),
            member(members, "message", str, ""),
            member(members, "expected", str, None),
            member(members, "got", str, None),
            member(members, "row", whole, None),
            member(members, "remedy", str, None),
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457 problem details."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    instance: str | None = None
    faults: tuple[Fault, ...] = ()

    @classmethod
    def read(cls, members: Any) -> Problem:
        """From JSON."""
        detail = member(members, "detail", text, "") or member(members, "message", text)
        return cls(
            member(members, "status", whole, 0) or member(members, "http_code", whole),
            member(members, "title", text, ""),
            detail,
            member(members, "type", text, "about:blank"),
            member(members, "instance", text, None),
            member(members, "errors", listed(Fault.read), ()),
        )
