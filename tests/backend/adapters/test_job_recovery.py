"""What ``JobStore`` promises about work that failed or was lost, whoever keeps it."""

from __future__ import annotations

import pytest

from tensortrigger_backend.domain.errors import InvalidJobState
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, Claim, Job, JobKind, JobState, Part, Slice, WakeUp
from tensortrigger_backend.ports.jobs import JobStore

LEASE = 10.0


def job(created: float = 1.0, rows: int = 30) -> Job:
    return Job("j1", "ann", "m1", JobState.QUEUED, "jobs/j1/upload", 1000, ("a",), rows, created, created)


def slices(count: int) -> list[Slice]:
    return [Slice(number, 100 * number, 100, 10 * number, 10, 2 + 10 * number) for number in range(count)]


def part(claim: Claim) -> Part:
    return Part(f"jobs/j1/parts/{claim.slice.number}-{claim.fence}", None, claim.slice.rows, 0)


def claimed(jobs: JobStore, number: int = 0, worker: str = "w1", now: float = 2.0) -> Claim:
    claim = jobs.claim(WakeUp("j1", number), worker, now, LEASE)
    assert claim is not None
    assert claim.slice.number == number
    return claim


def drained(jobs: JobStore) -> list[WakeUp]:
    """What the relay would send now, taken out of the outbox."""
    messages: list[WakeUp] = []
    jobs.relay(1000, messages.append)
    return messages


