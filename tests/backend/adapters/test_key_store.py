"""The promises of ``KeyStore``, whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tensortrigger_backend.domain.access import KeyRecord, Scope, TicketRecord
from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.ports.storage import KeyStore

KEY = KeyRecord(
    "0123456789ab", "ann", "laptop", frozenset({Scope.RUN, Scope.READ}), b"\0" * 31 + b"\xff", 1.0, 9.0
)
TICKET = TicketRecord("ba9876543210", "ann", KEY.key_id, "churn", b"\x80" * 32, 1.0, 5.0)


def test_a_key_is_found_as_it_was_added(keys: KeyStore) -> None:
    assert not keys.any_keys()
    keys.add_key(KEY)
    keys.add_key(replace(KEY, key_id="1" * 12, expires=None, created=0.5))
    assert keys.any_keys()
    assert keys.key(KEY.key_id) == KEY
    assert [key.key_id for key in keys.all_keys()] == ["1" * 12, KEY.key_id]
    assert keys.key("2" * 12) is None


def test_a_revoked_key_keeps_its_record(keys: KeyStore) -> None:
    keys.add_key(KEY)
    keys.revoke_key(KEY.key_id, 3.0)
    assert keys.key(KEY.key_id) == replace(KEY, revoked=3.0)
    # Revoking the last key must not open a door that is open while no key exists.
    assert keys.any_keys()
    with pytest.raises(NotFound):
        keys.revoke_key(KEY.key_id, 4.0)
    with pytest.raises(NotFound):
        keys.revoke_key("2" * 12, 4.0)


def test_a_ticket_is_used_by_exactly_one_of_eight_threads(
    keys: KeyStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    keys.add_ticket(TICKET)
    assert keys.ticket(TICKET.ticket_id) == TICKET
    assert sorted(at_once(lambda _: keys.use_ticket(TICKET.ticket_id, 2.0))) == [False] * 7 + [True]


def test_a_ticket_is_used_only_before_it_expires(keys: KeyStore) -> None:
    keys.add_ticket(TICKET)
    assert not keys.use_ticket(TICKET.ticket_id, 5.0)
    assert keys.use_ticket(TICKET.ticket_id, 4.9)
    assert not keys.use_ticket("unknown", 1.0)
    assert keys.ticket("unknown") is None
