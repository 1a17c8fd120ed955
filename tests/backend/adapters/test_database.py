"""Does a database come to the newest tables from nothing, and behave the same afterwards?"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, insert, inspect, make_url, select, text

from tensortrigger_backend.adapters.sql.database import MIGRATIONS, Database, newest_revision
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.tables import metadata, model_names
from tensortrigger_backend.domain.errors import InvalidInput, Unavailable
from tensortrigger_backend.domain.jobs import JobKind, WakeUp

MIGRATE = """
import sys
from tensortrigger_backend.adapters.sql.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.migrate()
database.close()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    server = request.getfixturevalue("new_postgresql")
    schema = f"fresh_{secrets.token_hex(4)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield (
        make_url(server)
        .update_query_dict({"options": f"-csearch_path={schema}"})
        .render_as_string(hide_password=False)
    )
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    admin.dispose()


@pytest.fixture
def fresh(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.mark.parametrize("way", ["migrate", "upgrade"])
def test_both_ways_make_the_very_tables_that_the_code_expects(fresh: Database, way: str) -> None:
    getattr(fresh, way)()
    with fresh.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == newest_revision()
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = inspect(connection)
        assert {*found.get_table_names()} == {*metadata.tables, "alembic_version"}
        for table in metadata.tables.values():
            # PostgreSQL also lists those that stand behind a unique constraint.
            own = [index for index in found.get_indexes(table.name) if "duplicates_constraint" not in index]
            assert {index["name"] for index in own} == {index.name for index in table.indexes}


def test_the_migrations_can_be_taken_back(fresh: Database) -> None:
    from alembic import command
    from alembic.config import Config

    fresh.migrate()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = fresh.engine
    command.downgrade(config, "base")
    with fresh.engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    fresh.migrate()


def test_jobs_from_before_they_kept_sums_get_them(fresh: Database) -> None:
    from alembic import command
    from alembic.config import Config

    fresh.migrate()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = fresh.engine
    command.downgrade(config, "0005")
    job = {
        "owner": "ann",
        "model_id": "m",
        "upload_key": "u",
        "upload_size": 1,
        "columns": "[]",
        "output_columns": "[]",
        "rows_total": 40,
        "created": 1.0,
        "last_updated": 1.0,
    }
    states = ["done", "done", "claimed", "queued", "failed"]
    with fresh.write() as connection:
        for job_id in ("j1", "j2"):
            connection.execute(
                text(
                    f"INSERT INTO jobs (job_id, state, named_outputs, {', '.join(job)}) "
                    f"VALUES (:job_id, 'running', false, {', '.join(f':{name}' for name in job)})"
                ),
                {**job, "job_id": job_id},
            )
        for number, state in enumerate(states):
            connection.execute(
                text(
                    'INSERT INTO partitions (job_id, number, owner, "offset", length, first_row, rows, first_line, '
                    "state, attempts, claims, fence, told, rows_scored, rows_rejected, non_finite) "
                    "VALUES ('j1', :number, 'ann', 0, 1, 0, 10, 1, :state, 1, 2, 2, 1.0, 8, 2, 0)"
                ),
                {"number": number, "state": state},
            )
    fresh.migrate()
    jobs = SqlJobStore(fresh)
    job_then = jobs.get("j1", "ann")
    assert (job_then.partitions_total, job_then.partitions_done, job_then.partitions_failed) == (5, 2, 1)
    assert (job_then.rows_done, job_then.rows_rejected, job_then.attempts) == (20, 4, 10)
    assert jobs.get("j2", "ann").partitions_total == 0
    assert jobs.waiting()[JobKind.SCORE] == 2
    assert jobs.claim(WakeUp("j1", 0), "w1", 2.0, 10.0) is not None


def test_the_newest_revision_is_that_of_the_migrations() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_heads() == [newest_revision()]


def test_migrating_again_is_quick_and_harmless(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(model_names).values(owner="ann", name="churn", latest=3))
    started = time.perf_counter()
    for _ in range(10):
        database.migrate()
    assert time.perf_counter() - started < 1.0
    with database.read() as connection:
        assert connection.execute(select(model_names.c.latest)).scalar() == 3


def test_processes_that_migrate_at_once_all_succeed(url: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [child.communicate(timeout=60) for child in children]
        assert [(child.returncode, errors) for child, (_, errors) in zip(children, told, strict=True)] == [
            (0, "")
        ] * 3
    finally:
        for child in children:
            child.kill()
            child.communicate()
    database = Database(url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_sqlite_writes_ahead_to_a_log_and_checks_foreign_keys(sqlite: Database) -> None:
    with sqlite.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        # FULL: what was committed survives a power cut.
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_block_that_fails_writes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as connection:
        assert connection.execute(select(model_names)).all() == []


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as writing:
        writing.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
        with database.read() as reading:
            assert reading.execute(select(model_names)).all() == []


def test_writers_take_turns_though_they_read_before_they_write(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(model_names).values(owner="ann", name="churn", latest=0))

    def count() -> None:
        for _ in range(10):
            with database.write() as connection:
                latest = connection.execute(select(model_names.c.latest)).scalar_one()
                connection.execute(model_names.update().values(latest=latest + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(select(model_names.c.latest)).scalar() == 40


def test_a_database_that_cannot_be_opened_is_unavailable_for_now(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(Unavailable) as caught, database.read():
        pass
    assert caught.value.retry_after > 0
    with pytest.raises(Unavailable):
        database.migrate()
    database.close()


def test_a_server_that_is_away_is_unavailable_for_now_and_its_address_is_nobodys_business() -> None:
    database = Database("postgresql+psycopg://someone:secret@127.0.0.1:1/nothing")
    for block in (database.read, database.write):
        with pytest.raises(Unavailable) as caught, block():
            pass
        assert caught.value.detail == "The database did not answer."
    database.close()


def test_a_server_that_ends_its_connections_is_found_again(postgresql: Database) -> None:
    other = create_engine(postgresql.url)
    with other.connect() as connection:
        ended = connection.execute(
            text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).scalar()
    other.dispose()
    assert ended
    with postgresql.write() as connection:
        connection.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
    with postgresql.read() as connection:
        assert connection.execute(select(model_names.c.latest)).scalar() == 1


def test_a_server_that_has_become_a_standby_is_unavailable_until_there_is_one_that_takes_writes(
    postgresql: Database,
) -> None:
    def begin(read_only: str) -> None:
        """Sessions that begin from now on are those of another server."""
        with postgresql.engine.connect() as connection:
            connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
            connection.commit()
            name = connection.exec_driver_sql("SELECT current_database()").scalar()
            connection.exec_driver_sql(
                f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}"
            )
            connection.commit()

    after_failover = Database(postgresql.url)
    try:
        begin("on")
        with pytest.raises(Unavailable, match="no writes now"), after_failover.write() as connection:
            connection.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
    finally:
        begin("off")
    with after_failover.write() as connection:
        connection.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
    after_failover.close()


def test_a_writer_whose_turn_does_not_come_gives_up(
    postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensortrigger_backend.adapters.sql.database.LOCK_WAIT", 0.2)
    hurried = Database(postgresql.url)
    with postgresql.write() as holding:
        holding.execute(select(model_names.c.latest))
        with pytest.raises(Unavailable), hurried.write():
            pass
    with hurried.write():
        pass
    hurried.close()


def test_a_writer_that_stands_still_loses_its_locks(postgresql: Database) -> None:
    stopped = Database(postgresql.url, standstill=0.3)

    def stand_still() -> None:
        with stopped.write() as connection:
            connection.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
            # As if its process had been stopped here; meanwhile somebody else gets the writers' turn.
            with postgresql.write() as other:
                assert other.execute(select(model_names)).all() == []
            connection.execute(insert(model_names).values(owner="ann", name="other", latest=1))

    with pytest.raises(Unavailable, match="did not wait"):
        stand_still()
    with stopped.write() as connection:
        assert connection.execute(select(model_names)).all() == []
    stopped.close()


def test_a_server_that_is_gone_without_a_word_is_noticed_within_the_time_of_a_lease(
    postgresql: Database,
) -> None:
    with postgresql.read() as connection, contextlib.ExitStack() as stack:
        wire = connection.connection.driver_connection
        assert isinstance(wire, psycopg.Connection)
        held = stack.enter_context(socket.socket(fileno=os.dup(wire.fileno())))
        assert held.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        silence, every, count = (
            held.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert silence + every * count <= 15
        assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 15_000


def test_what_the_url_says_of_a_connection_comes_first() -> None:
    port = socket.create_server(("127.0.0.1", 0))
    with port:
        told = f"postgresql+psycopg://u@127.0.0.1:{port.getsockname()[1]}/db?connect_timeout=2"
        silent = Database(told)
        began = time.monotonic()
        with pytest.raises(Unavailable), silent.read():
            pass
        assert 1.5 < time.monotonic() - began < 4.5
        silent.close()


def test_what_the_database_cannot_hold_is_the_callers_fault(postgresql: Database) -> None:
    with pytest.raises(InvalidInput, match="NUL"), postgresql.write() as connection:
        connection.execute(insert(model_names).values(owner="a\0b", name="churn", latest=1))


def test_a_reader_sees_one_state_of_things_and_writes_nothing(database: Database) -> None:
    with database.read() as reading:
        assert reading.execute(select(model_names)).all() == []
        with database.write() as writing:
            writing.execute(insert(model_names).values(owner="ann", name="churn", latest=1))
        assert reading.execute(select(model_names)).all() == []


@pytest.mark.parametrize(
    ("url", "says"), [("nonsense", "DATABASE_URL"), ("mysql+nothing://x/y", "DATABASE_URL")]
)
def test_a_url_that_is_none_is_refused_by_the_name_of_its_setting(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Database(url)
