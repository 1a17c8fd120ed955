"""Who is let in, for how long, and what is kept of their secrets?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.key_store import SqlKeyStore
from tensortrigger_backend.domain.access import (
    EVERYTHING,
    LOCAL_OWNER,
    Principal,
    Scope,
    split_key,
    split_ticket,
)
from tensortrigger_backend.domain.errors import Forbidden, InvalidInput, Unauthenticated
from tensortrigger_backend.services.gatekeeper import FRESH_FOR, Gatekeeper

if TYPE_CHECKING:
    from tests.backend.services.conftest import Clock

PEPPER = b"p" * 32
RUN = frozenset({Scope.RUN, Scope.READ})


@pytest.fixture
def keys(database: Database) -> SqlKeyStore:
    return SqlKeyStore(database)


@pytest.fixture
def gate(keys: SqlKeyStore, clock: Clock) -> Gatekeeper:
    return Gatekeeper(keys, PEPPER, clock)


def forged(token: str) -> str:
    """The same token with another last character of its secret but one."""
    return token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]


def test_a_key_identifies_its_owner_and_scopes(gate: Gatekeeper) -> None:
    token, record = gate.create_key("ann", "laptop", RUN, None)
    assert gate.identify(token) == Principal("ann", RUN, record.key_id)


def test_secrets_are_new_each_time_and_long(gate: Gatekeeper) -> None:
    tokens = {gate.create_key("ann", "", RUN, None)[0] for _ in range(20)}
    parts = [split_key(token) for token in tokens]
    assert len({part[1] for part in parts if part}) == 20
    assert all(len(part[1]) == 43 for part in parts if part)


def test_a_secret_is_nowhere_in_the_store(gate: Gatekeeper, database: Database, tmp_path: Path) -> None:
    token, record = gate.create_key("ann", "laptop", EVERYTHING, None)
    ticket, _ = gate.mint_ticket(Principal("ann", EVERYTHING), "churn", 60.0)
    database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("tt.db*"))
    assert record.key_id.encode() in stored
    for given in (split_key(token), split_ticket(ticket)):
        assert given is not None
        assert given[1].encode() not in stored


def test_a_stolen_database_verifies_nothing_without_the_pepper(
    gate: Gatekeeper, keys: SqlKeyStore, clock: Clock
) -> None:
    token, _ = gate.create_key("ann", "", RUN, None)
    with pytest.raises(Unauthenticated):
        Gatekeeper(keys, b"q" * 32, clock).identify(token)


def test_what_is_no_valid_key_is_refused_in_the_same_words(gate: Gatekeeper, clock: Clock) -> None:
    token, _ = gate.create_key("ann", "", RUN, None)
    expired, _ = gate.create_key("ann", "", RUN, 5.0)
    other, _ = gate.create_key("ann", "", RUN, None)
    clock.wait(5.0)
    mixed = f"tt_{(split_key(token) or ('', ''))[0]}_{(split_key(other) or ('', ''))[1]}"
    for wrong in (
        forged(token),
        mixed,
        expired,
        "tt_" + "0" * 12 + "_" + "A" * 43,
        "x",
        "",
        "tt_" + "\u00e9" * 56,
    ):
        with pytest.raises(Unauthenticated, match="unknown, expired or revoked"):
            gate.identify(wrong)
    assert gate.identify(token).owner == "ann"


def test_a_wrong_secret_is_not_believed_just_after_the_right_one(gate: Gatekeeper) -> None:
    token, _ = gate.create_key("ann", "", RUN, None)
    gate.identify(token)
    assert gate.recall(token) is not None
    assert gate.recall(forged(token)) is None
    with pytest.raises(Unauthenticated):
        gate.identify(forged(token))


def test_an_expired_key_is_refused_at_once(gate: Gatekeeper, clock: Clock) -> None:
    token, _ = gate.create_key("ann", "", RUN, FRESH_FOR / 2)
    gate.identify(token)
    clock.wait(FRESH_FOR / 2)
    assert gate.recall(token) is None
    with pytest.raises(Unauthenticated):
        gate.identify(token)


@pytest.mark.parametrize("passed", [FRESH_FOR, -3600.0])
def test_a_revoked_key_lives_for_two_seconds_at_most_whatever_is_done_to_the_clock(
    gate: Gatekeeper, keys: SqlKeyStore, clock: Clock, passed: float
) -> None:
    token, record = gate.create_key("ann", "", RUN, None)
    gate.identify(token)
    keys.revoke_key(record.key_id, clock())
    assert FRESH_FOR <= 2.0
    clock.wait(passed)
    with pytest.raises(Unauthenticated):
        gate.identify(token)


def test_a_session_key_is_the_local_owner_and_shuts_the_open_door(keys: SqlKeyStore, clock: Clock) -> None:
    gate = Gatekeeper(keys, PEPPER, clock, session_key="s3cret", open_when_empty=True)
    assert gate.identify("s3cret") == Principal(LOCAL_OWNER, EVERYTHING)
    for wrong in (None, "", "s3cre", "s3cret "):
        with pytest.raises(Unauthenticated):
            gate.identify(wrong)
    assert not keys.any_keys()


def test_the_door_is_open_only_while_no_key_exists(keys: SqlKeyStore, clock: Clock) -> None:
    gate = Gatekeeper(keys, PEPPER, clock, open_when_empty=True)
    assert gate.identify(None) == Principal(LOCAL_OWNER, EVERYTHING)
    with pytest.raises(Unauthenticated):
        gate.identify("wrong")
    gate.create_key("ann", "", RUN, None)
    clock.wait(FRESH_FOR)
    with pytest.raises(Unauthenticated, match="Send an API key"):
        gate.identify(None)
    # Revoking the last key does not open it again.
    for key in keys.all_keys():
        keys.revoke_key(key.key_id, clock())
    clock.wait(FRESH_FOR)
    with pytest.raises(Unauthenticated):
        gate.identify(None)
    assert gate.has_keys()


def test_the_door_is_shut_unless_it_was_opened(gate: Gatekeeper) -> None:
    with pytest.raises(Unauthenticated, match="Send an API key"):
        gate.identify(None)


@pytest.mark.parametrize(("owner", "lifetime"), [("a b", None), ("", None), ("ann", 0.0), ("ann", -1.0)])
def test_a_key_needs_an_owner_and_some_time_to_live(
    gate: Gatekeeper, keys: SqlKeyStore, owner: str, lifetime: float | None
) -> None:
    with pytest.raises(InvalidInput):
        gate.create_key(owner, "", RUN, lifetime)
    assert keys.all_keys() == []


def test_a_ticket_publishes_to_its_name_once(gate: Gatekeeper) -> None:
    token, record = gate.mint_ticket(Principal("ann", EVERYTHING), "churn", 60.0)
    holder = gate.identify_ticket(token)
    assert (holder.owner, holder.scopes, holder.ticket_id) == (
        "ann",
        {Scope.PUBLISH, Scope.READ},
        record.ticket_id,
    )
    holder.must_publish_to("churn")
    with pytest.raises(Forbidden, match="'churn' only"):
        holder.must_publish_to("other")
    gate.use_up(holder)
    with pytest.raises(Unauthenticated, match="already used"):
        gate.use_up(holder)


def test_looking_at_a_ticket_does_not_use_it_up(gate: Gatekeeper) -> None:
    token, _ = gate.mint_ticket(Principal("ann", EVERYTHING), "churn", 60.0)
    for _ in range(3):
        holder = gate.identify_ticket(token)
    gate.use_up(holder)


def test_a_key_is_never_used_up(gate: Gatekeeper) -> None:
    token, _ = gate.create_key("ann", "", RUN, None)
    for _ in range(3):
        gate.use_up(gate.identify(token))


def test_a_ticket_does_nothing_but_publish(gate: Gatekeeper) -> None:
    token, _ = gate.mint_ticket(Principal("ann", EVERYTHING), "churn", 60.0)
    with pytest.raises(Forbidden, match="publishes one model"):
        gate.identify(token)


def test_a_forged_ticket_is_refused_and_so_is_a_key(gate: Gatekeeper) -> None:
    token, _ = gate.mint_ticket(Principal("ann", EVERYTHING), "churn", 60.0)
    key, _ = gate.create_key("ann", "", EVERYTHING, None)
    for wrong in (forged(token), "tk_" + "0" * 12 + "_" + "A" * 43, key, ""):
        with pytest.raises(Unauthenticated):
            gate.identify_ticket(wrong)


def test_an_expired_ticket_is_refused_even_if_it_was_looked_at_before(gate: Gatekeeper, clock: Clock) -> None:
    token, record = gate.mint_ticket(Principal("ann", EVERYTHING), "churn", 60.0)
    assert record.expires == clock() + 60.0
    holder = gate.identify_ticket(token)
    clock.wait(60.0)
    with pytest.raises(Unauthenticated):
        gate.identify_ticket(token)
    with pytest.raises(Unauthenticated):
        gate.use_up(holder)


@pytest.mark.parametrize("ending", ["revoked", "expired"])
def test_a_ticket_ends_with_the_key_that_minted_it(
    gate: Gatekeeper, keys: SqlKeyStore, clock: Clock, ending: str
) -> None:
    token, record = gate.create_key("ann", "", EVERYTHING, 30.0)
    ticket, _ = gate.mint_ticket(gate.identify(token), "churn", 60.0)
    assert gate.identify_ticket(ticket).owner == "ann"
    if ending == "revoked":
        keys.revoke_key(record.key_id, clock())
    else:
        clock.wait(30.0)
    with pytest.raises(Unauthenticated):
        gate.identify_ticket(ticket)


def test_minting_needs_both_scopes_a_good_name_and_a_short_life(gate: Gatekeeper) -> None:
    for scopes in ({Scope.TICKETS}, {Scope.PUBLISH}, set[Scope]()):
        with pytest.raises(Forbidden):
            gate.mint_ticket(Principal("ann", frozenset(scopes)), "churn", 60.0)
    for name, lifetime in (("Churn!", 60.0), ("churn", 0.0), ("churn", 3601.0), ("churn", float("nan"))):
        with pytest.raises(InvalidInput):
            gate.mint_ticket(Principal("ann", EVERYTHING), name, lifetime)
    bound = Principal("ann", EVERYTHING, model_name="churn")
    with pytest.raises(Forbidden):
        gate.mint_ticket(bound, "other", 60.0)
