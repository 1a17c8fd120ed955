"""Who is served next: does every owner get a share, whatever the size of their jobs?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.domain.jobs import INTAKE, Claim, Cut, Job, JobKind, JobState, Part, Slice, WakeUp
from tensortrigger_backend.ports.jobs import JobStore

LEASE = 10.0
AtOnce = Callable[[Callable[[int], Any]], Sequence[Any]]
ANY = WakeUp("any", 0)


def slices(count: int) -> list[Slice]:
    return [Slice(number, 100 * number, 100, 10 * number, 10, 2 + 10 * number) for number in range(count)]


def add(
    jobs: JobStore,
    job_id: str,
    owner: str = "ann",
    partitions: int = 2,
    created: float = 1.0,
    priority: int = 5,
    kind: JobKind = JobKind.SCORE,
) -> None:
    job = Job(
        job_id=job_id,
        owner=owner,
        model_id="m1",
        state=JobState.QUEUED,
        upload_key=f"jobs/{job_id}/upload",
        upload_size=1000,
        columns=("a",),
        rows_total=10 * partitions,
        created=created,
        last_updated=created,
        kind=kind,
        priority=priority,
        training={} if kind is JobKind.TRAIN else None,
    )
    jobs.add(job, slices(partitions))


def claim(jobs: JobStore, now: float = 5.0, worker: str = "w1") -> Claim:
    found = jobs.claim(ANY, worker, now, LEASE)
    assert found is not None
    return found


def commit(jobs: JobStore, done: Claim, now: float) -> None:
    assert jobs.commit(done, Part(f"{done.slice.number}-{done.fence}", None, done.slice.rows, 0), now)


def test_with_two_workers_a_small_job_gets_every_other_claim(jobs: JobStore) -> None:
    add(jobs, "huge", "ann", 100)
    in_hand = {worker: claim(jobs, 1.0, worker) for worker in ("w1", "w2")}
    add(jobs, "small", "bob", 10, created=2.0)
    order = []
    for place in range(18):
        worker = ("w1", "w2")[place % 2]
        now = 3.0 + place
        commit(jobs, in_hand[worker], now)
        in_hand[worker] = claim(jobs, now, worker)
        order.append(in_hand[worker].job_id)
    assert Counter(order[:2]) == {"huge": 1, "small": 1}
    assert Counter(order) == {"huge": 9, "small": 9}


def test_with_one_worker_owners_take_turns(jobs: JobStore) -> None:
    add(jobs, "huge", "ann", 100)
    for place in range(6):
        # Each of them is a job of its own, and so was never served before.
        add(jobs, f"small{place}", "bob", 1, created=2.0 + place)
    order = []
    for place in range(12):
        done = claim(jobs, 20.0 + place)
        commit(jobs, done, 20.5 + place)
        jobs.finish(done.job_id, 20.6 + place)
        order.append(done.owner)
    assert order == ["ann", "bob"] * 6


def test_a_new_owner_does_not_wait_for_a_huge_job(jobs: JobStore) -> None:
    add(jobs, "huge", "ann", 100)
    for place in range(5):
        claim(jobs, 2.0 + place)
    add(jobs, "small", "bob", 1, created=8.0)
    assert claim(jobs, 9.0).job_id == "small"
    assert claim(jobs, 9.1).job_id == "huge"


def test_who_has_the_fewest_partitions_in_work_goes_first_though_served_a_moment_ago(jobs: JobStore) -> None:
    add(jobs, "of-ann", "ann", 100)
    for place in range(3):
        claim(jobs, 2.0 + place)
    add(jobs, "of-bob", "bob", 100, created=5.0)
    assert [claim(jobs, 6.0 + place).owner for place in range(5)] == ["bob", "bob", "bob", "ann", "bob"]


def test_of_one_owner_the_highest_priority_goes_first_then_the_oldest(jobs: JobStore) -> None:
    add(jobs, "old", created=1.0)
    add(jobs, "new", created=2.0)
    add(jobs, "urgent", created=3.0, priority=9)
    add(jobs, "later", created=0.0, priority=0)
    order = [claim(jobs, 5.0 + place) for place in range(8)]
    assert [one.job_id for one in order] == [
        job for job in ("urgent", "old", "new", "later") for _ in range(2)
    ]
    assert [one.slice.number for one in order] == [0, 1] * 4


def test_ones_own_priority_takes_nothing_from_other_owners(jobs: JobStore) -> None:
    add(jobs, "loud", "ann", 10, priority=9)
    add(jobs, "quiet", "bob", 10, created=2.0, priority=0)
    order = [claim(jobs, 5.0 + place).job_id for place in range(6)]
    assert Counter(order) == {"loud": 3, "quiet": 3}


def test_jobs_that_wait_to_be_tried_again_keep_nobody_from_their_turn(jobs: JobStore) -> None:
    for number in range(40):
        add(jobs, f"failing{number}", "ann", 1, created=1.0 + number)
        jobs.give_up(claim(jobs), "The storage is away.", final=False, now=50.0, wait=30.0)
    add(jobs, "small", "bob", 1, created=60.0)
    assert claim(jobs, 61.0).job_id == "small"
    assert jobs.claim(ANY, "w1", 61.0, LEASE) is None
    assert claim(jobs, 80.0).owner == "ann"


def test_the_kind_of_a_message_is_that_of_the_job(jobs: JobStore) -> None:
    add(jobs, "training", kind=JobKind.TRAIN, partitions=1)
    assert jobs.claim(ANY, "w1", 5.0, LEASE) is None
    add(jobs, "scoring", created=2.0, partitions=1)
    assert claim(jobs).job_id == "scoring"
    trained = jobs.claim(WakeUp("any", 0, JobKind.TRAIN), "w1", 5.0, LEASE)
    assert trained is not None
    assert trained.job_id == "training"


def test_the_rows_of_a_source_are_fetched_and_cut_before_they_are_scored(jobs: JobStore) -> None:
    job = Job("j", "ann", "m1", JobState.QUEUED, "", 0, (), 0, 1.0, 1.0)
    jobs.add(job, [Slice(INTAKE, 0, 0, 0, 0, 1)])
    intake = claim(jobs)
    assert intake.slice.number == INTAKE
    assert jobs.claim(ANY, "w2", 5.0, LEASE) is None
    assert jobs.cut(intake, Cut(tuple(slices(3)), ("a", "b"), "jobs/j/upload", 300), 6.0)
    assert not jobs.cut(intake, Cut(tuple(slices(3)), ("a", "b"), "jobs/j/upload", 300), 6.0)
    cut = jobs.get("j", "ann")
    assert (cut.rows_total, cut.upload_size, cut.columns, cut.partitions_total) == (30, 300, ("a", "b"), 4)
    assert len(jobs.outbox(10)) == 4
    for number in range(3):
        done = claim(jobs, 7.0)
        assert (done.slice.number, done.columns, done.upload_key) == (number, ("a", "b"), "jobs/j/upload")
        commit(jobs, done, 8.0)
    assert [slice_.number for slice_, _ in jobs.parts("j")] == [0, 1, 2]
    assert jobs.finish("j", 9.0)
    assert jobs.get("j", "ann").rows_done == 30


def test_a_source_without_rows_makes_a_job_that_is_done(jobs: JobStore) -> None:
    jobs.add(Job("j", "ann", "m1", JobState.QUEUED, "", 0, (), 0, 1.0, 1.0), [Slice(INTAKE, 0, 0, 0, 0, 1)])
    assert jobs.cut(claim(jobs), Cut((), ("a",), "jobs/j/upload", 2), 6.0)
    assert jobs.complete_unfinished() == ["j"]
    assert jobs.finish("j", 7.0)


def test_a_cut_that_comes_after_a_cancellation_counts_for_nothing(jobs: JobStore) -> None:
    jobs.add(Job("j", "ann", "m1", JobState.QUEUED, "", 0, (), 0, 1.0, 1.0), [Slice(INTAKE, 0, 0, 0, 0, 1)])
    intake = claim(jobs)
    jobs.cancel("j", "ann", 5.0)
    assert not jobs.cut(intake, Cut(tuple(slices(3)), ("a",), "jobs/j/upload", 300), 6.0)
    assert [status.slice.number for status in jobs.partitions("j", -2, 10)] == [INTAKE]


def test_workers_at_once_claim_each_partition_once_and_commit_it_once(
    jobs: JobStore, at_once: AtOnce
) -> None:
    for owner in ("ann", "bob", "cleo"):
        add(jobs, f"of-{owner}", owner, 16)

    def work(thread: int) -> list[tuple[str, int]]:
        mine = []
        while (done := jobs.claim(ANY, f"w{thread}", 5.0, LEASE)) is not None:
            mine.append((done.job_id, done.slice.number))
            commit(jobs, done, 6.0)
            jobs.finish(done.job_id, 7.0)
        return mine

    claimed = [one for mine in at_once(work) for one in mine]
    assert len(claimed) == len(set(claimed)) == 48
    for owner in ("ann", "bob", "cleo"):
        done = jobs.get(f"of-{owner}", owner)
        assert (done.state, done.rows_done, done.attempts) == (JobState.SUCCEEDED, 160, 16)
    assert jobs.waiting() == {JobKind.SCORE: 0, JobKind.TRAIN: 0}


def test_a_job_that_is_cancelled_under_many_workers_takes_no_commit_after_that(
    jobs: JobStore, at_once: AtOnce
) -> None:
    add(jobs, "j", partitions=200)

    def work(thread: int) -> int:
        if thread == 0:
            time.sleep(0.05)
            jobs.cancel("j", "ann", 6.0)
            return jobs.get("j", "ann").rows_done
        while (done := jobs.claim(ANY, f"w{thread}", 5.0, LEASE)) is not None:
            jobs.commit(done, Part("p", None, 10, 0), 6.0)
        return -1

    at_cancel, *_ = at_once(work)
    cancelled = jobs.get("j", "ann")
    assert (cancelled.state, cancelled.rows_done) == (JobState.CANCELLED, at_cancel)
    done = [one for one in jobs.partitions("j", -2, 1000) if one.committed is not None]
    assert 10 * len(done) == at_cancel


def test_a_claim_is_quick_beside_many_jobs(database: Database) -> None:
    """200 open jobs of 200 partitions each: what a claim and a commit cost this process."""
    jobs = SqlJobStore(database)
    for number in range(200):
        add(jobs, f"j{number}", f"owner{number % 50}", 200, created=float(number))
    commit(jobs, claim(jobs), 6.0)
    started = time.process_time()
    for place in range(100):
        commit(jobs, claim(jobs, 10.0 + place), 11.0 + place)
    each = (time.process_time() - started) / 100
    assert each < 0.012, f"{1000 * each:.1f} ms"


def test_a_job_of_ten_thousand_partitions_is_written_and_relayed_soon(jobs: JobStore) -> None:
    started = time.process_time()
    add(jobs, "large", partitions=10_000)
    assert time.process_time() - started < 4.0
    assert jobs.get("large", "ann").partitions_total == 10_000
    sent: list[WakeUp] = []
    while jobs.relay(500, sent.append):
        pass
    assert [wake_up.partition for wake_up in sent] == list(range(10_000))
