"""The promises of ``RunStore``, whoever keeps them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.adapters.sql.tables import jobs as job_table
from tensortrigger_backend.adapters.sql.tables import run_points
from tensortrigger_backend.domain.errors import Conflict, InvalidInput, NotFound
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState, Slice, WakeUp
from tensortrigger_backend.domain.runs import Batch, Point, PointKind, Run, RunSource, RunState
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.runs import RunStore
from tensortrigger_backend.ports.storage import Idempotency

AtOnce = Callable[[Callable[[int], Any]], Sequence[Any]]
NOBODY_LOST = 0.0


@pytest.fixture
def runs(database: Database) -> RunStore:
    return SqlRunStore(database)


def run(run_id: str = "r1", owner: str = "ann", created: float = 1.0, **more: Any) -> Run:
    members: dict[str, Any] = {"source": RunSource.NOTEBOOK, "model": "churn", **more}
    return Run(run_id, owner, "First", created=created, last_updated=created, **members)


def points(first: int, count: int, kind: PointKind = PointKind.BATCH) -> list[Point]:
    return [
        Point(0, kind, number + 1, 1 + number // 10, 5.0 + number, {"loss": number / 8, "acc": None})
        for number in range(first, first + count)
    ]


def seqs(runs: RunStore, after: int = 0, limit: int = 10_000, kind: PointKind | None = None) -> list[int]:
    return [point.seq for point in runs.points("r1", "ann", after, limit, kind).points]


def test_a_run_is_found_as_it_was_added(runs: RunStore) -> None:
    added = runs.add(run(epochs=3, steps_per_epoch=100, params={"lr": 0.1, "layers": [1, 2]}, model_id="m1"))
    assert added == run(epochs=3, steps_per_epoch=100, params={"lr": 0.1, "layers": [1, 2]}, model_id="m1")
    assert runs.get("r1", "ann") == added


def test_nobody_sees_what_another_owns(runs: RunStore) -> None:
    runs.add(run())
    for act in (
        lambda: runs.get("r1", "bob"),
        lambda: runs.points("r1", "bob", 0, 10, None),
        lambda: runs.append("r1", "bob", Batch(points(0, 1)), 2.0),
        lambda: runs.follow_job("r1", "bob", 2.0),
        lambda: runs.remove("r1", "bob"),
        lambda: runs.get("nothing", "ann"),
        lambda: runs.add(run(owner="bob")),
    ):
        with pytest.raises(NotFound):
            act()
    assert runs.page("bob", 10, None, None, None, NOBODY_LOST).items == ()
    assert runs.get("r1", "ann").last_seq == 0


def test_points_come_back_as_they_were_told(runs: RunStore) -> None:
    runs.add(run())
    told = [
        Point(0, PointKind.BATCH, 7, 1, 12.25, {"loss": 0.1, "größe": None}),
        Point(0, PointKind.EPOCH, 2**53 - 1, 2, 13.5, {"loss": math.nan, "val_loss": 1e-300}),
    ]
    stored = runs.append("r1", "ann", Batch(told, 0), 9.0)
    read = runs.points("r1", "ann", 0, 10, None)
    assert read.run == stored == runs.get("r1", "ann")
    assert read.points == (
        Point(1, PointKind.BATCH, 7, 1, 12.25, {"loss": 0.1, "größe": None}),
        Point(2, PointKind.EPOCH, 2**53 - 1, 2, 13.5, {"loss": None, "val_loss": 1e-300}),
    )
    assert (stored.metrics, stored.of_epoch) == ({"loss": None, "val_loss": 1e-300}, True)
    assert (stored.metric_names, stored.last_updated) == (("loss", "größe", "val_loss"), 9.0)


def test_pages_of_points_neither_skip_nor_repeat(runs: RunStore) -> None:
    runs.add(run())
    at = 0
    for count in (1, 700, 3, 1, 1, 250, 44):
        runs.append("r1", "ann", Batch(points(at, count), at), 2.0)
        at += count
    for limit in (1, 7, 250, 999, 1000, 1001):
        found, after = [], 0
        while True:
            page = runs.points("r1", "ann", after, limit, None)
            found += [point.seq for point in page.points]
            if page.next_after is None:
                break
            assert page.next_after == found[-1]
            after = page.next_after
            if limit == 1 and after > 20:
                found += range(after + 1, 1001)
                break
        assert found == list(range(1, 1001))
    assert seqs(runs, after=1000) == seqs(runs, after=10**15) == []


def test_one_kind_is_found_among_the_other(runs: RunStore) -> None:
    runs.add(run())
    for epoch in range(5):
        runs.append("r1", "ann", Batch(points(11 * epoch, 10)), 2.0)
        runs.append("r1", "ann", Batch(points(11 * epoch + 10, 1, PointKind.EPOCH)), 2.0)
    assert seqs(runs, kind=PointKind.EPOCH) == [11, 22, 33, 44, 55]
    assert seqs(runs, after=11, limit=2, kind=PointKind.EPOCH) == [22, 33]
    assert runs.points("r1", "ann", 0, 2, PointKind.EPOCH).next_after == 22
    assert len(seqs(runs, kind=PointKind.BATCH)) == 50


def test_a_repeated_batch_writes_nothing_but_the_sign_of_life(runs: RunStore, database: Database) -> None:
    runs.add(run())
    runs.append("r1", "ann", Batch(points(0, 10), 0), 2.0)
    again = runs.append("r1", "ann", Batch(points(0, 10), 0), 3.0)
    assert (again.last_seq, again.last_updated) == (10, 3.0)
    assert runs.append("r1", "ann", Batch(points(5, 10), 5), 4.0).last_seq == 15
    assert [point.step for point in runs.points("r1", "ann", 0, 99, None).points] == list(range(1, 16))
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(run_points)).scalar() == 2


def test_of_eight_senders_of_the_same_points_one_is_stored(runs: RunStore, at_once: AtOnce) -> None:
    runs.add(run())
    at_once(lambda _: runs.append("r1", "ann", Batch(points(0, 20), 0), 2.0))
    assert seqs(runs) == list(range(1, 21))


def test_numbers_have_no_gap_though_eight_threads_append(runs: RunStore, at_once: AtOnce) -> None:
    runs.add(run())

    def send(thread: int) -> None:
        for batch in range(5):
            first = 100 * thread + 3 * batch
            runs.append("r1", "ann", Batch(points(first, 3), first), 2.0)

    at_once(send)
    read = runs.points("r1", "ann", 0, 1000, None)
    assert [point.seq for point in read.points] == list(range(1, 121))
    assert {point.step for point in read.points} == {100 * t + n + 1 for t in range(8) for n in range(15)}


def test_a_batch_that_is_refused_writes_nothing(runs: RunStore) -> None:
    runs.add(run())
    ended = runs.append("r1", "ann", Batch(points(0, 2), 0, RunState.FAILED, "broke"), 5.0)
    assert (ended.state, ended.error, ended.finished) == (RunState.FAILED, "broke", 5.0)
    with pytest.raises(Conflict):
        runs.append("r1", "ann", Batch(points(2, 2), 2), 6.0)
    assert runs.get("r1", "ann") == ended
    assert seqs(runs) == [1, 2]


@pytest.fixture
def failed(runs: RunStore, jobs: JobStore) -> Job:
    """A training that has failed, and its run, which was not told."""
    job = Job("r1", "ann", "m1", JobState.QUEUED, "u", 1, (), 1, 1.0, 1.0, kind=JobKind.TRAIN)
    job = jobs.add(replace(job, training={}), [Slice(0, 0, 1, 0, 1, 1)])
    runs.add(run(source=RunSource.BACKEND, job_id="r1"))
    runs.append("r1", "ann", Batch(points(0, 2), 0), 2.0)
    claim = jobs.claim(WakeUp("r1", 0, JobKind.TRAIN), "w1", 3.0, 10.0)
    assert claim is not None
    jobs.give_up(claim, "broke", final=True, now=4.0)
    return job


def test_the_run_of_a_job_ends_with_it_and_goes_on_with_it_where_it_stood(
    runs: RunStore, jobs: JobStore, failed: Job
) -> None:
    ended = runs.follow_job("r1", "ann", 5.0)
    assert (ended.state, ended.finished) == (RunState.FAILED, 5.0)
    assert ended.error == "Training failed after 1 attempt: broke"
    assert runs.follow_job("r1", "ann", 6.0) == ended
    with pytest.raises(Conflict):
        runs.append("r1", "ann", Batch(points(2, 1), 2), 6.0)
    jobs.retry("r1", "ann", 6.0)
    again = runs.follow_job("r1", "ann", 7.0)
    assert (again.state, again.error, again.finished) == (RunState.RUNNING, None, None)
    assert runs.append("r1", "ann", Batch(points(1, 2), 1), 7.0).last_seq == 3
    jobs.cancel("r1", "ann", 8.0)
    assert runs.follow_job("r1", "ann", 9.0).state is RunState.CANCELLED
    jobs.remove("r1", "ann")
    assert runs.follow_job("r1", "ann", 10.0).state is RunState.CANCELLED


def test_a_run_waits_for_whoever_is_just_trying_its_job_again(
    runs: RunStore, database: Database, failed: Job
) -> None:
    told: list[Run] = []
    late = threading.Thread(target=lambda: told.append(runs.follow_job("r1", "ann", 6.0)))
    with database.write(in_turn=False) as connection:
        connection.execute(update(job_table).values(state=str(JobState.RUNNING), error=None))
        late.start()
        late.join(0.3)
        assert told == []
    late.join(10.0)
    assert [run.state for run in told] == [RunState.RUNNING]


def test_an_idempotency_key_makes_one_run_only(runs: RunStore, at_once: AtOnce) -> None:
    made = at_once(lambda thread: runs.add(run(f"r{thread}"), Idempotency("key", "print")).run_id)
    assert len(set(made)) == 1
    assert runs.add(run("bobs", owner="bob"), Idempotency("key", "print")).run_id == "bobs"
    with pytest.raises(Conflict):
        runs.add(run("other"), Idempotency("key", "another"))


def test_the_same_run_added_twice_is_found_as_it_stands(runs: RunStore) -> None:
    runs.add(run())
    runs.append("r1", "ann", Batch(points(0, 2)), 2.0)
    assert runs.add(run(created=9.0)) == runs.get("r1", "ann")
    assert runs.get("r1", "ann").last_seq == 2


def test_pages_of_runs_are_newest_first_and_keep_still_while_others_begin(runs: RunStore) -> None:
    for number in range(5):
        runs.add(run(f"r{number}", created=1.0 + number // 2))
    first = runs.page("ann", 2, None, None, None, NOBODY_LOST)
    runs.add(run("later", created=99.0))
    rest = runs.page("ann", 9, first.next_cursor, None, None, NOBODY_LOST)
    assert [one.run_id for one in (*first.items, *rest.items)] == ["r4", "r3", "r2", "r1", "r0"]
    assert rest.next_cursor is None
    with pytest.raises(InvalidInput):
        runs.page("ann", 2, "no cursor", None, None, NOBODY_LOST)


def test_runs_are_found_by_model_and_by_state(runs: RunStore) -> None:
    runs.add(run("talking", created=50.0))
    runs.add(run("silent", created=10.0))
    runs.add(run("training", created=10.0, source=RunSource.BACKEND, model="risk"))
    runs.add(run("done", created=10.0))
    runs.append("done", "ann", Batch(state=RunState.SUCCEEDED), 11.0)

    def found(model: str | None, state: RunState | None) -> set[str]:
        return {one.run_id for one in runs.page("ann", 9, None, model, state, 40.0).items}

    assert found("churn", None) == {"talking", "silent", "done"}
    assert found(None, RunState.RUNNING) == {"talking", "training"}
    assert found(None, RunState.LOST) == {"silent"}
    assert found("churn", RunState.SUCCEEDED) == {"done"}
    assert found("risk", RunState.SUCCEEDED) == set()


def test_a_removed_run_leaves_nothing_behind(runs: RunStore, database: Database) -> None:
    runs.add(run(), Idempotency("key", "print"))
    runs.append("r1", "ann", Batch(points(0, 3)), 2.0)
    runs.remove("r1", "ann")
    with pytest.raises(NotFound):
        runs.get("r1", "ann")
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(run_points)).scalar() == 0
    assert runs.add(run("r2"), Idempotency("key", "print")).run_id == "r2"


def test_a_training_that_is_at_work_cannot_be_removed(runs: RunStore) -> None:
    runs.add(run(source=RunSource.BACKEND))
    with pytest.raises(Conflict, match="cancel"):
        runs.remove("r1", "ann")
    runs.append("r1", "ann", Batch(state=RunState.CANCELLED), 2.0)
    runs.remove("r1", "ann")


def test_a_thousand_points_are_written_and_ten_thousand_read_in_no_time(runs: RunStore) -> None:
    runs.add(run())
    written = []
    for first in range(0, 10_000, 1_000):
        batch = Batch(points(first, 1_000), first)
        started = time.perf_counter()
        runs.append("r1", "ann", batch, 2.0)
        written.append(time.perf_counter() - started)
    read = []
    for _ in range(3):
        started = time.perf_counter()
        assert len(runs.points("r1", "ann", 0, 10_000, None).points) == 10_000
        read.append(time.perf_counter() - started)
    # The best of several: other things run on the machine too.
    assert min(written) < 0.05
    assert min(read) < 0.1