def test_what_was_given_up_is_queued_again_with_its_message(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    drained(jobs)
    claimed(jobs, 0)
    claim = claimed(jobs, 1)
    jobs.give_up(claim, "no memory", final=False, now=3.0)
    assert drained(jobs) == [WakeUp("j1", 1)]
    again = claimed(jobs, 1, now=3.0)
    assert (again.attempt, again.fence) == (2, 2)
    assert jobs.get("j1", "ann").state is JobState.RUNNING


def test_what_failed_for_a_passing_reason_waits_a_while(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    drained(jobs)
    jobs.give_up(claimed(jobs), "the storage is away", final=False, now=3.0, wait=5.0)
    assert claimed(jobs, 1, now=4.0)
    assert jobs.claim(WakeUp("j1", 0), "w2", 7.9, LEASE) is None
    assert jobs.sweep(7.9) == 0
    assert jobs.sweep(8.1) == 1
    assert drained(jobs) == [WakeUp("j1", 0)]
    assert claimed(jobs, 0, now=8.2).attempt == 2


def test_a_failed_partition_leaves_the_others_running_and_fails_the_job_at_its_end(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    first, second, third = (claimed(jobs, number) for number in range(3))
    jobs.give_up(second, "Column 'a' is gone.", final=True, now=3.0)
    running = jobs.get("j1", "ann")
    assert (running.state, running.error, running.partitions_failed) == (JobState.RUNNING, None, 1)
    assert jobs.commit(first, part(first), 4.0)
    assert jobs.get("j1", "ann").state is JobState.RUNNING
    assert jobs.commit(third, part(third), 5.0)
    failed = jobs.get("j1", "ann")
    assert (failed.state, failed.finished, failed.rows_done) == (JobState.FAILED, 5.0, 20)
    assert failed.error == "Partition 1 failed after 1 attempt: Column 'a' is gone."
    assert jobs.claim(WakeUp("j1", 0), "w2", 6.0, LEASE) is None
    assert not jobs.finish("j1", 6.0)


def test_a_job_that_failed_names_five_partitions_and_how_many_more(jobs: JobStore) -> None:
    jobs.add(job(), slices(8))
    for number in range(8):
        jobs.give_up(claimed(jobs, number), f"cause {number}", final=True, now=3.0)
    assert jobs.get("j1", "ann").error == (
        "8 partitions failed. "
        + " ".join(f"Partition {number} failed after 1 attempt: cause {number}" for number in range(5))
        + " And 3 more."
    )


def test_the_fifth_given_up_attempt_fails_the_job(jobs: JobStore) -> None:
    jobs.add(job(rows=10), slices(1))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert jobs.get("j1", "ann").state is not JobState.FAILED
        claim = claimed(jobs, now=float(attempt))
        assert claim.attempt == attempt
        jobs.give_up(claim, f"cause {attempt}", final=False, now=float(attempt))
    assert jobs.get("j1", "ann").error == "Partition 0 failed after 5 attempts: cause 5"


def test_a_partition_whose_workers_all_die_fails_with_its_job(jobs: JobStore) -> None:
    jobs.add(job(rows=10), slices(1))
    now = 2.0
    for _ in range(MAX_ATTEMPTS):
        claimed(jobs, now=now)
        now += LEASE + 1
        drained(jobs)
        assert jobs.get("j1", "ann").state is JobState.RUNNING
        assert jobs.sweep(now) == 1
    failed = jobs.get("j1", "ann")
    assert failed.state is JobState.FAILED
    assert failed.error == "Partition 0 failed after 5 attempts: Its worker died or lost its lease each time."
    assert drained(jobs) == []
    assert failed.attempts == MAX_ATTEMPTS


def test_no_sixth_attempt_starts_before_the_sweeper_comes(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    now = 2.0
    for _ in range(MAX_ATTEMPTS):
        claimed(jobs, now=now)
        now += LEASE + 1
    assert jobs.claim(WakeUp("j1", 0), "w2", now, LEASE) is None


def test_the_sweeper_tells_expired_partitions_again_and_no_others(jobs: JobStore) -> None:
    jobs.add(job(), slices(4))
    drained(jobs)
    claimed(jobs, 0, now=2.0)
    done = claimed(jobs, 1, now=2.0)
    jobs.commit(done, part(done), 3.0)
    claimed(jobs, 2, now=8.0)
    assert jobs.sweep(12.5) == 1
    assert drained(jobs) == [WakeUp("j1", 0)]
    assert jobs.sweep(12.6) == 0


def test_partitions_whose_messages_were_lost_are_told_again_after_a_while(jobs: JobStore) -> None:
    jobs.add(job(created=100.0), slices(3))
    drained(jobs)
    score = JobKind.SCORE
    assert jobs.tell_again(score, in_line=0, told_before=99.0, now=159.0) == 0
    assert jobs.tell_again(score, in_line=3, told_before=101.0, now=161.0) == 0
    assert jobs.tell_again(JobKind.TRAIN, in_line=0, told_before=101.0, now=161.0) == 0
    # No more than are missing: what waits in line has its message.
    assert jobs.tell_again(score, in_line=1, told_before=101.0, now=161.0) == 2
    assert drained(jobs) == [WakeUp("j1", 0), WakeUp("j1", 1)]
    assert jobs.tell_again(score, in_line=0, told_before=101.0, now=162.0) == 1
    assert jobs.tell_again(score, in_line=0, told_before=101.0, now=163.0) == 0


def test_a_swept_partition_takes_no_commit_of_its_lost_claim(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    claim = claimed(jobs, now=2.0)
    jobs.sweep(13.0)
    assert not jobs.renew(claim, 13.5, LEASE)
    assert not jobs.commit(claim, part(claim), 14.0)
    assert jobs.get("j1", "ann").rows_done == 0


def test_retry_queues_only_what_failed(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    drained(jobs)
    first, second, third = (claimed(jobs, number) for number in range(3))
    jobs.commit(first, part(first), 3.0)
    jobs.give_up(second, "cause", final=True, now=4.0)
    jobs.give_up(third, "cause", final=True, now=4.0)
    retried = jobs.retry("j1", "ann", 5.0)
    assert (retried.state, retried.error, retried.finished) == (JobState.RUNNING, None, None)
    assert (retried.rows_done, retried.partitions_done, retried.partitions_failed) == (10, 1, 0)
    assert drained(jobs) == [WakeUp("j1", 1), WakeUp("j1", 2)]
    assert jobs.retry("j1", "ann", 6.0).state is JobState.RUNNING
    assert drained(jobs) == []
    again = claimed(jobs, 1, now=7.0)
    assert (again.attempt, again.fence) == (1, 2)
    # Repeated work stays visible: a retry starts new attempts, and forgets none.
    assert jobs.get("j1", "ann").attempts == 4
    last = claimed(jobs, 2, now=7.0)
    assert jobs.commit(again, part(again), 8.0)
    assert jobs.commit(last, part(last), 8.0)
    assert jobs.finish("j1", 9.0)


def test_a_worker_from_before_the_retry_cannot_commit(jobs: JobStore) -> None:
    jobs.add(job(rows=10), slices(1))
    stale = claimed(jobs, now=2.0)
    jobs.sweep(20.0)
    jobs.give_up(claimed(jobs, worker="w2", now=20.0), "cause", final=True, now=21.0)
    assert not jobs.commit(stale, part(stale), 22.0)
    jobs.retry("j1", "ann", 23.0)
    assert not jobs.commit(stale, part(stale), 24.0)


def test_a_job_that_counts_other_rows_than_came_in_fails_and_tells_the_numbers(jobs: JobStore) -> None:
    jobs.add(job(rows=20), slices(2))
    for number in range(2):
        claim = claimed(jobs, number)
        jobs.commit(claim, Part(f"p{number}", None, 9 - number, 1), 3.0)
    assert jobs.all_done("j1")
    assert not jobs.finish("j1", 4.0)
    failed = jobs.get("j1", "ann")
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.startswith("20 rows came in, but 17 were scored and 2 rejected")


def test_only_a_failed_job_can_be_retried(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    jobs.cancel("j1", "ann", 2.0)
    with pytest.raises(InvalidJobState, match="only a failed job can be retried, this one was cancelled"):
        jobs.retry("j1", "ann", 3.0)


def test_the_leases_of_dead_workers_are_ended(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    drained(jobs)
    stale = claimed(jobs, 0, "dead")
    claimed(jobs, 1, "alive")
    assert sorted(jobs.claimants()) == ["alive", "dead"]
    assert jobs.abandon(["dead", "unknown"]) == 1
    assert jobs.sweep(3.0) == 1
    assert drained(jobs) == [WakeUp("j1", 0)]
    assert jobs.claimants() == ["alive"]
    assert not jobs.commit(stale, part(stale), 4.0)
    assert claimed(jobs, 0, "alive", now=4.0).fence == 2
    assert jobs.abandon([]) == 0


def test_a_dead_worker_of_a_cancelled_job_is_not_abandoned_again_and_again(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    claimed(jobs, 0, "dead")
    jobs.cancel("j1", "ann", 3.0)
    assert jobs.claimants() == []
