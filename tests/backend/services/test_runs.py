"""Do runs keep each point once through lost answers, and do watchers hear of each change?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.domain.errors import Conflict, NotFound
from tensortrigger_backend.domain.run_messages import RunPlan
from tensortrigger_backend.domain.runs import Batch, Point, PointKind, RunState
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.runs import Runs


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("runs") / "tt.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def runs(database: Database, clock: Any) -> Runs:
    return Runs(SqlRunStore(database), clock, Notices())


def points(first: int, count: int) -> list[Point]:
    return [
        Point(0, PointKind.BATCH, number + 1, 1, 1.0, {"loss": 1.0}) for number in range(first, first + count)
    ]


cuts = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@given(sizes=cuts, data=st.data())
def test_every_point_is_stored_once_whatever_is_sent_again(
    database: Database, sizes: list[int], data: st.DataObject
) -> None:
    """A sender repeats batches whose answers were lost, also cut otherwise, also after later ones."""
    runs = Runs(SqlRunStore(database), lambda: 1000.0, Notices())
    run_id = runs.start("ann", RunPlan("First"))[0].run_id
    bounds = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
    for place, (begin, end) in enumerate(pairwise(bounds)):
        runs.append("ann", run_id, points(begin, end - begin), first=begin)
        for _ in range(data.draw(st.integers(0, 2))):
            again = data.draw(st.integers(0, bounds[place]))
            runs.append("ann", run_id, points(again, end - again), first=again)
    stored = runs.points_after("ann", run_id, 0, 1000).points
    assert [(point.seq, point.step) for point in stored] == [(n, n) for n in range(1, bounds[-1] + 1)]


def test_a_silent_run_reads_lost_everywhere_and_its_next_word_revives_it(runs: Runs, clock: Any) -> None:
    run_id = runs.start("cid", RunPlan("First"))[0].run_id
    clock.wait(61)
    assert runs.find("cid", run_id).state is RunState.LOST
    assert runs.points_after("cid", run_id, 0, 1).run.state is RunState.LOST
    assert [run.state for run in runs.page("cid", 5, state=RunState.LOST).items] == [RunState.LOST]
    assert runs.record("cid", run_id, Batch()).state is RunState.RUNNING
    assert runs.page("cid", 5, state=RunState.LOST).items == ()
    assert runs.find("cid", run_id).state is RunState.RUNNING


def test_the_run_of_a_job_is_opened_once_and_found_as_it_ended(runs: Runs) -> None:
    opened = [
        runs.open_for_job("ann", "j" * 32, "Churn", "churn", "m1", 5, 10, {"batch_size": 32})
        for _ in range(2)
    ]
    assert opened[0] == opened[1]
    assert (opened[0].run_id, opened[0].job_id, opened[0].source.value) == ("j" * 32, "j" * 32, "backend")
    runs.append("ann", "j" * 32, points(0, 4), first=0)
    runs.record("ann", "j" * 32, Batch(state=RunState.CANCELLED))
    with pytest.raises(Conflict):
        runs.append("ann", "j" * 32, points(4, 1), first=4)
    assert runs.open_for_job("ann", "j" * 32, "Churn", None, None, 5, 10, {}).state is RunState.CANCELLED


def test_those_who_listen_hear_of_each_change_and_no_others_do(runs: Runs) -> None:
    run_id = runs.start("ann", RunPlan("First"))[0].run_id
    other = runs.start("ann", RunPlan("Other"))[0].run_id
    heard: list[str] = []
    with runs.notices.listening(run_id, lambda: heard.append("first")):
        with runs.notices.listening(run_id, lambda: heard.append("second")):
            runs.append("ann", run_id, points(0, 1))
        runs.append("ann", other, points(0, 1))
        runs.record("ann", run_id, Batch(state=RunState.SUCCEEDED))
        runs.remove("ann", run_id)
    assert heard == ["first", "second", "first", "first"]
    with pytest.raises(NotFound):
        runs.find("ann", run_id)
