"""The promises of ``AliasStore``, whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tensortrigger_backend.adapters.sql.cursors import encode_cursor
from tensortrigger_backend.domain.aliases import AliasAction, Expected
from tensortrigger_backend.domain.errors import Conflict, InvalidInput, NotFound
from tensortrigger_backend.domain.models import ModelVersion, Reference, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.ports.versions import AliasStore, ModelStore

AtOnce = Callable[[Callable[[int], Any]], Sequence[Any]]
ACCEPTED = ForgeVerdict(True, format="keras", engine="onnxruntime")


def received(model_id: str, name: str = "churn", owner: str = "ann") -> ModelVersion:
    return ModelVersion(
        model_id=model_id,
        owner=owner,
        name=name,
        title=name,
        description="",
        state=VersionState.RECEIVED,
        source_key=f"models/{model_id}/source",
        source_sha256="0" * 64,
        size=1,
        created=1.0,
    )


def publish(models: ModelStore, model_id: str, name: str = "churn", owner: str = "ann") -> ModelVersion:
    models.add(received(model_id, name, owner))
    return models.make_ready(model_id, ACCEPTED, f"models/{model_id}/servable", "1" * 64, 2.0)


@pytest.fixture
def three(models: ModelStore) -> ModelStore:
    """Versions 1 to 3 of ``churn``, with the ids m1 to m3."""
    for number in (1, 2, 3):
        publish(models, f"m{number}")
    return models


def move(aliases: AliasStore, target: int | str, alias: str = "production", **more: Any) -> Any:
    return aliases.move("ann", "churn", alias, target, more.get("expected"), more.get("now", 5.0), "laptop")


def versions(aliases: AliasStore, alias: str = "production") -> list[tuple[str, int | None]]:
    """Its history, oldest first."""
    page = aliases.history("ann", "churn", alias, 200, None)
    return [(str(entry.action), entry.version) for entry in reversed(page.items)]


def test_an_alias_points_where_it_was_moved_and_says_when_and_by_whom(
    three: ModelStore, aliases: AliasStore
) -> None:
    moved = move(aliases, 2, now=7.5)
    assert (moved.version, moved.model_id, moved.moved, moved.moved_by) == (2, "m2", 7.5, "laptop")
    assert aliases.get("ann", "churn", "production") == moved
    assert move(aliases, "m3").version == 3
    assert aliases.all("ann", "churn") == [aliases.get("ann", "churn", "production")]
    (latest, first) = aliases.history("ann", "churn", "production", 10, None).items
    assert (first.previous_version, latest.previous_version) == (None, 2)
    assert (latest.model_id, latest.action) == ("m3", AliasAction.MOVED)


def test_a_reference_is_read_in_its_order(three: ModelStore, aliases: AliasStore) -> None:
    def means(reference: Reference) -> str:
        return three.named("ann", reference).model_id

    assert means(Reference("churn")) == "m3"
    move(aliases, 1, "candidate")
    assert means(Reference("churn")) == "m3"
    move(aliases, 2)
    assert means(Reference("churn")) == "m2"
    assert means(Reference("churn", alias="latest")) == "m3"
    assert means(Reference("churn", alias="candidate")) == "m1"
    assert means(Reference("churn", 3)) == "m3"
    aliases.remove("ann", "churn", "production", None, 6.0, "laptop")
    assert means(Reference("churn")) == "m3"


def test_an_alias_that_does_not_exist_is_told_with_those_that_do(
    three: ModelStore, aliases: AliasStore
) -> None:
    with pytest.raises(NotFound, match="Model 'churn' has no alias 'production'; it has none"):
        three.named("ann", Reference("churn", alias="production"))
    move(aliases, 1, "shadow")
    move(aliases, 1, "candidate")
    told = "Model 'churn' has no alias 'production'; it has candidate, shadow"
    for ask in (
        lambda: three.named("ann", Reference("churn", alias="production")),
        lambda: aliases.get("ann", "churn", "production"),
        lambda: aliases.history("ann", "churn", "production", 10, None),
        lambda: aliases.roll_back("ann", "churn", "production", None, 6.0, "x"),
        lambda: aliases.remove("ann", "churn", "production", None, 6.0, "x"),
    ):
        with pytest.raises(NotFound, match=told):
            ask()


def test_only_a_ready_version_of_that_name_can_be_pointed_to(three: ModelStore, aliases: AliasStore) -> None:
    publish(three, "o1", "other")
    three.add(received("unready"))
    three.remove("m2", "ann", 5.0)
    with pytest.raises(NotFound, match="no version 9; latest is 3"):
        move(aliases, 9)
    with pytest.raises(NotFound, match="no version 2; latest is 3"):
        move(aliases, 2)
    for model_id in ("o1", "unready", "nothing"):
        with pytest.raises(NotFound, match="no ready version of model 'churn'"):
            move(aliases, model_id)
    with pytest.raises(NotFound, match="no model 'none'"):
        aliases.move("ann", "none", "production", 1, None, 5.0, "x")
    assert aliases.all("ann", "churn") == []


def test_nobody_sees_or_moves_what_another_owns(three: ModelStore, aliases: AliasStore) -> None:
    move(aliases, 1)
    for act in (
        lambda: aliases.get("bob", "churn", "production"),
        lambda: aliases.all("bob", "churn"),
        lambda: aliases.move("bob", "churn", "production", 2, None, 6.0, "x"),
        lambda: aliases.roll_back("bob", "churn", "production", None, 6.0, "x"),
        lambda: aliases.remove("bob", "churn", "production", None, 6.0, "x"),
        lambda: aliases.history("bob", "churn", "production", 10, None),
    ):
        with pytest.raises(NotFound, match="no model 'churn'"):
            act()
    publish(three, "b1", owner="bob")
    aliases.move("bob", "churn", "production", 1, None, 6.0, "x")
    assert aliases.get("ann", "churn", "production").model_id == "m1"


def test_a_compare_and_set_that_finds_something_else_changes_nothing(
    three: ModelStore, aliases: AliasStore
) -> None:
    with pytest.raises(Conflict, match="does not exist, not version 1 as expected"):
        move(aliases, 2, expected=Expected(1))
    move(aliases, 1, expected=Expected(None))
    for expected in (Expected(None), Expected(2)):
        with pytest.raises(Conflict, match="points to version 1"):
            move(aliases, 3, expected=expected)
        with pytest.raises(Conflict, match="points to version 1"):
            aliases.roll_back("ann", "churn", "production", expected, 6.0, "x")
        with pytest.raises(Conflict, match="points to version 1"):
            aliases.remove("ann", "churn", "production", expected, 6.0, "x")
    assert move(aliases, 3, expected=Expected(1)).version == 3
    assert versions(aliases) == [("moved", 1), ("moved", 3)]


def test_a_move_to_where_it_points_leaves_no_entry(three: ModelStore, aliases: AliasStore) -> None:
    first = move(aliases, 2, now=5.0)
    assert move(aliases, "m2", now=9.0) == first
    assert versions(aliases) == [("moved", 2)]


def test_rolling_back_goes_back_move_by_move(three: ModelStore, aliases: AliasStore) -> None:
    def roll_back() -> int:
        return aliases.roll_back("ann", "churn", "production", None, 6.0, "operator").version

    for target in (1, 2, 3):
        move(aliases, target)
    assert [roll_back(), roll_back()] == [2, 1]
    with pytest.raises(Conflict, match="nothing to go back to"):
        roll_back()
    move(aliases, 3)
    assert roll_back() == 1
    assert versions(aliases)[3:] == [("rolled_back", 2), ("rolled_back", 1), ("moved", 3), ("rolled_back", 1)]
    assert aliases.get("ann", "churn", "production").moved_by == "operator"


def test_there_is_no_way_back_beyond_a_removal(three: ModelStore, aliases: AliasStore) -> None:
    move(aliases, 1)
    aliases.remove("ann", "churn", "production", None, 6.0, "x")
    assert versions(aliases) == [("moved", 1), ("removed", None)]
    move(aliases, 2)
    with pytest.raises(Conflict, match="nothing to go back to"):
        aliases.roll_back("ann", "churn", "production", None, 6.0, "x")


def test_rolling_back_to_a_deleted_version_is_refused_by_its_number(
    three: ModelStore, aliases: AliasStore
) -> None:
    move(aliases, 1)
    move(aliases, 2)
    three.remove("m1", "ann", 6.0)
    with pytest.raises(Conflict, match=r"Version 1 of model 'churn'.*was deleted"):
        aliases.roll_back("ann", "churn", "production", None, 7.0, "x")
    assert aliases.get("ann", "churn", "production").version == 2


def test_a_version_is_not_deleted_while_an_alias_points_to_it_unless_forced(
    three: ModelStore, aliases: AliasStore
) -> None:
    move(aliases, 2)
    move(aliases, 2, "candidate")
    with pytest.raises(Conflict, match=r"'candidate', 'production'.*force=true"):
        three.remove("m2", "ann", 6.0)
    assert three.get("m2", "ann").aliases == ("candidate", "production")
    three.remove("m2", "ann", 7.0, force=True, by="operator")
    assert aliases.all("ann", "churn") == []
    assert versions(aliases) == [("moved", 2), ("removed", None)]
    entry = aliases.history("ann", "churn", "production", 1, None).items[0]
    assert (entry.previous_version, entry.moved, entry.moved_by) == (2, 7.0, "operator")
    assert three.named("ann", Reference("churn")).model_id == "m3"


def test_the_alias_that_was_wanted_moves_with_the_version_that_becomes_ready(
    three: ModelStore, aliases: AliasStore
) -> None:
    move(aliases, 1)
    three.add(replace(received("m4"), wanted_alias="production", wanted_by="ci"))
    assert aliases.get("ann", "churn", "production").version == 1
    ready = three.make_ready("m4", ACCEPTED, "k", "1" * 64, 8.0)
    assert ready.aliases == ("production",)
    assert versions(aliases) == [("moved", 1), ("published", 4)]
    pointed = aliases.get("ann", "churn", "production")
    assert (pointed.model_id, pointed.moved, pointed.moved_by) == ("m4", 8.0, "ci")
    # Asked again it is ready already, and takes nothing back that happened since.
    move(aliases, 2)
    three.make_ready("m4", ACCEPTED, "k", "1" * 64, 9.0)
    assert aliases.get("ann", "churn", "production").version == 2


def test_a_refused_version_moves_no_alias(three: ModelStore, aliases: AliasStore) -> None:
    three.add(replace(received("m4"), wanted_alias="production"))
    three.refuse("m4", ForgeVerdict(False), "")
    assert aliases.all("ann", "churn") == []


def test_a_version_that_is_forgotten_takes_its_aliases_with_it(
    three: ModelStore, aliases: AliasStore
) -> None:
    move(aliases, 3)
    three.discard("m3", 6.0)
    assert aliases.all("ann", "churn") == []
    assert versions(aliases)[-1] == ("removed", None)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_of_a_history_neither_skip_nor_repeat(
    three: ModelStore, aliases: AliasStore, limit: int
) -> None:
    for step in range(11):
        # All at one time: their order is that of the moves.
        move(aliases, 1 + step % 3, now=5.0)
        move(aliases, 1 + step % 2, "other")
    seen: list[int | None] = []
    cursor = None
    while True:
        page = aliases.history("ann", "churn", "production", limit, cursor)
        seen += [entry.version for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [1 + step % 3 for step in reversed(range(11))]
    for bad in ("x", encode_cursor(1e300, ""), encode_cursor(-1.0, "")):
        with pytest.raises(InvalidInput, match="no cursor"):
            aliases.history("ann", "churn", "production", limit, bad)


def test_of_many_who_make_an_alias_at_once_one_succeeds(
    three: ModelStore, aliases: AliasStore, at_once: AtOnce
) -> None:
    def make(thread: int) -> bool:
        try:
            move(aliases, 1 + thread % 3, expected=Expected(None))
        except Conflict:
            return False
        return True

    assert sum(at_once(make)) == 1
    assert len(versions(aliases)) == 1


def test_a_delete_and_a_move_at_once_leave_no_alias_that_points_nowhere(
    models: ModelStore, aliases: AliasStore, at_once: AtOnce
) -> None:
    for round_ in range(6):
        publish(models, f"r{round_}")

    def act(thread: int) -> None:
        number = thread // 2
        if number < 4:
            try:
                if thread % 2:
                    models.remove(f"r{number}", "ann", 6.0)
                else:
                    move(aliases, number + 1, f"alias-{number}")
            except (Conflict, NotFound):
                pass

    at_once(act)
    for alias in aliases.all("ann", "churn"):
        assert models.get(alias.model_id, "ann").version == alias.version
