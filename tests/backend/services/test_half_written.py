"""What a process left half-written when it died goes, though nobody starts; what others write stays."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.presence import DatabasePresence
from tensortrigger_backend.bootstrap.serve import Backend
from tensortrigger_backend.services import half_written
from tensortrigger_backend.services.half_written import EVERY, HalfWritten
from tensortrigger_backend.settings import Settings

if TYPE_CHECKING:
    from tests.backend.services.conftest import Clock

GONE = 0.5


def test_what_a_process_left_that_had_just_died_is_removed_within_minutes(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    # It renews its row no more, and has not taken it away: as one that was killed.
    with (
        DatabasePresence(database, "api", every=60.0) as died,
        DatabasePresence(database, "api", every=0.1, gone=GONE) as here,
    ):
        blobs = LocalBlobs(tmp_path, here.worker)
        left, mine = LocalBlobs(tmp_path, died.worker).writer("a/left"), blobs.writer("a/mine")
        service = HalfWritten(blobs, here.dead, clock)
        service.sweep()
        assert blobs.half_written_by() == sorted([died.worker, here.worker])
        until = time.monotonic() + 20.0
        while here.dead([died.worker]) == [] and time.monotonic() < until:
            time.sleep(0.05)
        service.look_after()
        assert blobs.half_written_by() == sorted([died.worker, here.worker])
        clock.wait(EVERY)
        service.look_after()
        assert blobs.half_written_by() == [here.worker]
        left.abort()
        mine.commit()
        assert blobs.keys("a") == ["a/mine"]


def test_a_server_that_goes_on_looks_for_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend(Settings(data_dir=tmp_path))
    try:
        dead = LocalBlobs(tmp_path, "somebody-1-dead")
        left = dead.writer("a/left")
        backend._recovery.clean_up()
        assert dead.half_written_by() == ["somebody-1-dead"]
        monkeypatch.setattr(half_written, "EVERY", 0.0)
        backend._recovery.clean_up()
        assert dead.half_written_by() == []
        left.abort()
    finally:
        backend.close()
