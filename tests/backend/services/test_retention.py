"""Jobs that have ended are deleted, with all that belongs to them, and no others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from tensortrigger_backend.adapters.sql.tables import idempotency_keys, job_log, jobs, outbox, partitions
from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import Forbidden, InvalidJobState, NotFound
from tensortrigger_backend.domain.jobs import Job, JobState
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.services.retention import AT_ONCE, EVERY, Retention

ANN = Principal("ann", EVERYTHING)
DAY = 86_400.0


@pytest.fixture
def retention(line: Any) -> Retention:
    return Retention(line.jobs, line.blobs, line.clock, days=30, timer=line.clock)


@pytest.fixture
def scored(line: Any, table: Callable[..., bytes]) -> Callable[..., Job]:
    """A job that has ended, some of whose rows were rejected."""
    version = line.publish(np.ones((2, 1)))
    names = version.resolved_schema.input_names

    def scored(key: str = "k") -> Job:
        data = table(np.arange(50.0).reshape(25, 2), names) + b"nonsense,1\n"
        job: Job = line.upload(version, data, idempotency=Idempotency(key, "print"))
        line.run()
        assert line.state(job).state is JobState.SUCCEEDED
        line.jobs.note(job.job_id, "info", "something to tell", None, line.clock())
        return job

    return scored


def left(line: Any, job: Job) -> dict[str, int]:
    """How much there is of a job."""
    with line.database.read() as connection:
        rows = {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.job_id == job.job_id)
            ).scalar_one()
            for table in (jobs, partitions, job_log, outbox)
        }
        keys = connection.execute(
            select(func.count())
            .select_from(idempotency_keys)
            .where(idempotency_keys.c.resource_id == job.job_id)
        ).scalar_one()
    return {**rows, "keys": keys, "blobs": len(line.blobs.keys(f"jobs/{job.job_id}"))}


def test_a_job_goes_when_its_time_is_over_with_all_that_belongs_to_it(
    line: Any, retention: Retention, scored: Callable[..., Job]
) -> None:
    job = scored()
    before = left(line, job)
    assert before["partitions"] == 3
    assert before["keys"] == 1
    assert before["blobs"] == 6  # upload, three parts, rejects, manifest
    line.clock.wait(30 * DAY)
    younger = scored("another key")
    line.clock.wait(EVERY)
    assert retention.look_after() == 1
    assert set(left(line, job).values()) == {0}
    assert left(line, younger) == before
    with pytest.raises(NotFound):
        line.jobs.get(job.job_id, "ann")


def test_a_job_that_waits_or_runs_is_kept_however_old_it_is(
    line: Any, retention: Retention, table: Callable[..., bytes]
) -> None:
    version = line.publish(np.ones((2, 1)))
    job = line.upload(version, table(np.ones((25, 2)), version.resolved_schema.input_names))
    line.clock.wait(300 * DAY)
    assert retention.look_after() == 0
    line.run()
    assert line.state(job).state is JobState.SUCCEEDED


def test_of_many_old_jobs_a_few_go_at_a_time_until_none_is_left(
    line: Any, retention: Retention, scored: Callable[..., Job]
) -> None:
    first = scored("first")
    for number in range(AT_ONCE + 4):
        line.jobs.add(Job(f"j{number:02d}", "ann", "m", JobState.QUEUED, "u", 1, (), 0, 1.0, 1.0), [])
    line.clock.wait(31 * DAY)
    assert retention.look_after() == AT_ONCE
    assert left(line, first)["jobs"] == 1  # the oldest go first
    assert retention.look_after() == 5
    assert left(line, first)["jobs"] == 0
    assert retention.look_after() == 0


def test_a_clock_that_is_set_back_postpones_no_deletion(line: Any) -> None:
    passed = [0.0]
    retention = Retention(line.jobs, line.blobs, line.clock, days=30, timer=lambda: passed[0])
    line.clock.wait(31 * DAY)
    assert retention.look_after() == 0
    line.jobs.add(Job("old", "ann", "m", JobState.QUEUED, "u", 1, (), 0, 1.0, 1.0), [])
    line.clock.wait(-3600.0)
    passed[0] += EVERY - 1
    assert retention.look_after() == 0
    passed[0] += 1
    assert retention.look_after() == 1


def test_several_processes_may_do_so_at_once(line: Any, scored: Callable[..., Job]) -> None:
    scored()
    line.clock.wait(31 * DAY)
    rounds = [Retention(line.jobs, line.blobs, line.clock, days=30).look_after for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda one: one(), rounds)) == 1


def test_what_a_process_left_that_died_half_way_belongs_to_no_job(
    line: Any, retention: Retention, scored: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = scored()

    def die(_keys: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(line.blobs, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            retention.delete(ANN, job.job_id)
    assert line.jobs.unknown([job.job_id]) == [job.job_id]
    assert left(line, job)["blobs"] > 0


def test_its_owner_may_delete_a_job_that_has_ended(
    line: Any, retention: Retention, scored: Callable[..., Job]
) -> None:
    job = scored()
    with pytest.raises(NotFound):
        retention.delete(Principal("bob", EVERYTHING), job.job_id)
    with pytest.raises(Forbidden):
        retention.delete(Principal("ann", frozenset({Scope.READ})), job.job_id)
    retention.delete(ANN, job.job_id)
    assert set(left(line, job).values()) == {0}
    with pytest.raises(NotFound):
        retention.delete(ANN, job.job_id)


def test_a_job_that_has_not_ended_has_to_be_cancelled_first(
    line: Any, retention: Retention, table: Callable[..., bytes]
) -> None:
    version = line.publish(np.ones((2, 1)))
    job = line.upload(version, table(np.ones((25, 2)), version.resolved_schema.input_names))
    with pytest.raises(InvalidJobState, match="cancel it first"):
        retention.delete(ANN, job.job_id)
    line.jobs.cancel(job.job_id, "ann", line.clock())
    retention.delete(ANN, job.job_id)
    assert set(left(line, job).values()) == {0}
