"""Does a database come to the newest tables from nothing, and behave the same afterwards?"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text

from tensortrigger_backend.adapters.sql.database import MIGRATIONS, Database, newest_revision
from tensortrigger_backend.adapters.sql.tables import metadata, model_names
from tensortrigger_backend.domain.errors import Unavailable

MIGRATE = """
import sys
from tensortrigger_backend.adapters.sql.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.migrate()
database.close()
"""


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'fresh.db'}")
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
            assert {index["name"] for index in found.get_indexes(table.name)} == {
                index.name for index in table.indexes
            }


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


def test_processes_that_migrate_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
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


def test_sqlite_writes_ahead_to_a_log_and_checks_foreign_keys(database: Database) -> None:
    with database.read() as connection:
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
