"""Servers and a deployment that tests may do anything to, and how often they do it.

``make test`` breaks things a few times; ``make chaos`` sets ``TENSORTRIGGER_CHAOS=full`` and breaks them as often as
the promise says.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from chaos.checker import Upload
from chaos.deployment import Deployment
from chaos.faulty_s3 import FaultyS3
from chaos.model import publish
from servers.postgresql import make_database
from services import PostgresNode, RabbitNode, WeedNode, had

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.bootstrap.connections import open_blobs
from tensortrigger_backend.settings import Settings

FULL = os.environ.get("TENSORTRIGGER_CHAOS") == "full"


def times(few: int, many: int) -> int:
    """How often."""
    return many if FULL else few


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say how far a long run is, whatever becomes of the test's own output."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    started = time.monotonic()

    def say(text: str) -> None:
        if FULL:
            with capture.global_and_fixture_disabled():
                print(f"\n  {time.monotonic() - started:7.1f} s  {text}", end="", flush=True)

    return say


@pytest.fixture(scope="session")
def nodes() -> Iterator[tuple[PostgresNode, RabbitNode, WeedNode]]:
    """All three, started at once: each of them is mostly waited for."""
    with contextlib.ExitStack() as running, ThreadPoolExecutor() as pool:
        postgres = pool.submit(running.enter_context, had(PostgresNode))
        rabbit = pool.submit(running.enter_context, had(RabbitNode))
        weed = pool.submit(running.enter_context, had(WeedNode))
        yield postgres.result(), rabbit.result(), weed.result()


@pytest.fixture(scope="session")
def postgres(nodes: tuple[PostgresNode, RabbitNode, WeedNode]) -> PostgresNode:
    return nodes[0]


@pytest.fixture(scope="session")
def rabbit(nodes: tuple[PostgresNode, RabbitNode, WeedNode]) -> RabbitNode:
    return nodes[1]


@pytest.fixture(scope="session")
def weed(nodes: tuple[PostgresNode, RabbitNode, WeedNode]) -> WeedNode:
    return nodes[2]


@pytest.fixture(scope="session")
def s3(weed: WeedNode) -> Iterator[FaultyS3]:
    """Before the real one; it breaks nothing until it is told to."""
    proxy = FaultyS3("127.0.0.1", weed.port)
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def standing(
    postgres: PostgresNode,
    rabbit: RabbitNode,
    weed: WeedNode,
    s3: FaultyS3,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("chaos")
    make_database(postgres.port, "chaos")
    weed.address.make_bucket("chaos")
    environ = {
        "TENSORTRIGGER_DATABASE_URL": postgres.url_of("chaos"),
        "TENSORTRIGGER_BROKER_URL": rabbit.url,
        "TENSORTRIGGER_BLOB_URL": "s3://chaos/jobs",
        "TENSORTRIGGER_S3_ENDPOINT_URL": s3.url,
        "TENSORTRIGGER_S3_REGION": weed.address.region,
        "TENSORTRIGGER_S3_ACCESS_KEY_ID": weed.address.access_key,
        "TENSORTRIGGER_S3_SECRET_ACCESS_KEY": weed.address.secret_key,
    }
    database = Database(environ["TENSORTRIGGER_DATABASE_URL"])
    database.migrate()
    settings = Settings(
        **{name.removeprefix("TENSORTRIGGER_").lower(): value for name, value in environ.items()}
    )
    model_id = publish(database, open_blobs(settings, "test"), folder)
    database.close()
    dsn = f"host=127.0.0.1 port={postgres.port} user=postgres dbname=chaos connect_timeout=5"
    with Deployment(folder, environ, dsn, model_id) as deployment:
        # They become ready while the api does.
        deployment.start_worker()
        deployment.start_worker()
        deployment.start_api()
        yield deployment


@pytest.fixture
def deployment(standing: Deployment) -> Deployment:
    """An api that answers and two workers that wait for work."""
    if standing.api is None or not standing.api.alive:
        standing.start_api()
    standing.workforce(2)
    return standing


@pytest.fixture(scope="session")
def upload(standing: Deployment) -> Upload:
    """A file of some twenty partitions, which was scored once while nothing was broken."""
    upload = Upload(rows=6_000)
    standing.workforce(2)
    standing.verify(standing.submit(upload), upload)
    return upload
