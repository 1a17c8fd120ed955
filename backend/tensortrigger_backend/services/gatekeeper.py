"""Tell who is asking from an API key or a ticket, and make new ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

from tensortrigger_backend.domain.access import (
    EVERYTHING,
    LOCAL_OWNER,
    MAX_TICKET_SECONDS,
    KeyRecord,
    Principal,
    Scope,
    TicketRecord,
    checked_owner,
    split_key,
    split_ticket,
)
from tensortrigger_backend.domain.errors import Fault, Forbidden, InvalidInput, Unauthenticated
from tensortrigger_backend.domain.models import checked_name
from tensortrigger_backend.ports.storage import KeyStore

FRESH_FOR: Final = 2.0
"""Seconds for which a verified key is believed without asking the store: so long may a revoked one live."""
_REMEMBERED: Final = 10_000
_BAD_TICKET: Final = "This ticket is unknown, expired or already used: mint a new one."


class Gatekeeper:
    """Verifies tokens and mints them.

    Args:
        pepper: 32 secret bytes that key the stored hashes; a stolen database alone verifies nothing.
        session_key: a key of the owner ``local`` that lives in this process only.
        open_when_empty: let callers without a token in while no key exists (loopback only).
        granted: what callers without a token, and holders of the session key, may do.
    """

    def __init__(
        self,
        keys: KeyStore,
        pepper: bytes,
        clock: Callable[[], float],
        session_key: str | None = None,
        open_when_empty: bool = False,
        granted: frozenset[Scope] = EVERYTHING,
    ) -> None:
        self._granted = granted
        self._keys = keys
        self._pepper = pepper
        self._clock = clock
        self._session = session_key.encode() if session_key else None
        self._open_when_empty = open_when_empty and session_key is None
        self._known: dict[str, tuple[Principal, float]] = {}

    def has_keys(self) -> bool:
        """Whether a key was ever made."""
        return self._keys.any_keys()

    def recall(self, token: str | None) -> Principal | None:
        """The principal of a token that was verified within the last seconds; never asks the store."""
        known = self._known.get(token or "")
        # A clock that was set back must not make it last longer.
        fresh = known is not None and known[1] - FRESH_FOR <= self._clock() < known[1]
        return known[0] if known is not None and fresh else None

    def identify(self, token: str | None) -> Principal:
        """Who holds this key; None is somebody without any.

        Raises:
            Unauthenticated: unknown, expired, revoked or missing.
        """
        recalled = self.recall(token)
        if recalled is not None:
            return recalled
        now = self._clock()
        if token is None:
            principal, until = self._anonymous(), now + FRESH_FOR
        else:
            principal, until = self._verify(token, now)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[token or ""] = (principal, until)
        return principal

    def identify_ticket(self, token: str) -> Principal:
        """Who may publish with this ticket; it is not used up yet.

        Raises:
            Unauthenticated: it is unknown or expired, or the key that minted it is no longer valid.
        """
        parts = split_ticket(token)
        ticket = self._keys.ticket(parts[0]) if parts else None
        now = self._clock()
        if (
            parts is None
            or ticket is None
            or not hmac.compare_digest(ticket.secret_hash, self._hash(parts[1]))
            or ticket.expires <= now
            or not self._still_valid(ticket.key_id, now)
        ):
            raise Unauthenticated(_BAD_TICKET)
        scopes = frozenset({Scope.PUBLISH, Scope.READ})
        return Principal(ticket.owner, scopes, ticket.key_id, ticket.model_name, ticket.ticket_id)

    def use_up(self, principal: Principal) -> None:
        """Use up the ticket that the caller came with, if it was one.

        Raises:
            Unauthenticated: somebody else was quicker, or it has expired meanwhile.
        """
        if principal.ticket_id is not None and not self._keys.use_ticket(principal.ticket_id, self._clock()):
            raise Unauthenticated(_BAD_TICKET)

    def _still_valid(self, key_id: str, now: float) -> bool:
        if not key_id:
            return True
        key = self._keys.key(key_id)
        return key is not None and key.valid_at(now)

    def create_key(
        self, owner: str, label: str, scopes: frozenset[Scope], lifetime: float | None
    ) -> tuple[str, KeyRecord]:
        """A new key, shown here once, and the record that is kept.

        Args:
            lifetime: seconds until it expires; None for never.

        Raises:
            InvalidInput: a bad owner name or lifetime.
        """
        if lifetime is not None and lifetime <= 0:
            raise InvalidInput.of(
                Fault(
                    ("expires",), "lifetime", "A key must live for a while.", "more than 0 s", str(lifetime)
                )
            )
        key_id, secret = _new_pair()
        now = self._clock()
        record = KeyRecord(
            key_id,
            checked_owner(owner),
            label,
            scopes,
            self._hash(secret),
            now,
            None if lifetime is None else now + lifetime,
        )
        self._keys.add_key(record)
        return f"tt_{key_id}_{secret}", record

    def mint_ticket(self, principal: Principal, model_name: str, lifetime: float) -> tuple[str, TicketRecord]:
        """A single-use ticket to publish to one name.

        Raises:
            Forbidden: the holder may not publish or mint.
            InvalidInput: a bad name or lifetime.
        """
        principal.must(Scope.TICKETS)
        principal.must_publish_to(checked_name(model_name, ("model",)))
        if not 0 < lifetime <= MAX_TICKET_SECONDS:
            raise InvalidInput.of(
                Fault(
                    ("expires_in",),
                    "lifetime",
                    f"A ticket lives for up to {MAX_TICKET_SECONDS:.0f} seconds.",
                    f"0 < expires_in <= {MAX_TICKET_SECONDS:.0f}",
                    str(lifetime),
                )
            )
        ticket_id, secret = _new_pair()
        now = self._clock()
        record = TicketRecord(
            ticket_id, principal.owner, principal.key_id, model_name, self._hash(secret), now, now + lifetime
        )
        self._keys.add_ticket(record)
        return f"tk_{ticket_id}_{secret}", record

    def _anonymous(self) -> Principal:
        if not self._open_when_empty or self._keys.any_keys():
            raise Unauthenticated("Send an API key: 'Authorization: Bearer tt_...' or 'X-API-Key'.")
        return Principal(LOCAL_OWNER, self._granted)

    def _verify(self, token: str, now: float) -> tuple[Principal, float]:
        if self._session is not None and hmac.compare_digest(self._session, token.encode()):
            return Principal(LOCAL_OWNER, self._granted), now + FRESH_FOR
        if split_ticket(token) is not None:
            raise Forbidden("A ticket publishes one model and does nothing else.")
        parts = split_key(token)
        record = self._keys.key(parts[0]) if parts else None
        # One sentence for every cause: whether an id exists is nobody's business.
        wrong = Unauthenticated("The API key is unknown, expired or revoked.")
        if parts is None or record is None:
            raise wrong
        if not hmac.compare_digest(record.secret_hash, self._hash(parts[1])) or not record.valid_at(now):
            raise wrong
        until = now + FRESH_FOR
        if record.expires is not None:
            until = min(until, record.expires)
        return Principal(record.owner, record.scopes, record.key_id, label=record.label), until

    def _hash(self, secret: str) -> bytes:
        return hmac.new(self._pepper, secret.encode(), hashlib.sha256).digest()


def _new_pair() -> tuple[str, str]:
    """An id of 12 hex digits and a secret of 256 random bits in 43 characters."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return secrets.token_hex(6), secret
