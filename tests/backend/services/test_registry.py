"""Is an upload kept whole or not at all, and seen by its owner only?"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensortrigger_backend.bootstrap.pepper import make_data_dir, pepper_of
from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    ModelRefused,
    NotFound,
    Unavailable,
)
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import VersionState
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.services.drafts import Draft

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", EVERYTHING)


def files(line: JobLine) -> list[Path]:
    return [
        path for folder in ("blobs", "incoming") for path in (line.root / folder).rglob("*") if path.is_file()
    ]


def test_an_upload_is_stored_as_it_came_and_waits_for_the_forge(line: JobLine) -> None:
    schema = {"a": {"var_type": "float", "index": 0}}
    version, new = line.registry.receive(ANN, Draft("My Model", schema=schema), [b"one", b"two"])
    assert new
    assert (version.name, version.title, version.state, version.version) == (
        "my-model",
        "My Model",
        VersionState.RECEIVED,
        None,
    )
    assert (version.size, version.source_sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())
    assert line.blobs.read(version.source_key) == b"onetwo"
    assert [waiting.holder for waiting in line.models.unsettled()] == ["here"]
    assert line.registry.find(ANN, version.model_id) == version
    with pytest.raises(Unavailable, match="it is received"):
        line.registry.resolve("ann", version.model_id, None)


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (Draft(None), "model_name"),
        (Draft(""), "model_name"),
        (Draft("x" * 257), "model_name"),
        (Draft("***"), "model_name"),
        (Draft("ok", name=3), "name"),
        (Draft("ok", name="Not A Name"), "name"),
        (Draft("ok", description=None), "model_description"),
        (Draft("ok", description="x" * 10_001), "model_description"),
        (Draft("ok", schema=[]), "model_schema"),
        (Draft("ok", schema={"a": {"var_type": "TEXT", "index": 0}}), "model_schema"),
    ],
)
def test_a_draft_with_a_fault_is_refused_by_its_field_and_not_stored(
    line: JobLine, draft: Draft, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        line.registry.receive(ANN, draft, [b"content"])
    assert caught.value.faults[0].loc[0] == field
    assert files(line) == []
    assert line.models.unsettled() == []


def test_an_upload_that_is_empty_or_breaks_off_leaves_nothing(line: JobLine) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise ConnectionError

    with pytest.raises(InvalidInput, match="is empty"):
        line.registry.receive(ANN, Draft("m"), [])
    with pytest.raises(ConnectionError):
        line.registry.receive(ANN, Draft("m"), broken())
    assert files(line) == []
    assert line.models.unsettled() == []


def test_the_same_upload_under_one_idempotency_key_is_stored_once(line: JobLine) -> None:
    key = Idempotency("key", "print")
    version, _ = line.registry.receive(ANN, Draft("m"), [b"content"], key)
    again, new = line.registry.receive(ANN, Draft("m"), [b"content"], key)
    assert (again, new) == (version, False)
    for content, other in ((b"content", Idempotency("key", "other")), (b"other content", key)):
        with pytest.raises(Conflict):
            line.registry.receive(ANN, Draft("m"), [content], other)
    assert len(files(line)) == 1
    line.registry.forget(version.model_id)
    line.registry.forget(version.model_id)
    assert files(line) == []


def test_only_what_a_dead_process_received_is_left_behind(line: JobLine) -> None:
    mine, _ = line.registry.receive(ANN, Draft("m"), [b"x"])
    line.models.add(replace(mine, model_id="theirs", holder="dead"))
    assert line.registry.left_behind() == ["theirs"]


def test_an_upload_that_is_not_admitted_leaves_nothing(line: JobLine) -> None:
    def full() -> None:
        raise Unavailable("Too many wait already.")

    with pytest.raises(Unavailable):
        line.registry.receive(ANN, Draft("m"), [b"x"], admit=full)
    assert files(line) == []
    assert line.models.unsettled() == []


def test_publishing_needs_the_scope_and_for_a_ticket_the_name(line: JobLine) -> None:
    ticket = Principal("ann", frozenset({Scope.PUBLISH}), model_name="churn")
    with pytest.raises(Forbidden):
        line.registry.receive(Principal("ann", frozenset({Scope.READ})), Draft("m"), [b"x"])
    with pytest.raises(Forbidden):
        line.registry.receive(ticket, Draft("Other"), [b"x"])
    assert files(line) == []
    assert line.registry.receive(ticket, Draft("Some title", name="churn"), [b"x"])[1]


def test_an_upload_that_was_not_judged_is_refused_with_the_reason(line: JobLine) -> None:
    version, _ = line.registry.receive(ANN, Draft("m"), [b"x"])
    line.registry.refuse_unjudged(version.model_id, "The forge was too slow.")
    assert line.registry.judge(version.model_id).state is VersionState.REFUSED
    with pytest.raises(ModelRefused, match="was refused"):
        line.registry.resolve("ann", version.model_id, None)
    assert line.models.unsettled() == []
    assert line.registry.page(ANN, VersionFilter(), 10, None).items == ()
    (refused,) = line.registry.page(ANN, VersionFilter.of(state="refused"), 10, None).items
    assert refused.report["faults"][0]["message"] == "The forge was too slow."
    with pytest.raises(InvalidInput, match="no state"):
        VersionFilter.of(state="lost")


def test_a_settled_version_is_not_judged_again(line: JobLine) -> None:
    version = line.publish(np.array([[1.0]]))
    assert line.registry.judge(version.model_id) == version


def test_each_deed_needs_its_scope_and_its_owner(line: JobLine) -> None:
    version = line.publish(np.array([[1.0]]))
    registry = line.registry
    deeds: list[Any] = [
        lambda who: registry.find(who, version.model_id),
        lambda who: registry.find_by_name(who, "linear"),
        lambda who: registry.remove(who, version.model_id),
    ]
    for deed in deeds:
        with pytest.raises(NotFound):
            deed(Principal("bob", EVERYTHING))
        with pytest.raises(Forbidden):
            deed(Principal("ann", frozenset({Scope.RUN})))
    assert registry.find_by_name(ANN, "linear", 1) == version


def test_the_pepper_is_made_once_for_its_owners_eyes_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_data_dir(folder)
    make_data_dir(folder)
    with ThreadPoolExecutor(8) as pool:
        peppers = set(pool.map(lambda _: pepper_of(folder), range(16)))
    (pepper,) = peppers
    assert len(pepper) == 32
    assert [path.name for path in folder.iterdir()] == ["pepper"]
    if os.name != "nt":
        assert stat.S_IMODE((folder / "pepper").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
