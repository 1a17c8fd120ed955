"""What a job's log tells, and the webhook that is owed once it has ended."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_log import MOST_LINES
from tensortrigger_backend.adapters.sql.tables import webhooks
from tensortrigger_backend.domain.errors import InvalidJobState, NotFound
from tensortrigger_backend.domain.job_options import JobOptions
from tensortrigger_backend.domain.jobs import (
    Claim,
    Job,
    JobKind,
    JobState,
    Part,
    PartitionState,
    Slice,
    WakeUp,
)
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import Idempotency

LEASE = 10.0


def add(jobs: JobStore, partitions: int = 2, job_id: str = "j1", webhook: str | None = None) -> None:
    slices = [Slice(number, 100 * number, 100, 10 * number, 10, 2) for number in range(partitions)]
    jobs.add(
        Job(
            job_id,
            "ann",
            "m1",
            JobState.QUEUED,
            "u",
            1000,
            ("a",),
            10 * partitions,
            1.0,
            1.0,
            options=JobOptions(webhook=webhook),
        ),
        slices,
        Idempotency(job_id, "print"),
    )


def claim(jobs: JobStore, now: float, worker: str = "w1") -> Claim:
    found = jobs.claim(WakeUp("", 0), worker, now, LEASE)
    assert found is not None
    return found


def part(of: Claim) -> Part:
    return Part(f"p{of.slice.number}", None, 9, 1)


def lines(jobs: JobStore) -> list[tuple[str, str, int | None]]:
    return [(entry.level, entry.message, entry.partition) for entry in jobs.log("j1", 0, 1000)]


@pytest.mark.parametrize(("cause", "kept"), [("a\0b", "a\ufffdb"), ("a\udcffb", "a?b")])
def test_a_cause_that_no_database_can_hold_is_told_all_the_same(
    jobs: JobStore, cause: str, kept: str
) -> None:
    add(jobs, 1)
    jobs.note("j1", "info", cause, None, 2.0)
    jobs.give_up(claim(jobs, 2.0), cause, final=True, now=3.0)
    job = jobs.get("j1", "ann")
    assert job.state is JobState.FAILED
    assert job.error == f"Partition 0 failed after 1 attempt: {kept}"
    (one,) = jobs.partitions("j1", -1, 10)
    assert one.error == kept
    assert ("info", kept, None) in lines(jobs)
    assert ("error", job.error, 0) in lines(jobs)


def test_the_log_tells_the_course_of_a_job(jobs: JobStore) -> None:
    add(jobs)
    first = claim(jobs, 2.0)
    jobs.give_up(claim(jobs, 2.0), "The storage is away.", final=False, now=3.0)
    claim(jobs, 3.0, "w2")
    assert jobs.commit(first, part(first), 4.0)
    jobs.sweep(20.0)
    last = claim(jobs, 21.0, "w3")
    assert jobs.commit(last, part(last), 22.0)
    assert jobs.finish("j1", 22.0)
    assert lines(jobs) == [
        ("info", "Submitted: 20 rows, 1,000 bytes, in 2 partitions.", None),
        ("info", "Worker w1 has begun.", None),
        ("warning", "Partition 1 failed in attempt 1: The storage is away.", 1),
        ("warning", "Worker w2 lost its lease in attempt 2 of 5.", 1),
        (
            "info",
            "Succeeded: 20 rows, 2 of them rejected, in 20.0 s (1 rows/s), 2 partitions in 4 attempts.",
            None,
        ),
    ]
    assert [entry.at for entry in jobs.log("j1", 0, 1000)] == [1.0, 2.0, 3.0, 20.0, 22.0]


def test_the_log_tells_of_failure_retry_and_cancellation(jobs: JobStore) -> None:
    add(jobs, 1)
    jobs.give_up(claim(jobs, 2.0), "Column 'a' is gone.", final=True, now=3.0)
    jobs.retry("j1", "ann", 4.0)
    jobs.cancel("j1", "ann", 5.0)
    jobs.cancel("j1", "ann", 6.0)
    assert lines(jobs)[2:] == [
        ("error", "Partition 0 failed after 1 attempt: Column 'a' is gone.", 0),
        (
            "error",
            "Failed with 0 of 10 rows done. Partition 0 failed after 1 attempt: Column 'a' is gone.",
            None,
        ),
        ("info", "Tried again: 1 partition of 1.", None),
        ("warning", "Cancelled with 0 of 10 rows done.", None),
    ]


def test_a_lease_that_another_worker_takes_over_is_told_of(jobs: JobStore) -> None:
    add(jobs, 1)
    claim(jobs, 2.0)
    claim(jobs, 20.0, "w2")
    assert lines(jobs)[-1] == ("warning", "Worker w1 lost its lease in attempt 1; w2 goes on.", 0)


def test_a_log_is_read_from_where_one_stopped(jobs: JobStore) -> None:
    add(jobs)
    for number in range(5):
        jobs.note("j1", "info", f"note {number}", None, 2.0)
    first = jobs.log("j1", 0, 4)
    rest = jobs.log("j1", first[-1].number, 100)
    assert [entry.message for entry in first[1:] + rest] == [f"note {number}" for number in range(5)]


def test_a_log_has_an_end_but_always_tells_how_the_job_ended(jobs: JobStore, database: Database) -> None:
    add(jobs)
    for number in range(MOST_LINES + 20):
        jobs.note("j1", "info", f"note {number}", 3, 2.0)
    jobs.cancel("j1", "ann", 3.0)
    log = jobs.log("j1", 0, 10_000)
    assert len(log) == MOST_LINES + 2
    assert (
        log[-2].message == "1000 lines were written; what comes between here and the job's end is left out."
    )
    assert log[-1].message == "Cancelled with 0 of 20 rows done."


def test_nothing_is_noted_of_a_job_that_there_is_not(jobs: JobStore) -> None:
    jobs.note("unknown", "info", "a note", None, 2.0)
    assert jobs.log("unknown", 0, 10) == []


def owed(database: Database) -> list[tuple[str, str, float | None]]:
    with database.read() as connection:
        return [
            (row.job_id, json.loads(row.body)["type"], row.due)
            for row in connection.execute(select(webhooks))
        ]


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_a_webhook_is_owed_from_the_very_transaction_that_ends_the_job(
    jobs: JobStore, database: Database, end: str
) -> None:
    add(jobs, 1, webhook="https://example.org/hook")
    held = claim(jobs, 2.0)
    assert owed(database) == []
    if end == "succeeded":
        jobs.commit(held, part(held), 3.0)
        jobs.finish("j1", 4.0)
        assert not jobs.finish("j1", 5.0)
    elif end == "failed":
        jobs.give_up(held, "cause", final=True, now=4.0)
    else:
        jobs.cancel("j1", "ann", 4.0)
        jobs.cancel("j1", "ann", 5.0)
    assert owed(database) == [("j1", f"job.{end}", 4.0)]


def test_a_job_that_is_tried_again_is_told_of_again(jobs: JobStore, database: Database) -> None:
    add(jobs, 1, webhook="https://example.org/hook")
    jobs.give_up(claim(jobs, 2.0), "cause", final=True, now=4.0)
    jobs.retry("j1", "ann", 5.0)
    again = claim(jobs, 6.0)
    jobs.commit(again, part(again), 7.0)
    jobs.finish("j1", 8.0)
    assert owed(database) == [("j1", "job.succeeded", 8.0)]


def test_nobody_is_told_who_did_not_ask(jobs: JobStore, database: Database) -> None:
    add(jobs, 1)
    jobs.cancel("j1", "ann", 2.0)
    assert owed(database) == []


def test_partitions_are_told_in_order_and_by_pages(jobs: JobStore) -> None:
    add(jobs, 5)
    first, second = claim(jobs, 2.0), claim(jobs, 2.5, "w2")
    assert jobs.renew(second, 3.0, LEASE, rows_done=4)
    assert jobs.commit(first, part(first), 4.0)
    told = jobs.partitions("j1", -2, 3)
    assert [(one.slice.number, str(one.state), one.rows_done, one.worker) for one in told] == [
        (0, "done", 10, "w1"),
        (1, "claimed", 4, "w2"),
        (2, "queued", 0, None),
    ]
    assert (told[0].claimed, told[0].committed, told[0].rows_rejected) == (2.0, 4.0, 1)
    assert [one.slice.number for one in jobs.partitions("j1", 2, 10)] == [3, 4]
    # Of the states that somebody asks for, by pages as well.
    open_ones = (PartitionState.CLAIMED, PartitionState.QUEUED)
    assert [one.slice.number for one in jobs.partitions("j1", -2, 2, open_ones)] == [1, 2]
    assert [one.slice.number for one in jobs.partitions("j1", 2, 10, open_ones)] == [3, 4]
    assert jobs.partitions("j1", -2, 10, [PartitionState.FAILED]) == []


def test_what_waits_counts_what_is_in_work_as_well(jobs: JobStore) -> None:
    add(jobs, 3)
    first = claim(jobs, 2.0)
    assert jobs.waiting() == {JobKind.SCORE: 3, JobKind.TRAIN: 0}
    jobs.commit(first, part(first), 3.0)
    assert jobs.waiting() == {JobKind.SCORE: 2, JobKind.TRAIN: 0}
    jobs.cancel("j1", "ann", 4.0)
    assert jobs.waiting() == {JobKind.SCORE: 0, JobKind.TRAIN: 0}


def test_a_job_is_removed_with_all_that_is_told_of_it_but_only_once_it_has_ended(jobs: JobStore) -> None:
    add(jobs, webhook="https://example.org/hook")
    with pytest.raises(InvalidJobState, match="queued"):
        jobs.remove("j1", "ann")
    jobs.cancel("j1", "ann", 2.0)
    with pytest.raises(NotFound):
        jobs.remove("j1", "bob")
    assert jobs.remove("j1", "ann").job_id == "j1"
    for gone in (lambda: jobs.get("j1", "ann"), lambda: jobs.remove("j1", "ann")):
        with pytest.raises(NotFound):
            gone()
    assert jobs.log("j1", 0, 10) == []
    # The key that made it makes another one.
    add(jobs)
    assert jobs.get("j1", "ann").state is JobState.QUEUED


def test_old_jobs_are_found_oldest_first(jobs: JobStore) -> None:
    for place, job_id in enumerate(("a", "b", "c", "d")):
        add(jobs, job_id=job_id)
        if job_id != "d":
            jobs.cancel(job_id, "ann", 10.0 - place)
    assert [job.job_id for job in jobs.ended_before(JobKind.SCORE, 10.0, 10)] == ["c", "b"]
    assert [job.job_id for job in jobs.ended_before(JobKind.SCORE, 11.0, 1)] == ["c"]
    assert jobs.ended_before(JobKind.TRAIN, 11.0, 10) == []
    assert [job.job_id for job in jobs.untidied(9.5, 10)] == ["c", "b"]
    jobs.tidied("c", 20.0)
    assert [job.job_id for job in jobs.untidied(11.0, 10)] == ["b", "a"]
