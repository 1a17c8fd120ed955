"""Are aliases, their ways back and what publishers tell of versions read by their rules?"""

from __future__ import annotations

from typing import Any

import pytest

from tensortrigger_backend.domain.aliases import (
    AliasAction,
    AliasMove,
    Expected,
    before,
    checked_alias,
    expected_of,
)
from tensortrigger_backend.domain.errors import Conflict, InvalidInput
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.metadata import checked_metrics, checked_note, checked_tags
from tensortrigger_backend.domain.models import VersionState


def history(*entries: tuple[str, int | None]) -> list[AliasMove]:
    return [
        AliasMove(AliasAction(action), version, f"m{version}", None, float(place), "x")
        for place, (action, version) in enumerate(entries)
    ]


@pytest.mark.parametrize("alias", ["production", "candidate", "a", "v1", "2026-11", "1.0"])
def test_good_aliases_pass(alias: str) -> None:
    assert checked_alias(alias) == alias


@pytest.mark.parametrize(
    "alias", ["", "3", "007", "latest", "Production", "a b", "a@b", "a/b", "x" * 64, None, 3]
)
def test_bad_aliases_are_refused_with_the_rule(alias: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_alias(alias)
    assert "not only digits, and not 'latest'" in (caught.value.faults[0].expected or "")


@pytest.mark.parametrize(
    ("entries", "target"),
    [
        ([], None),
        ([("moved", 1)], None),
        ([("moved", 1), ("published", 2)], 1),
        ([("moved", 1), ("moved", 2), ("moved", 1)], 2),
        ([("moved", 1), ("moved", 2), ("rolled_back", 1)], None),
        ([("moved", 1), ("moved", 2), ("moved", 3), ("rolled_back", 2)], 1),
        ([("moved", 1), ("moved", 2), ("rolled_back", 1), ("moved", 3)], 1),
        ([("moved", 1), ("removed", None), ("moved", 2)], None),
    ],
)
def test_a_rollback_goes_to_what_was_before(
    entries: list[tuple[str, int | None]], target: int | None
) -> None:
    found = before(history(*entries))
    assert (found.version if found else None) == target


def test_what_was_expected_is_held_against_what_is() -> None:
    Expected(2).must_be("churn", "production", 2)
    Expected(None).must_be("churn", "production", None)
    with pytest.raises(Conflict, match="'production' of model 'churn' points to version 3, not version 2"):
        Expected(2).must_be("churn", "production", 3)
    with pytest.raises(Conflict, match="points to version 3, though no such alias was expected"):
        Expected(None).must_be("churn", "production", 3)
    assert expected_of({}) is None
    assert expected_of({"expected_version": None}) == Expected(None)
    assert expected_of({"expected_version": 4}) == Expected(4)


@pytest.mark.parametrize("value", [0, -1, "1", 1.5, True, [1]])
def test_an_expected_version_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="expected_version"):
        expected_of({"expected_version": value})


def test_tags_metrics_and_notes_come_through() -> None:
    assert checked_tags({"team": "risk", "Größe": ""}) == {"team": "risk", "Größe": ""}
    assert checked_metrics({"auc": 0.91, "rows": 1000, "val loss": -1e-300}) == {
        "auc": 0.91,
        "rows": 1000.0,
        "val loss": -1e-300,
    }
    assert checked_tags(None) == checked_metrics(None) == {}
    assert checked_note(None, "author") is None
    assert checked_note("Ann", "author") == "Ann"


@pytest.mark.parametrize(
    ("tags", "loc"),
    [
        ([], ("tags",)),
        ("team", ("tags",)),
        ({str(number): "x" for number in range(51)}, ("tags",)),
        ({"": "x"}, ("tags", "")),
        ({"a:b": "x"}, ("tags", "a:b")),
        ({'a"b': "x"}, ("tags", 'a"b')),
        ({"k" * 65: "x"}, ("tags", "k" * 65)),
        ({"a": 1}, ("tags", "a")),
        ({"a": None}, ("tags", "a")),
        ({"a": "x" * 257}, ("tags", "a")),
        ({"a": "\0"}, ("tags", "a")),
    ],
)
def test_tags_with_a_fault_are_refused_by_their_key(tags: object, loc: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_tags(tags)
    assert caught.value.faults[0].loc == loc


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "0.5", None, True, 10**400])
def test_metrics_that_are_no_finite_number_are_refused(number: object) -> None:
    with pytest.raises(InvalidInput, match="'auc' must be a finite number"):
        checked_metrics({"auc": number})


@pytest.mark.parametrize("note", ["", " ", "x" * 257, 3, "a\0b"])
def test_a_note_is_a_short_text(note: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_note(note, "git_commit")
    assert caught.value.faults[0].loc == ("git_commit",)


def test_a_filter_is_read_from_its_members() -> None:
    wanted = VersionFilter.of("churn", "ready", "production", ["team:risk", "url:a:b"], "Ann", text="50%")
    assert wanted.tags == (("team", "risk"), ("url", "a:b"))
    assert (wanted.state, wanted.text) == (VersionState.READY, "50%")
    bad: list[dict[str, Any]] = [
        {"state": "lost"},
        {"tags": ["team"]},
        {"tags": [":x"]},
        {"tags": ["a:b"] * 21},
        {"text": "x" * 257},
        {"author": "a\0"},
    ]
    for members in bad:
        with pytest.raises(InvalidInput):
            VersionFilter.of(**members)


@pytest.mark.parametrize(("member", "value"), [("state", "done"), ("format", "h5"), ("engine", "torch")])
def test_a_list_is_not_empty_because_of_a_word_that_nothing_is_called(member: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"There is no {member} '{value}'"):
        VersionFilter.of(**{member: value})
