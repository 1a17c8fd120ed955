"""Do aliases move at once for whoever asks, are the same bytes stored once, and is nothing freed that is needed?"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.sql.alias_store import SqlAliasStore
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.aliases import Expected
from tensortrigger_backend.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from tensortrigger_backend.domain.jobs import JobState
from tensortrigger_backend.services.aliases import Aliases
from tensortrigger_backend.services.contents import GRACE, Contents
from tensortrigger_backend.services.drafts import Draft
from tensortrigger_backend.services.model_cache import FRESH_FOR, ModelCache
from tensortrigger_backend.services.orphans import GRACE as ORPHAN_GRACE
from tensortrigger_backend.services.orphans import PURGE_EVERY, SWEEP_EVERY, Orphans

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", EVERYTHING, "0123456789ab", label="laptop")
BOB = Principal("bob", EVERYTHING)


@pytest.fixture
def aliases(line: JobLine) -> Aliases:
    return Aliases(SqlAliasStore(line.database), line.clock, line.cache.forget_name)


@pytest.fixture
def contents(line: JobLine) -> Contents:
    return Contents(SqlContentStore(line.database), line.blobs, line.clock)


def blobs(line: JobLine) -> list[str]:
    return [path.name for path in (line.root / "blobs").rglob("*") if path.is_file()]


def answer(cache: ModelCache, reference: str) -> str:
    return cache.resident("ann", None, reference).version.model_id


def test_a_moved_alias_is_seen_at_once_here_and_within_a_second_elsewhere(
    line: JobLine, aliases: Aliases
) -> None:
    one, two = line.publish(np.array([[1.0]])), line.publish(np.array([[2.0]]))
    elsewhere = ModelCache(
        line.registry,
        line.blobs,
        line.cache._engine,
        line.root / "scratch",
        line.cache._executor,
        line.clock,
        4,
    )
    aliases.move(ANN, "linear", "production", 1, None)
    for cache in (line.cache, elsewhere):
        assert answer(cache, "linear") == answer(cache, "linear@production") == one.model_id
        assert answer(cache, "linear@latest") == two.model_id
    aliases.move(ANN, "linear", "production", two.model_id, Expected(1))
    for reference in ("linear", "linear@production", "linear/2"):
        assert answer(line.cache, reference) == two.model_id
    assert answer(elsewhere, "linear") == one.model_id
    line.clock.wait(FRESH_FOR)
    assert answer(elsewhere, "linear") == two.model_id
    assert aliases.roll_back(ANN, "linear", "production", None).version == 1
    assert answer(line.cache, "linear") == one.model_id
    aliases.remove(ANN, "linear", "production", None)
    assert answer(line.cache, "linear") == two.model_id
    with pytest.raises(NotFound, match="has no alias 'production'; it has none"):
        answer(line.cache, "linear@production")
    elsewhere.close()


def test_a_name_that_was_looked_up_while_its_alias_moved_is_not_believed(
    line: JobLine, aliases: Aliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = line.publish(np.array([[1.0]])), line.publish(np.array([[2.0]]))
    aliases.move(ANN, "linear", "production", 1, None)
    resolve = line.registry.resolve

    def slow(*arguments: Any) -> Any:
        found = resolve(*arguments)
        aliases.move(ANN, "linear", "production", 2, None)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(line.registry, "resolve", slow)
        assert answer(line.cache, "linear") == one.model_id
    assert answer(line.cache, "linear") == two.model_id


def test_each_deed_on_an_alias_needs_its_scope_and_names_its_doer(line: JobLine, aliases: Aliases) -> None:
    line.publish(np.array([[1.0]]))
    reader = Principal("ann", frozenset({Scope.READ}))
    publisher = Principal("ann", frozenset({Scope.PUBLISH}))
    other_ticket = Principal("ann", frozenset({Scope.PUBLISH}), model_name="other")
    for who in (reader, other_ticket):
        for deed in (
            lambda who: aliases.move(who, "linear", "production", 1, None),
            lambda who: aliases.roll_back(who, "linear", "production", None),
            lambda who: aliases.remove(who, "linear", "production", None),
        ):
            with pytest.raises(Forbidden):
                deed(who)
    assert aliases.move(ANN, "linear", "production", 1, None).moved_by == "laptop"
    with pytest.raises(Forbidden):
        aliases.find(publisher, "linear", "production")
    assert aliases.find(reader, "linear", "production").version == 1
    assert aliases.move(replace(ANN, label=""), "linear", "a", 1, None).moved_by == "0123456789ab"
    assert aliases.move(Principal("ann", EVERYTHING), "linear", "b", 1, None).moved_by == "ann"
    assert [alias.alias for alias in aliases.all(reader, "linear")] == ["a", "b", "production"]
    with pytest.raises(InvalidInput):
        aliases.move(ANN, "linear", "latest", 1, None)
    (entry,) = aliases.history(reader, "linear", "production", 10, None).items
    assert entry.moved_by == "laptop"


def test_the_same_bytes_are_stored_once_whoever_sends_them(line: JobLine, contents: Contents) -> None:
    first, _ = line.registry.receive(ANN, Draft("One"), [b"same", b"bytes"])
    second, _ = line.registry.receive(BOB, Draft("Two"), [b"samebytes"])
    assert first.source_key == second.source_key == f"content/{first.source_sha256}"
    assert blobs(line) == [first.source_sha256]
    line.registry.forget(first.model_id)
    assert line.blobs.read(second.source_key) == b"samebytes"
    line.registry.forget(second.model_id)
    assert blobs(line) == []


def test_bytes_outlive_a_removed_version_until_nobody_needs_them(line: JobLine, contents: Contents) -> None:
    one, two = (line.registry.receive(ANN, Draft(title), [b"x"])[0] for title in ("one", "two"))
    line.registry.remove(ANN, one.model_id)
    assert line.registry.purge() == 1
    line.clock.wait(10 * GRACE)
    assert contents.purge() == 0
    line.registry.remove(ANN, two.model_id)
    assert line.registry.purge() == 1
    assert blobs(line) == []


def test_a_process_that_died_before_its_version_was_stored_leaves_bytes_for_a_while(
    line: JobLine, contents: Contents
) -> None:
    writer = contents.writer()
    writer.write(b"x")
    contents.commit(writer)
    line.clock.wait(GRACE - 1)
    assert contents.purge() == 0
    line.clock.wait(2)
    assert contents.purge() == 1
    assert blobs(line) == []


def test_blobs_of_versions_and_jobs_that_were_never_stored_are_collected(
    line: JobLine, contents: Contents
) -> None:
    version = line.publish(np.array([[1.0]]))
    job = line.upload(version, b"x0\n1\n")
    known = [version.source_key, version.servable_key or "", job.upload_key]
    lost = ["models/gone/source", "jobs/gone/upload", "content/" + "0" * 64]
    for key in lost:
        line.blobs.put(key, b"x")
    made = 1_700_000_000.0
    for path in (line.root / "blobs").rglob("*"):
        os.utime(path, (made, made))
    line.clock.now = made + 1
    line.blobs.put("models/fresh/source", b"its row is about to be written")
    store = SqlContentStore(line.database)
    orphans = Orphans(contents, store, line.blobs, line.models, line.jobs, line.clock, timer=line.clock)
    orphans.look_after()
    assert orphans.sweep() == 0
    line.clock.wait(ORPHAN_GRACE)
    # As every few seconds: this round finds both steps due.
    line.clock.wait(PURGE_EVERY)
    orphans.look_after()
    there = [key for folder in ("models", "jobs", "content") for key in line.blobs.keys(folder)]
    assert sorted(there) == sorted([*known, "models/fresh/source"])


def test_a_clock_that_is_set_back_keeps_no_orphans(line: JobLine, contents: Contents) -> None:
    passed = [0.0]
    line.blobs.put("models/gone/source", b"x")
    line.clock.now = time.time() + 2 * ORPHAN_GRACE
    store = SqlContentStore(line.database)
    orphans = Orphans(
        contents, store, line.blobs, line.models, line.jobs, line.clock, timer=lambda: passed[0]
    )
    line.clock.wait(-3600.0)
    passed[0] += SWEEP_EVERY - 1
    orphans.look_after()
    assert line.blobs.keys("models") == ["models/gone/source"]
    passed[0] += 1
    orphans.look_after()
    assert line.blobs.keys("models") == []


def test_versions_from_before_content_addressing_take_their_blobs_with_them(line: JobLine) -> None:
    version = line.publish(np.array([[1.0]]))
    assert version.source_key.startswith("models/")
    assert line.cache.load(version).version.model_id == version.model_id
    line.registry.remove(ANN, version.model_id)
    line.registry.purge()
    assert blobs(line) == []


def test_a_deleted_version_serves_the_job_that_runs_on_it_to_its_end(line: JobLine, aliases: Aliases) -> None:
    version = line.publish(np.array([[2.0]]))
    aliases.move(ANN, "linear", "production", 1, None)
    job = line.upload(version, b"x0\n1\n2\n3\n")
    with pytest.raises(Conflict, match="has the alias 'production'"):
        line.registry.remove(ANN, version.model_id)
    line.registry.remove(ANN, version.model_id, force=True)
    line.registry.purge()
    line.run()
    assert line.state(job).state is JobState.SUCCEEDED
    assert line.rows(job)[1].ravel().tolist() == [2.0, 4.0, 6.0]
    line.registry.purge()
    with pytest.raises(NotFound):
        line.models.get(version.model_id, None)
    entry = aliases.history(ANN, "linear", "production", 1, None)
    assert entry.items[0].moved_by == "laptop"


def test_bytes_that_are_not_those_announced_are_refused_and_not_stored(line: JobLine) -> None:
    with pytest.raises(InvalidInput, match="SHA-256 differs"):
        line.registry.receive(ANN, Draft("m", sha256="0" * 64), [b"x"])
    with pytest.raises(InvalidInput, match="must be the SHA-256 of the bytes"):
        line.registry.receive(ANN, Draft("m", sha256="abc"), [b"x"])
    assert blobs(line) == []
    sha256 = "2D711642B726B04401627CA9FBAC32F5C8530FB1903CC4DB02258717921A4881"
    assert line.registry.receive(ANN, Draft("m", sha256=sha256), [b"x"])[0].source_sha256 == sha256.lower()


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (Draft("ok", tags=[]), "tags"),
        (Draft("ok", metrics={"a": "b"}), "metrics"),
        (Draft("ok", author=1), "author"),
        (Draft("ok", notebook=""), "notebook"),
        (Draft("ok", git_commit="x" * 257), "git_commit"),
        (Draft("ok", alias="latest"), "alias"),
        (Draft("ok", description="a\0b"), "model_description"),
    ],
)
def test_a_draft_with_a_fault_in_what_it_tells_is_refused_by_its_field(
    line: JobLine, draft: Draft, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        line.registry.receive(ANN, draft, [b"content"])
    assert caught.value.faults[0].loc[0] == field
    assert blobs(line) == []


def test_what_a_publisher_tells_can_be_changed_later_by_those_who_may_publish(line: JobLine) -> None:
    version, _ = line.registry.receive(ANN, Draft("m", tags={"a": "1"}, author="Ann"), [b"x"])
    changed = line.registry.amend(ANN, version.model_id, "new", {"b": "2"})
    assert (changed.description, dict(changed.metadata.tags), changed.metadata.author) == (
        "new",
        {"b": "2"},
        "Ann",
    )
    with pytest.raises(NotFound):
        line.registry.amend(BOB, version.model_id, "mine", None)
    with pytest.raises(Forbidden):
        line.registry.amend(Principal("ann", frozenset({Scope.READ})), version.model_id, "mine", None)
    with pytest.raises(InvalidInput):
        line.registry.amend(ANN, version.model_id, 3, None)


def test_nothing_half_written_is_left(line: JobLine, contents: Contents, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"x" * 3_000_000)
    kept = contents.keep(made)
    assert (kept.size, contents.keep(made).key) == (3_000_000, kept.key)
    assert made.exists()
    assert list((line.root / "incoming").iterdir()) == []
