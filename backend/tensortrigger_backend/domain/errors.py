"""What can go wrong, said so that the caller can mend it.

TensorTriggerError
├── InvalidInput          the request does not fit what was asked
│   ├── ModelRefused      the uploaded model cannot be accepted
│   └── InvalidJobState   the job is not in a state that allows this
├── Unauthenticated       no key, or one that is unknown, expired or used up
├── Forbidden             the key lacks the scope
├── NotFound              no such model, version or job for this owner
├── Conflict              another change came first
│   └── WrongOffset       a piece of an upload does not begin where the upload ends
├── PayloadTooLarge       over a configured limit
├── UnsupportedMedia      a content type that is not read here
├── NotInstalled          this server lacks a part that the request needs
└── Unavailable           try again later (``retry_after`` seconds)
    ├── Overrun           what was asked took more time or memory than it may
    └── Unproven          the engine that is installed answers otherwise than the receipt says
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where, what was expected, what came (RFC 9457 ``errors`` member)."""

    loc: tuple[str | int, ...]
    code: str
    message: str
    expected: str | None = None
    got: str | None = None
    row: int | None = None
    remedy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        members: dict[str, Any] = {"loc": list(self.loc), "code": self.code, "message": self.message}
        for name in ("expected", "got", "row", "remedy"):
            value = getattr(self, name)
            if value is not None:
                members[name] = value
        return members


class TensorTriggerError(Exception):
    """Any error with a meaning for the caller.

    Args:
        detail: one sentence that says what happened and what to do.
        faults: the single faults behind it, where there are several or where a field can be named.
    """

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class InvalidInput(TensorTriggerError):
    """The request does not fit what was asked."""

    @classmethod
    def of(cls, *faults: Fault) -> InvalidInput:
        """The error whose sentence is that of its first fault, with a count of the others."""
        first = faults[0].message
        if len(faults) > 1:
            first = f"{first.removesuffix('.')} (and {len(faults) - 1} more)."
        return cls(first, faults)


class ModelRefused(InvalidInput):
    """The uploaded model cannot be accepted; the faults say why, where and how to mend it."""


class InvalidJobState(InvalidInput):
    """The job is not in a state that allows this."""


class Unauthenticated(TensorTriggerError):
    """No key, or one that is unknown, expired, revoked or used up."""


class Forbidden(TensorTriggerError):
    """The key lacks the scope."""


class NotFound(TensorTriggerError):
    """No such model, version or job for this owner."""


class Conflict(TensorTriggerError):
    """Another change came first."""


class WrongOffset(Conflict):
    """A piece does not begin where the upload ends.

    Attributes:
        offset: where it ends, so where the next piece begins.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(f"The next byte of this upload is number {offset}: go on from there.")
        self.offset = offset


class PayloadTooLarge(TensorTriggerError):
    """Over a configured limit."""


class UnsupportedMedia(TensorTriggerError):
    """A content type that is not read here."""


class NotInstalled(TensorTriggerError):
    """This server lacks a part that the request needs; trying again changes nothing."""


class Unavailable(TensorTriggerError):
    """Try again after ``retry_after`` seconds."""

    def __init__(self, detail: str, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Overrun(Unavailable):
    """What was asked took more time or memory than it may; asking again would take as much."""


class Unproven(Unavailable):
    """The engine that is installed answers otherwise than the version's receipt says, so nobody is answered."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after=3600.0)
