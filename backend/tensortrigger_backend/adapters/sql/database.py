"""One connection pool, with transactions that behave the same on SQLite and on a server."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    ExceptionContext,
    Float,
    MetaData,
    String,
    Table,
    cast,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tensortrigger_backend.adapters.sql.tables import metadata
from tensortrigger_backend.domain.errors import InvalidInput, Unavailable

BUSY_SECONDS = 15
"""How long a connection to SQLite waits for another one's lock."""

KEPT = 10
"""Connections to a server that a process keeps open, once it has needed so many at a time."""

MIGRATIONS = Path(__file__).parent / "migrations"

_VERSIONS = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table."""

WRITING = "tensortrigger_writing"
"""Execution option of connections that will write."""

WRITERS_TURN = 0x7454_7269_6767_6572
"""PostgreSQL's advisory lock that every writing transaction holds; any number, and always the same."""

WHILE_REACHABLE = {
    # How long a server may take to let a connection in, in seconds.
    "connect_timeout": 5,
    # A host that is gone without a word is noticed after as long as a lease lasts, not after the two hours that TCP
    # waits by itself: in seconds, and in milliseconds for what was sent and is not acknowledged.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What a URL says itself comes first. https://www.postgresql.org/docs/current/libpq-connect.html"""

LOCK_WAIT = 15
"""Seconds for which a writer waits for its turn."""

STANDSTILL = 12.0
"""Seconds for which PostgreSQL keeps a transaction open in which nothing happens. A process that was stopped in the
middle must not hold its locks for ever: who waits for them gets them within ``LOCK_WAIT``. The longest that is in order
is a message that the broker does not take."""

STOOD_STILL = "25P03"
"""PostgreSQL's code for that."""

READ_ONLY = "25006"
"""PostgreSQL's code of a server that takes no writes: after a failover the one before is a standby."""

_NOT_NOW = {
    STOOD_STILL: "The database did not wait for this transaction.",
    READ_ONLY: "The database takes no writes now.",
}


class Database:
    """Opens ``url``; readers never wait for a writer, and writers take turns.

    Args:
        url: SQLAlchemy's form, such as ``sqlite:////var/lib/tt/tt.db`` or ``postgresql+psycopg://user@host/tt``.
        standstill: seconds after which a server ends a transaction in which nothing happens.

    Attributes:
        embedded: whether it is SQLite, a file of this machine.

    Raises:
        ValueError: it is no such URL, or its driver is not installed.
    """

    def __init__(self, url: str, standstill: float = STANDSTILL) -> None:
        self.url = url
        self.embedded = sqlite = url.startswith("sqlite")
        try:
            # A server that does not answer must not keep a request longer than a client waits for it.
            said = make_url(url).query
            patience = {} if sqlite else {name: v for name, v in WHILE_REACHABLE.items() if name not in said}
            # A connection to a server costs more to make than to keep.
            kept: dict[str, Any] = {} if sqlite else {"pool_size": KEPT, "pool_pre_ping": True}
            self.engine: Engine = create_engine(url, connect_args=patience, **kept)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ValueError(f"TENSORTRIGGER_DATABASE_URL: {error}.") from None
        except ModuleNotFoundError as error:
            raise ValueError(
                f"TENSORTRIGGER_DATABASE_URL needs the Python package {error.name!r}: "
                "pip install 'tensortrigger-lab[postgresql]'."
            ) from None
        self._reading: dict[str, Any] = {}
        self._writing: dict[str, Any] = {WRITING: "in turn"}
        if sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", _prepare_postgresql(standstill))
            event.listen(self.engine, "begin", _begin_postgresql)
            event.listen(self.engine, "handle_error", _leave_standby)
            # Several queries of one block see one state of things, as they do on SQLite.
            self._reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            self._writing["isolation_level"] = "READ COMMITTED"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; raises Unavailable when the database cannot be reached."""
        with _translated(), self.engine.connect() as connection:
            yield connection.execution_options(**self._reading)

    @contextmanager
    def write(self, in_turn: bool = True) -> Iterator[Connection]:
        """A transaction that commits at the end of the block, or not at all.

        Writers take turns from their first statement on, on SQLite by its write lock and on PostgreSQL by an
        advisory lock: what a transaction has read is still so when it writes, and none fails half-way because
        another came between.

        Args:
            in_turn: False for a block that is right beside any other one: it locks the rows that it goes by. On
                SQLite it makes no difference.

        Raises:
            Unavailable: the database cannot be reached, or the writers before took too long.
        """
        with _translated(), self.engine.connect() as connection:
            connection = connection.execution_options(
                **(self._writing if in_turn else {**self._writing, WRITING: "beside others"})
            )
            with connection.begin():
                yield connection

    def now(self) -> ColumnElement[float]:
        """Seconds since the epoch as the database has it, for a statement: clocks of machines differ."""
        if self.embedded:
            return (func.julianday("now") - 2440587.5) * 86400.0
        return cast(func.extract("epoch", func.clock_timestamp()), Float(53))

    def clock(self) -> float:
        """What ``now`` is just now. Raises Unavailable."""
        with self.read() as connection:
            return float(connection.execute(select(self.now())).scalar_one())

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

    def must_be_newest(self) -> None:
        """Raises ValueError: somebody has to migrate first."""
        revision = self._revision()
        newest = newest_revision()
        if revision is None or revision < newest:
            stands = "has no tables yet" if revision is None else f"is at revision {revision} of {newest}"
            raise ValueError(f"The database {stands}: run 'tt migrate' first.")
        if revision > newest:
            raise ValueError(
                f"The database is at revision {revision}, and this program knows {newest} at most: install the "
                "version that the other processes have."
            )

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
    except (OperationalError, InterfaceError) as error:
        # A server's words may hold its address and its user's name.
        told = f": {error.orig}" if type(error.orig).__module__.startswith("sqlite3") else ""
        raise Unavailable(f"The database did not answer{told}.", retry_after=2.0) from error
    except PoolTimeout as error:
        raise Unavailable("Every connection to the database is in use.", retry_after=2.0) from error
    except InternalError as error:
        refused = _NOT_NOW.get(getattr(error.orig, "sqlstate", None) or "")
        if refused is None:
            raise
        raise Unavailable(refused, retry_after=2.0) from error
    except DataError as error:
        raise InvalidInput(
            "The database cannot hold a value of this request: text with a NUL, or a number out of its range."
        ) from error


def _prepare_sqlite(dbapi: Any, _record: Any) -> None:
    # The driver's own transaction handling begins too late; ``_begin_sqlite`` does it instead.
    dbapi.isolation_level = None
    cursor = dbapi.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _prepare_postgresql(standstill: float) -> Callable[[Any, Any], None]:
    def prepare(dbapi: Any, _record: Any) -> None:
        dbapi.execute(f"SET lock_timeout = '{LOCK_WAIT}s'")
        dbapi.execute(f"SET idle_in_transaction_session_timeout = {round(standstill * 1000)}")
        dbapi.commit()

    return prepare


def _leave_standby(context: ExceptionContext) -> None:
    """Connect anew for what comes next, and find the server that takes writes now."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITING) == "in turn":
        # The next statement is the first that takes a snapshot, and so sees all that was written before.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_TURN})")


def _write_ahead(cursor: Any) -> None:
    """Switch to the write-ahead log; SQLite does not wait for another process that is just doing the same."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
