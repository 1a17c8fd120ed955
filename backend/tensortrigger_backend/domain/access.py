"""Who may do what: API keys, single-use tickets and the scopes they carry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from tensortrigger_backend.domain.errors import Fault, Forbidden, InvalidInput

OWNER_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
LOCAL_OWNER = "local"
"""Owner of everything that is made without a key on loopback, and through the embedded backend."""

_KEY = re.compile(r"tt_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
_TICKET = re.compile(r"tk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")

MAX_TICKET_SECONDS = 3600.0


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    PUBLISH = "publish"
    RUN = "run"
    JOBS = "jobs"
    TICKETS = "tickets"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking.

    Attributes:
        key_id: the stored key; empty for callers without one.
        model_name: the only name that may be published to, for a ticket; None where any may.
        ticket_id: the ticket that is used up by publishing; None for a key.
        label: what its maker called the key; empty for callers without one.
    """

    owner: str
    scopes: frozenset[Scope]
    key_id: str = ""
    model_name: str | None = None
    ticket_id: str | None = None
    label: str = field(default="", compare=False)

    @property
    def known_as(self) -> str:
        """How a history names the caller: by the key's label or id, else by the owner."""
        return self.label or self.key_id or self.owner

    def must(self, scope: Scope) -> None:
        """Raise Forbidden unless the scope is held."""
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"This needs the scope {str(scope)!r}; the key has: {held}.")

    def must_publish_to(self, name: str) -> None:
        """Raise Forbidden unless the name may be published to."""
        self.must(Scope.PUBLISH)
        if self.model_name is not None and name != self.model_name:
            raise Forbidden(f"This ticket publishes to {self.model_name!r} only, not to {name!r}.")


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as stored: its secret is a keyed hash, never itself."""

    key_id: str
    owner: str
    label: str
    scopes: frozenset[Scope]
    secret_hash: bytes
    created: float
    expires: float | None
    revoked: float | None = None

    def valid_at(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or self.expires > now)


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """A single-use, short-lived right to publish to one name.

    Attributes:
        key_id: the key that minted it, and with which it ends; empty where it was minted without one.
    """

    ticket_id: str
    owner: str
    key_id: str
    model_name: str
    secret_hash: bytes
    created: float
    expires: float


def split_key(token: str) -> tuple[str, str] | None:
    """(id, secret) of ``tt_<id>_<secret>``; None if it is no key."""
    match = _KEY.match(token)
    return (match[1], match[2]) if match else None


def split_ticket(token: str) -> tuple[str, str] | None:
    """(id, secret) of ``tk_<id>_<secret>``; None if it is no ticket."""
    match = _TICKET.match(token)
    return (match[1], match[2]) if match else None


def parse_scopes(names: object, loc: tuple[str | int, ...] = ("scopes",)) -> frozenset[Scope]:
    """Scopes by their names.

    Raises:
        InvalidInput: none given, or one that does not exist.
    """
    known = ", ".join(Scope)
    if not isinstance(names, list | tuple) or not names:
        raise InvalidInput.of(Fault(loc, "scopes", "Name at least one scope.", known, repr(names)[:80]))
    unknown = [name for name in names if not isinstance(name, str) or name not in set(Scope)]
    if unknown:
        raise InvalidInput.of(
            Fault(loc, "scopes", f"There is no scope {str(unknown[0])[:40]!r}.", known, str(unknown[0])[:80])
        )
    return frozenset(Scope(name) for name in names)


def checked_owner(owner: str) -> str:
    """``owner`` if it is a valid owner name.

    Raises:
        InvalidInput: saying the rule.
    """
    if not OWNER_PATTERN.match(owner):
        rule = "1 to 64 of letters, digits and . _ @ -"
        raise InvalidInput.of(Fault(("owner",), "owner", f"{owner[:80]!r} is not an owner name.", rule))
    return owner
