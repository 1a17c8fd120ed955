"""A database on PostgreSQL of one's own for tests, and a receiver of webhooks. The servers come from ``services``."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.tables import metadata


@pytest.fixture(scope="session")
def new_postgresql(postgresql_server: str) -> Iterator[str]:
    """The URL of a database that is there for this session only, with nothing in it."""
    with own_database(postgresql_server) as url:
        yield url


@pytest.fixture(scope="module")
def served_postgresql(postgresql_server: str) -> Iterator[str]:
    """The URL of one for a server, which would work on whatever jobs it finds there."""
    with own_database(postgresql_server) as url:
        yield url


@contextlib.contextmanager
def own_database(postgresql_server: str) -> Iterator[str]:
    """A database of one's own on the server, dropped in the end."""
    server = make_url(postgresql_server).update_query_dict({"connect_timeout": "5"})
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"tt_{secrets.token_hex(6)}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.dispose()


@pytest.fixture(scope="session")
def migrated_postgresql(new_postgresql: str) -> Iterator[Database]:
    """A database on PostgreSQL with all tables; what tests leave in it is theirs to clear."""
    database = Database(new_postgresql)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def postgresql(migrated_postgresql: Database) -> Database:
    """The same database, empty."""
    with migrated_postgresql.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return migrated_postgresql


class Receiver:
    """A real HTTP server on loopback.

    Attributes:
        got: requests as (path, headers, body).
        answers: status codes to give, the last one for ever.
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers = [204]
        self.headers: dict[str, str] = {}
        self.body = b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append((self.path, told, body))
                answers = receiver.answers
                self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(receiver.body)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Whoever calls may hang up."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?job=1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()
