"""One fixture a port: every keeper of a port goes through the same tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from hypothesis import settings

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.key_store import SqlKeyStore
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.ports.jobs import JobStore, Queue
from tensortrigger_backend.ports.storage import BlobStore, KeyStore, ModelStore

# A machine that is busy with other things fails no property.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

Result = TypeVar("Result")

THREADS = 8


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("migrated") / "empty.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(migrated, tmp_path / "tt.db")
    database = Database(f"sqlite:///{tmp_path / 'tt.db'}")
    yield database
    database.close()


@pytest.fixture
def models(database: Database) -> ModelStore:
    return SqlModelStore(database)


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return SqlJobStore(database)


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return SqlKeyStore(database)


@pytest.fixture(params=["local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return LocalBlobs(tmp_path / "store", "here")


@pytest.fixture(params=["memory"])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    queue = MemoryQueue()
    yield queue
    queue.close()


@pytest.fixture
def at_once() -> Callable[[Callable[[int], Result]], Sequence[Result]]:
    """Call a function from eight threads that all start together; their results in order of thread."""

    def run(act: Callable[[int], Result]) -> Sequence[Result]:
        start = Barrier(THREADS)

        def one(number: int) -> Result:
            start.wait()
            return act(number)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(one, range(THREADS)))

    return run
