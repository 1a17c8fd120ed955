"""Uploads keep what has arrived, whoever breaks off or comes at once, and leave nothing behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.adapters.sql.upload_store import SqlUploadStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    TensorTriggerError,
    WrongOffset,
)
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.uploads import LIVES_FOR, OPEN_UPLOADS
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.services.uploads import Uploads

ANN, BOB = Principal("ann", EVERYTHING), Principal("bob", EVERYTHING)
TICKET = Principal("ann", EVERYTHING, model_name="churn", ticket_id="0123456789ab")


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path, "here")


@pytest.fixture
def models(database: Database) -> SqlModelStore:
    return SqlModelStore(database)


@pytest.fixture
def make_uploads(
    database: Database, models: SqlModelStore, blobs: LocalBlobs, clock: Callable[[], float]
) -> Callable[..., Uploads]:
    """The service as one process has it; called again, as the next process has it."""
    return lambda: Uploads(SqlUploadStore(database), models, blobs, clock, limit=100, part_bytes=10)


@pytest.fixture
def uploads(make_uploads: Callable[[], Uploads]) -> Uploads:
    return make_uploads()


def send(uploads: Uploads, upload_id: str, offset: int, data: bytes, who: Principal = ANN) -> int:
    with uploads.intake(who, upload_id, offset) as intake:
        intake.feed(data)
        return intake.keep().offset


def whole(uploads: Uploads, upload_id: str, who: Principal = ANN, **told: Any) -> bytes:
    return b"".join(uploads.content(who, upload_id, **told))


def test_pieces_make_the_whole(uploads: Uploads) -> None:
    data = bytes(range(64))
    upload = uploads.begin(ANN, 64, hashlib.sha256(data).hexdigest().upper())
    assert send(uploads, upload.upload_id, 0, data[:25]) == 25
    assert send(uploads, upload.upload_id, 25, data[25:]) == 64
    assert whole(uploads, upload.upload_id) == data


def test_what_arrived_before_a_crash_is_there_after_it(
    uploads: Uploads, make_uploads: Callable[[], Uploads], blobs: LocalBlobs
) -> None:
    upload_id = uploads.begin(ANN, None, None).upload_id
    intake = uploads.intake(ANN, upload_id, 0)
    intake.feed(b"x" * 35)
    # As after kill -9: nothing is kept of it any more.
    later = make_uploads()
    assert later.find(ANN, upload_id).offset == 30
    assert send(later, upload_id, 30, b"y" * 5) == 35
    assert whole(later, upload_id) == b"x" * 30 + b"y" * 5
    intake.abort()


def test_a_piece_that_begins_elsewhere_is_told_where_to_go_on(uploads: Uploads) -> None:
    upload_id = uploads.begin(ANN, None, None).upload_id
    send(uploads, upload_id, 0, b"12345")
    for offset in (0, 4, 6):
        with pytest.raises(WrongOffset) as told:
            send(uploads, upload_id, offset, b"more")
        assert told.value.offset == 5
    assert whole(uploads, upload_id) == b"12345"


def test_of_several_that_send_at_once_one_wins_and_nothing_is_mixed(
    uploads: Uploads, blobs: LocalBlobs
) -> None:
    upload_id = uploads.begin(ANN, None, None).upload_id
    start = Barrier(6)

    def one(number: int) -> int | WrongOffset:
        with uploads.intake(ANN, upload_id, 0) as intake:
            start.wait()
            try:
                intake.feed(bytes([number]) * 9)
                intake.keep()
            except WrongOffset as error:
                return error
            return number

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(one, range(6)))
    (winner,) = [end for end in ends if isinstance(end, int)]
    assert [end.offset for end in ends if isinstance(end, WrongOffset)] == [9] * 5
    assert whole(uploads, upload_id) == bytes([winner]) * 9
    assert len(blobs.keys("uploads")) == 1


def test_more_than_was_announced_or_than_is_taken_is_refused_and_the_rest_kept(uploads: Uploads) -> None:
    upload_id = uploads.begin(ANN, 12, None).upload_id
    with uploads.intake(ANN, upload_id, 0) as intake:
        with pytest.raises(PayloadTooLarge, match="announced with 12"):
            intake.feed(b"x" * 13)
        assert intake.keep().offset == 12
    assert whole(uploads, upload_id) == b"x" * 12
    with pytest.raises(PayloadTooLarge, match="up to 100 bytes, not 101"):
        uploads.begin(ANN, 101, None)
    with (
        uploads.intake(ANN, uploads.begin(ANN, None, None).upload_id, 0) as intake,
        pytest.raises(PayloadTooLarge, match="up to 100 bytes"),
    ):
        intake.feed(b"x" * 101)


def test_bytes_that_are_missing_or_others_are_told_at_the_publish(uploads: Uploads) -> None:
    upload_id = uploads.begin(ANN, 4, hashlib.sha256(b"good").hexdigest()).upload_id
    with pytest.raises(InvalidInput, match="0 of its 4 bytes"):
        whole(uploads, upload_id)
    send(uploads, upload_id, 0, b"evil")
    with pytest.raises(InvalidInput, match="not those that were announced") as told:
        whole(uploads, upload_id)
    assert told.value.faults[0].got == hashlib.sha256(b"evil").hexdigest()
    other = uploads.begin(ANN, None, None).upload_id
    with pytest.raises(InvalidInput, match="Nothing was uploaded"):
        whole(uploads, other)
    send(uploads, other, 0, b"good")
    assert whole(uploads, other, sha256=hashlib.sha256(b"good").hexdigest()) == b"good"
    with pytest.raises(InvalidInput, match="not those"):
        whole(uploads, other, sha256="0" * 64)


@pytest.mark.parametrize(
    ("size", "sha256"), [(0, None), (-1, None), (True, None), ("4", None), (None, "xyz"), (None, 5)]
)
def test_a_wrong_announcement_is_told(uploads: Uploads, size: object, sha256: object) -> None:
    with pytest.raises(InvalidInput) as told:
        uploads.begin(ANN, size, sha256)
    assert told.value.faults[0].loc in (("size",), ("sha256",))


def test_nobody_sees_what_another_uploads(uploads: Uploads) -> None:
    upload_id = uploads.begin(ANN, None, None).upload_id
    acts: list[Callable[[], object]] = [
        lambda: uploads.find(BOB, upload_id),
        lambda: uploads.find(TICKET, upload_id),
        lambda: uploads.intake(BOB, upload_id, 0),
        lambda: uploads.content(BOB, upload_id),
        lambda: uploads.remove(BOB, upload_id),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()
    with_ticket = uploads.begin(TICKET, None, None).upload_id
    assert uploads.find(TICKET, with_ticket).offset == 0
    with pytest.raises(NotFound):
        uploads.find(replace(TICKET, ticket_id="other"), with_ticket)


def test_the_same_key_begins_one_upload(uploads: Uploads) -> None:
    key = Idempotency("k", "0" * 64)
    first, again = (uploads.begin(ANN, None, None, key) for _ in range(2))
    assert first.upload_id == again.upload_id
    with pytest.raises(Conflict):
        uploads.begin(ANN, 5, None, Idempotency("k", "1" * 64))


def test_only_so_many_are_open_at_once(uploads: Uploads) -> None:
    begun = [uploads.begin(ANN, None, None) for _ in range(OPEN_UPLOADS)]
    with pytest.raises(Conflict, match=str(OPEN_UPLOADS)):
        uploads.begin(ANN, None, None)
    uploads.begin(BOB, None, None)
    uploads.remove(ANN, begun[0].upload_id)
    uploads.begin(ANN, None, None)


def test_what_nobody_comes_back_for_is_removed(
    uploads: Uploads, blobs: LocalBlobs, clock: Any, make_uploads: Callable[[], Uploads]
) -> None:
    upload_id = uploads.begin(ANN, None, None).upload_id
    send(uploads, upload_id, 0, b"x" * 25)
    clock.wait(LIVES_FOR - 1)
    uploads.sweep()
    assert len(blobs.keys("uploads")) == 3
    clock.wait(2)
    assert uploads.sweep() == 1
    assert blobs.keys("uploads") == []
    with pytest.raises(NotFound):
        uploads.find(ANN, upload_id)
    blobs.put("uploads/gone/0-left-by-a-crash", b"x")
    make_uploads().sweep()
    assert blobs.keys("uploads") == []


def test_parts_go_when_the_version_is_ready_and_its_bytes_can_still_be_published(
    uploads: Uploads, models: SqlModelStore, blobs: LocalBlobs, database: Database
) -> None:
    upload_id = uploads.begin(ANN, None, None).upload_id
    send(uploads, upload_id, 0, b"a model")
    blobs.put("content/abc", whole(uploads, upload_id))
    version = ModelVersion(
        "m1", "ann", "churn", "Churn", "", VersionState.RECEIVED, "content/abc", "0" * 64, 7, 1000.0
    )
    with database.write() as connection:
        from sqlalchemy import insert

        from tensortrigger_backend.adapters.sql.tables import contents

        connection.execute(insert(contents).values(key="content/abc", touched=1000.0))
    models.add(version)
    uploads.made(upload_id, "m1")
    uploads.sweep()
    assert len(blobs.keys("uploads")) == 1, "a refusal must not cost a second upload"
    with pytest.raises(TensorTriggerError):
        uploads.intake(ANN, upload_id, 7)
    with database.write() as connection:
        from sqlalchemy import update

        from tensortrigger_backend.adapters.sql.tables import model_versions

        connection.execute(update(model_versions).values(state="ready", version=1))
    assert uploads.sweep() == 1
    assert blobs.keys("uploads") == []
    assert whole(uploads, upload_id) == b"a model"
