"""Are model names, references, owners, keys and scopes read by their rules?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_backend.domain.access import (
    EVERYTHING,
    Principal,
    Scope,
    checked_owner,
    parse_scopes,
    split_key,
    split_ticket,
)
from tensortrigger_backend.domain.errors import Fault, Forbidden, InvalidInput
from tensortrigger_backend.domain.models import (
    NAME_PATTERN,
    Reference,
    checked_name,
    name_from_title,
    parse_reference,
)

SECRET = "A" * 20 + "-_" + "9" * 21


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("churn", "churn"),
        ("Churn, v2 (Keras)", "churn-v2-keras"),
        ("  Breast Cancer  ", "breast-cancer"),
        ("a" * 100, "a" * 63),
        ("__x__", "x"),
        ("a" * 62 + "-b", "a" * 62),
        ("Größe 3", "grosse-3"),
    ],
)
def test_a_name_is_made_of_a_title(title: str, name: str) -> None:
    assert name_from_title(title) == name


@given(st.text(max_size=100))
def test_every_title_gives_a_valid_name_or_an_error(title: str) -> None:
    try:
        name = name_from_title(title)
    except InvalidInput:
        # No character of it can stand in a name, but perhaps its lower-case form could.
        assert not any(mark.isascii() and mark.isalnum() for mark in title)
    else:
        assert NAME_PATTERN.match(name)


@pytest.mark.parametrize("title", ["", "   ", "日本語", "--.--"])
def test_a_title_without_letters_or_digits_is_refused(title: str) -> None:
    with pytest.raises(InvalidInput, match="No name can be made"):
        name_from_title(title)


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "a" * 63])
def test_good_names_pass(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "a b", "a/b", "a\n", "a" * 64, "ü", "a%2f", "a\\b"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a model name"):
        checked_name(name)


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("churn", Reference("churn")),
        ("churn/3", Reference("churn", version=3)),
        ("churn/120", Reference("churn", version=120)),
        ("churn@production", Reference("churn", alias="production")),
        ("churn@latest", Reference("churn", alias="latest")),
        ("a.b-c_d@x.y", Reference("a.b-c_d", alias="x.y")),
    ],
)
def test_a_reference_is_a_name_alone_or_with_an_alias_or_a_version(reference: str, meant: Reference) -> None:
    assert parse_reference(reference) == meant


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "/3",
        "a/",
        "a/0",
        "a/03",
        "a/-1",
        "a/x",
        "a/1.0",
        "a/²",
        "a/٣",
        "a/1/2",
        "A/1",
        "a/99999999999",
        "a/ 1",
        "@production",
        "a@",
        "a@B",
        "a@b@c",
        "a@b/1",
        "a/1@b",
        "a@b\n",
    ],
)
def test_other_references_are_refused(reference: str) -> None:
    with pytest.raises(InvalidInput):
        parse_reference(reference)


def test_a_key_is_split_into_id_and_secret() -> None:
    assert split_key(f"tt_0123456789ab_{SECRET}") == ("0123456789ab", SECRET)
    assert split_ticket(f"tk_0123456789ab_{SECRET}") == ("0123456789ab", SECRET)


@pytest.mark.parametrize(
    "token",
    [
        "",
        f"tk_0123456789ab_{SECRET}",
        f"tt_0123456789AB_{SECRET}",
        f"tt_0123456789ab_{SECRET[:-1]}",
        f"tt_0123456789ab_{SECRET}\n",
        f" tt_0123456789ab_{SECRET}",
        f"tt_0123456789ab_{SECRET[:-1]}+",
        f"tt_0123456789ab{SECRET}",
    ],
)
def test_what_only_looks_like_a_key_is_none(token: str) -> None:
    assert split_key(token) is None


def test_a_scope_that_is_not_held_is_named_with_those_that_are() -> None:
    reader = Principal("ann", frozenset({Scope.READ, Scope.JOBS}))
    reader.must(Scope.READ)
    with pytest.raises(Forbidden, match=r"'run'.*jobs, read"):
        reader.must(Scope.RUN)


def test_a_ticket_publishes_to_its_own_name_only() -> None:
    ticket = Principal("ann", frozenset({Scope.PUBLISH}), model_name="churn")
    ticket.must_publish_to("churn")
    with pytest.raises(Forbidden, match="'churn' only"):
        ticket.must_publish_to("other")
    Principal("ann", EVERYTHING).must_publish_to("other")
    with pytest.raises(Forbidden, match="'publish'"):
        Principal("ann", frozenset({Scope.READ})).must_publish_to("churn")


def test_scopes_are_parsed_by_name() -> None:
    assert parse_scopes(["read", "run", "read"]) == {Scope.READ, Scope.RUN}
    assert parse_scopes(tuple(Scope)) == EVERYTHING


@pytest.mark.parametrize("names", [[], None, "read", {"read": 1}, ["write"], [None], [["read"]], ["READ"]])
def test_unknown_scopes_are_refused_with_those_that_exist(names: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_scopes(names)
    assert caught.value.faults[0].expected == "read, publish, run, jobs, tickets"


@pytest.mark.parametrize("owner", ["", "a b", "-a", "a/b", "x" * 65, "ann\n"])
def test_bad_owner_names_are_refused(owner: str) -> None:
    with pytest.raises(InvalidInput, match="is not an owner name"):
        checked_owner(owner)


def test_a_mail_address_may_own() -> None:
    assert checked_owner("ann@example.org") == "ann@example.org"


def test_an_error_counts_the_faults_that_it_does_not_tell_first() -> None:
    faults = [Fault(("a",), "x", "A is wrong."), Fault(("b",), "y", "B is wrong.", got="3", row=0)]
    assert InvalidInput.of(*faults).detail == "A is wrong (and 1 more)."
    assert InvalidInput.of(faults[0]).detail == "A is wrong."
    assert faults[1].to_dict() == {"loc": ["b"], "code": "y", "message": "B is wrong.", "got": "3", "row": 0}
