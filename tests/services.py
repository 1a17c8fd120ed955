"""The real servers that tests use: PostgreSQL, RabbitMQ and S3, found running or started for this run.

A server is looked for in this order:

1. where ``TENSORTRIGGER_TEST_POSTGRESQL``, ``_RABBITMQ`` or ``_S3`` points (``http://ACCESS:SECRET@HOST:PORT``),
2. what ``scripts/services up`` has started,
3. what answers on the usual port of loopback (PostgreSQL without a password, RabbitMQ for ``guest``),
4. else a private one is started, shared by the processes of this run, and ended with the last of them.

Where none can be had its tests are skipped with one closing line; with ``CI=true`` they fail.

Fixtures, from any test: ``postgresql_server``, ``rabbitmq_server`` (URLs) and ``s3_server`` (``S3Address``) are shared,
so never stop them: make a database (``new_postgresql``) or a queue name of your own; ``s3_url`` is ``s3://bucket/prefix``,
a fresh prefix for each test.

A test that stops, restarts, kills or pauses a server starts a node of its own::

    from services import PostgresNode, RabbitNode, WeedNode, had

    @pytest.fixture(scope="module")
    def postgres() -> Iterator[PostgresNode]:
        with had(PostgresNode) as node:  # skips where it is not installed, fails in CI
            yield node

    def test_...(postgres: PostgresNode) -> None:
        postgres.url, postgres.url_of("jobs"), postgres.port  # the same after a restart
        postgres.restart()            # in order (SIGTERM, for PostgreSQL its fast stop), data kept
        postgres.restart(kill=True)   # SIGKILL to the server and its children
        postgres.stop(); postgres.start()
        postgres.pause(); postgres.resume()  # connections hang
        postgres.running(), postgres.last_words()

``RabbitNode`` has ``url``, ``add_vhost(name)`` and ``ctl("delete_queue", name)`` (``rabbitmqctl``, 2 s a call);
``WeedNode`` has ``address`` (an ``S3Address``: ``endpoint_url``, ``access_key``, ``secret_key``, ``region``,
``client()``, ``make_bucket(name)``). First start: 1 s, 7 s, 8 s; restart: 0.3 s (2 s after a kill), 7 s, 3 s.
A node ends with the process that started it, however that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from servers.node import Node, NotStarted, NotToBeHad, shared_lock
from servers.postgresql import PostgresNode, make_database, postgresql_answers, postgresql_url
from servers.rabbitmq import RabbitNode, amqp_answers, amqp_url
from servers.seaweedfs import S3Address, WeedNode, s3_answers
from servers.state import State

__all__ = [
    "NotStarted",
    "NotToBeHad",
    "PostgresNode",
    "RabbitNode",
    "S3Address",
    "WeedNode",
    "had",
    "make_database",
]

Kind = TypeVar("Kind", bound=Node)

RUNS = Path(tempfile.gettempdir()) / f"tensortrigger-tests-{os.getuid()}"


@contextlib.contextmanager
def had(kind: type[Kind]) -> Iterator[Kind]:
    """A started node of one's own; the test is skipped where there can be none, and fails in CI."""
    try:
        node = kind()
    except NotToBeHad as error:
        absent(str(error))
    with node:
        yield node


def absent(reason: str) -> None:
    """Skip, or fail in CI: there the servers are part of what is promised."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A server whose user may make databases: the URL of one of them."""
    told = os.environ.get("TENSORTRIGGER_TEST_POSTGRESQL")
    port = _started("postgresql", postgresql_answers, 5432)
    if told or port:
        yield told or postgresql_url(port, "postgres")
    else:
        with _shared(PostgresNode) as facts:
            yield postgresql_url(facts["port"], "postgres")


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[str]:
    """An AMQP URL. Others use it too: take queue names of your own, and delete them."""
    told = os.environ.get("TENSORTRIGGER_TEST_RABBITMQ")
    port = _started("rabbitmq", amqp_answers, 5672)
    if told or port:
        yield told or amqp_url(port)
    else:
        with _shared(RabbitNode) as facts:
            yield amqp_url(facts["port"])


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Address]:
    """Where S3 is, and who may use it."""
    if told := os.environ.get("TENSORTRIGGER_TEST_S3"):
        url = urlsplit(told)
        endpoint = f"{url.scheme}://{url.hostname}:{url.port or 80}"
        yield S3Address(endpoint, url.username or "", url.password or "")
        return
    known = State.read().services.get("s3")
    if known:
        address = S3Address(f"http://127.0.0.1:{known.port}", known.access_key, known.secret_key)
        if s3_answers(address):
            yield address
            return
    with _shared(WeedNode) as facts:
        yield S3Address(f"http://127.0.0.1:{facts['port']}", facts["access_key"], facts["secret_key"])


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Address) -> Iterator[str]:
    """A bucket that is there for this session only."""
    name = f"tt-{secrets.token_hex(6)}"
    s3_server.make_bucket(name)
    yield name
    with contextlib.closing(s3_server.client()) as client:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for found in page.get("Contents", ()):
                client.delete_object(Bucket=name, Key=found["Key"])
        client.delete_bucket(Bucket=name)


@pytest.fixture
def s3_url(s3_bucket: str) -> str:
    """``s3://bucket/prefix`` with nothing in it."""
    return f"s3://{s3_bucket}/{secrets.token_hex(6)}"


def _started(kind: str, answers: Callable[[int], bool], usual: int) -> int:
    """The port of a server that runs already, or 0."""
    known = State.read().services.get(kind)
    ports = [known.port, usual] if known else [usual]
    return next((port for port in ports if answers(port)), 0)


@contextlib.contextmanager
def _shared(kind: type[Node]) -> Iterator[dict]:
    """A node for all processes of this run: the first one starts it, and it ends after the last."""
    folder = _run_folder()
    facts = folder / f"{kind.kind}.json"
    with contextlib.ExitStack() as held:
        with (folder / f"{kind.kind}.starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            users = folder / f"{kind.kind}.users"
            held.enter_context(shared_lock(users))
            try:
                told = json.loads(facts.read_text()) if facts.exists() else {}
                if not told or not Path(told["folder"]).exists():
                    told = _facts(kind(users=str(users)).start())
                    facts.write_text(json.dumps(told))
            except (NotToBeHad, NotStarted) as error:
                absent(str(error))
        yield told


def _facts(node: Node) -> dict:
    told = {"port": node.port, "folder": str(node.folder)}
    if isinstance(node, WeedNode):
        told |= {"access_key": node.address.access_key, "secret_key": node.address.secret_key}
    return told


def _run_folder() -> Path:
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    folder = RUNS / run
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The one that began the run clears away what its processes agreed with."""
    if not hasattr(session.config, "workerinput"):
        shared_out = session.config.pluginmanager.get_plugin("dsession")
        run = shared_out.nodemanager.testrunuid if shared_out else str(os.getpid())
        shutil.rmtree(RUNS / run, ignore_errors=True)
