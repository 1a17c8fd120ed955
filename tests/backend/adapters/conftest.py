"""One fixture a port: every keeper of a port goes through the same tests."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import pika
import pytest
from hypothesis import settings
from services import S3Address

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.blobs_s3 import S3Blobs
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.queue_rabbitmq import RabbitQueue
from tensortrigger_backend.adapters.sql.alias_store import SqlAliasStore
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.key_store import SqlKeyStore
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.ports.jobs import JobStore, Queue
from tensortrigger_backend.ports.storage import BlobStore, KeyStore
from tensortrigger_backend.ports.versions import AliasStore, ContentStore, ModelStore

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


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Every kind of database; each test finds it empty."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def sqlite(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(migrated, tmp_path / "tt.db")
    database = Database(f"sqlite:///{tmp_path / 'tt.db'}")
    yield database
    database.close()


@pytest.fixture
def models(database: Database) -> ModelStore:
    return SqlModelStore(database)


@pytest.fixture
def aliases(database: Database) -> AliasStore:
    return SqlAliasStore(database)


@pytest.fixture
def contents(database: Database) -> ContentStore:
    return SqlContentStore(database)


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return SqlJobStore(database)


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return SqlKeyStore(database)


@pytest.fixture(params=["local", "s3"])
def new_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], BlobStore]]:
    """Open one and the same store, each time under the name of another process; each test finds it empty."""
    with contextlib.ExitStack() as opened:

        def open_one(writer: str) -> BlobStore:
            blobs: BlobStore = LocalBlobs(tmp_path / "store", writer)
            if request.param == "s3":
                server: S3Address = request.getfixturevalue("s3_server")
                blobs = S3Blobs(request.getfixturevalue("s3_url"), writer, **server.settings())
            opened.callback(blobs.close)
            return blobs

        yield open_one


@pytest.fixture
def blobs(new_blobs: Callable[[str], BlobStore]) -> BlobStore:
    return new_blobs("here")


@pytest.fixture(params=["memory", "rabbitmq"])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    if request.param == "memory":
        queue: Queue = MemoryQueue()
    else:
        queue = request.getfixturevalue("broker").queue()
    yield queue
    queue.close()


class Broker:
    """A corner of a RabbitMQ server that is this test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"tt-test-{secrets.token_hex(6)}"
        self.name = f"{self.prefix}.score"
        self._queues: list[RabbitQueue] = []

    def queue(self, url: str = "", prefetch: int = 16, **options: Any) -> RabbitQueue:
        """One more process's view of the queue; closed after the test."""
        queue = RabbitQueue(url or self.url, "score", self.prefix, prefetch, **options)
        self._queues.append(queue)
        return queue

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """What an operator could do to the queue."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def dead_letters(self, count: int) -> list[bytes]:
        """The dead letters, as soon as there are so many; they are taken out."""
        found: list[bytes] = []
        until = time.monotonic() + 10.0
        with self.channel() as channel:
            while len(found) < count and time.monotonic() < until:
                method, _properties, body = channel.basic_get(f"{self.prefix}.dead", auto_ack=True)
                if method is None:
                    time.sleep(0.02)
                else:
                    found.append(body)
        return found

    def close(self) -> None:
        """Leave nothing behind."""
        for queue in self._queues:
            queue.close()
        with self.channel() as channel:
            channel.queue_delete(self.name)
            channel.queue_delete(f"{self.prefix}.dead")
            channel.exchange_delete(f"{self.prefix}.dead")


@pytest.fixture
def broker(rabbitmq_server: str) -> Iterator[Broker]:
    with contextlib.closing(Broker(rabbitmq_server)) as broker:
        yield broker


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
