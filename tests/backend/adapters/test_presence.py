"""Is a process known to be dead when it is, and never while it lives? Whoever keeps the promise."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from tensortrigger_backend.adapters.presence import Presence as FilePresence
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.presence import DatabasePresence
from tensortrigger_backend.adapters.sql.tables import processes
from tensortrigger_backend.ports.presence import Presence

EVERY, GONE = 0.1, 1.0

LIVE = f"""
import sys
from pathlib import Path
from tensortrigger_backend.adapters.presence import Presence
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.presence import DatabasePresence
url = sys.argv[1]
presence = DatabasePresence(Database(url), "worker", {EVERY}, {GONE}) if "//" in url else Presence(Path(url))
print(presence.worker, flush=True)
sys.stdin.readline()
"""


class Place:
    """Where processes mark themselves, and how one more does."""

    def __init__(self, where: str, enter: Callable[[], Presence]) -> None:
        self.where = where
        self.enter = enter

    @contextmanager
    def child(self) -> Iterator[subprocess.Popen[str]]:
        """A process that lives there until it is killed; its first line is its name."""
        with subprocess.Popen(
            [sys.executable, "-c", LIVE, self.where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    entered: list[Presence] = []

    def enter() -> Presence:
        if request.param == "file":
            entered.append(FilePresence(tmp_path))
        else:
            database: Database = request.getfixturevalue(request.param)
            entered.append(DatabasePresence(database, "worker", EVERY, GONE))
        return entered[-1]

    where = str(tmp_path)
    if request.param != "file":
        where = request.getfixturevalue(request.param).url
    yield Place(where, enter)
    for presence in entered:
        presence.close()


def dies(here: Presence, other: str) -> float:
    """Seconds until ``other`` is known to be dead."""
    started = time.monotonic()
    while here.dead([other, here.worker]) != [other]:
        assert time.monotonic() - started < 20.0
        time.sleep(0.02)
    return time.monotonic() - started


def test_a_process_is_alive_until_it_is_killed(place: Place) -> None:
    here = place.enter()
    with place.child() as child:
        assert child.stdout is not None
        other = child.stdout.readline().strip()
        until = time.monotonic() + 2 * GONE
        while time.monotonic() < until:
            assert here.dead([other, here.worker]) == []
            time.sleep(0.02)
        child.kill()
        child.wait()
        dies(here, other)
    assert here.dead([other]) == [other]


def test_who_has_left_or_never_came_is_dead_at_once(place: Place) -> None:
    here, other = place.enter(), place.enter()
    assert other.worker != here.worker
    other.close()
    other.close()
    nobody = [other.worker, "unknown", "../../etc/passwd", "'; DROP TABLE processes; --", "x" * 200]
    assert here.dead(nobody) == nobody
    assert here.dead([here.worker]) == []
    assert here.dead([]) == []


def test_nothing_stays_behind_in_the_folder(tmp_path: Path) -> None:
    with FilePresence(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@contextmanager
def present(database: Database, every: float = EVERY, gone: float = GONE) -> Iterator[DatabasePresence]:
    with DatabasePresence(database, "worker", every, gone) as presence:
        yield presence


def rows(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(processes.c.name)).scalars())


def age(database: Database, name: str, seconds: float) -> None:
    """As if nobody had heard of it for so long."""
    with database.write() as connection:
        connection.execute(
            processes.update().where(processes.c.name == name).values(seen=processes.c.seen - seconds)
        )


def test_nothing_stays_behind_in_the_table(database: Database) -> None:
    with present(database) as presence:
        assert rows(database) == [presence.worker]
    assert rows(database) == []


def test_who_was_taken_for_dead_comes_back(database: Database) -> None:
    with present(database) as here, present(database) as other:
        with database.write() as connection:
            connection.execute(processes.delete().where(processes.c.name == other.worker))
        until = time.monotonic() + 10.0
        while here.dead([other.worker]) and time.monotonic() < until:
            time.sleep(0.02)
        assert here.dead([other.worker]) == []


def test_who_has_not_reached_the_database_all_the_while_calls_no_silent_one_dead(database: Database) -> None:
    with present(database, every=60.0) as silent:
        age(database, silent.worker, 10 * GONE)
        with present(database, gone=3.0) as here:
            # As after the database was away: perhaps the other one could not renew either.
            assert here.dead([silent.worker, "unknown"]) == ["unknown"]
            assert dies(here, silent.worker) > 2.0


def test_rows_of_the_long_dead_are_removed(database: Database) -> None:
    with present(database, every=60.0) as lately, present(database, every=60.0) as long_ago:
        age(database, lately.worker, 300.0)
        age(database, long_ago.worker, 700.0)
        with present(database) as here:
            assert set(rows(database)) == {here.worker, lately.worker}


def test_a_writer_that_keeps_its_turn_does_not_make_the_others_dead(postgresql: Database) -> None:
    with present(postgresql) as here, present(postgresql) as other, postgresql.write():
        until = time.monotonic() + 3 * GONE
        while time.monotonic() < until:
            assert here.dead([other.worker]) == []
            time.sleep(0.05)


def test_whatever_a_renewal_meets_the_next_one_is_tried(postgresql: Database) -> None:
    def rename(before: str, after: str) -> None:
        with postgresql.write() as connection:
            connection.exec_driver_sql(f"ALTER TABLE processes RENAME COLUMN {before} TO {after}")

    with present(postgresql) as here, present(postgresql) as other:
        rename("seen", "of_another_release")
        time.sleep(3 * EVERY)
        rename("of_another_release", "seen")
        time.sleep(2 * GONE)
        until = time.monotonic() + 10.0
        while here.dead([other.worker]) and time.monotonic() < until:
            time.sleep(0.02)
        assert here.dead([other.worker]) == []
