"""One connection pool, with transactions that behave the same on SQLite and on a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, create_engine, event, select
from sqlalchemy.exc import OperationalError

from tensortrigger_backend.adapters.sql.tables import metadata
from tensortrigger_backend.domain.errors import Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"

_VERSIONS = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table."""

WRITING = "tensortrigger_writing"
"""Execution option of connections that will write."""


class Database:
    """Opens ``url``; SQLite in write-ahead-log mode, so that readers never wait for a writer.

    Args:
        url: SQLAlchemy's form, such as ``sqlite:////var/lib/tt/tt.db``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; raises Unavailable when the database cannot be reached."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end of the block, or not at all.

        On SQLite it takes the write lock at once: a transaction that reads first and writes later could
        otherwise fail half-way because another writer came between.
        """
        with _translated(), self.engine.connect() as connection:
            connection = connection.execution_options(**{WRITING: True})
            with connection.begin():
                yield connection

    def migrate(self) -> None:
        """Bring the tables to the newest revision; quick when they are, and when there are none yet.

        An empty database gets the tables as they are now and is marked as migrated: the migrations would make
        the same ones (a test compares them), and importing Alembic costs half a second and 15 MB.
        """
        revision = self._revision()
        if revision is None:
            revision = self._create()
        if revision != newest_revision():
            self.upgrade()

    def _create(self) -> str | None:
        """Make all tables, unless another process did meanwhile; the revision that the database has then."""
        with self.write() as connection:
            if not self.engine.dialect.has_table(connection, _VERSIONS.name):
                metadata.create_all(connection)
                _VERSIONS.create(connection)
                connection.execute(_VERSIONS.insert().values(version_num=newest_revision()))
            found: str | None = connection.execute(select(_VERSIONS.c.version_num)).scalar()
            return found

    def upgrade(self) -> None:
        """Run the migrations that the database lacks, from the first one on if it is empty."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = self.engine
        command.upgrade(config, "head")

    def _revision(self) -> str | None:
        with _translated(), self.engine.connect() as connection:
            if not self.engine.dialect.has_table(connection, _VERSIONS.name):
                return None
            found: str | None = connection.execute(select(_VERSIONS.c.version_num)).scalar()
            return found

    def close(self) -> None:
        """Close all connections. Safe to repeat."""
        self.engine.dispose()


def newest_revision() -> str:
    """The newest migration's number: their file names begin with it."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"The database did not answer: {error.orig}.", retry_after=2.0) from error


def _prepare_sqlite(dbapi: Any, _record: Any) -> None:
    # The driver's own transaction handling begins too late; ``_begin_sqlite`` does it instead.
    dbapi.isolation_level = None
    cursor = dbapi.cursor()
    cursor.execute("PRAGMA busy_timeout=15000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
