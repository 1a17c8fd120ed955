"""What ``JobStore`` promises about work that failed or was lost, whoever keeps it."""

from __future__ import annotations

import pytest

from tensortrigger_backend.domain.errors import InvalidJobState
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, Claim, Job, JobState, Part, Slice, WakeUp
from tensortrigger_backend.ports.jobs import JobStore

LEASE = 10.0


def job(created: float = 1.0) -> Job:
    return Job("j1", "ann", "m1", JobState.QUEUED, "jobs/j1/upload", 1000, ("a",), 30, created, created)


def slices(count: int) -> list[Slice]:
    return [Slice(number, 100 * number, 100, 10 * number, 10, 2 + 10 * number) for number in range(count)]


def part(claim: Claim) -> Part:
    return Part(f"jobs/j1/parts/{claim.slice.number}-{claim.fence}", None, claim.slice.rows, 0)


def claimed(jobs: JobStore, number: int = 0, worker: str = "w1", now: float = 2.0) -> Claim:
    claim = jobs.claim(WakeUp("j1", number), worker, now, LEASE)
    assert claim is not None
    return claim


def drained(jobs: JobStore) -> list[WakeUp]:
    """What the relay would send now, taken out of the outbox."""
    messages = jobs.outbox(1000)
    jobs.sent([number for number, _ in messages])
    return [wake_up for _, wake_up in messages]


def test_what_was_given_up_is_queued_again_with_its_message(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    drained(jobs)
    claim = claimed(jobs, 1)
    jobs.give_up(claim, "no memory", final=False, now=3.0)
    assert drained(jobs) == [WakeUp("j1", 1)]
    again = claimed(jobs, 1, now=3.0)
    assert (again.attempt, again.fence) == (2, 2)
    assert jobs.get("j1", "ann").state is JobState.RUNNING


def test_a_final_failure_fails_the_job_and_names_partition_and_cause(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    jobs.give_up(claimed(jobs, 2), "Column 'a' is gone.", final=True, now=3.0)
    failed = jobs.get("j1", "ann")
    assert (failed.state, failed.finished) == (JobState.FAILED, 3.0)
    assert failed.error == "Partition 2 failed after 1 attempt: Column 'a' is gone."
    assert jobs.claim(WakeUp("j1", 0), "w2", 4.0, LEASE) is None


def test_the_fifth_given_up_attempt_fails_the_job(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert jobs.get("j1", "ann").state is not JobState.FAILED
        claim = claimed(jobs, 1, now=float(attempt))
        assert claim.attempt == attempt
        jobs.give_up(claim, f"cause {attempt}", final=False, now=float(attempt))
    assert jobs.get("j1", "ann").error == "Partition 1 failed after 5 attempts: cause 5"


def test_a_partition_whose_workers_all_die_fails_with_its_job(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    now = 2.0
    for _ in range(MAX_ATTEMPTS):
        claimed(jobs, 1, now=now)
        now += LEASE + 1
        drained(jobs)
        assert jobs.get("j1", "ann").state is JobState.RUNNING
        assert jobs.sweep(now, 1e6) == 1
    failed = jobs.get("j1", "ann")
    assert failed.state is JobState.FAILED
    assert failed.error == "Partition 1 failed after 5 attempts: Its worker died or lost its lease each time."
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
    claimed(jobs, 1, now=8.0)
    done = claimed(jobs, 2, now=2.0)
    jobs.commit(done, part(done), 3.0)
    assert jobs.sweep(12.5, 1000.0) == 1
    assert drained(jobs) == [WakeUp("j1", 0)]
    assert jobs.sweep(12.6, 1000.0) == 0


def test_the_sweeper_tells_queued_partitions_again_after_a_while(jobs: JobStore) -> None:
    jobs.add(job(created=100.0), slices(2))
    drained(jobs)
    assert jobs.sweep(159.0, 60.0) == 0
    assert jobs.sweep(161.0, 60.0) == 2
    assert drained(jobs) == [WakeUp("j1", 0), WakeUp("j1", 1)]
    assert jobs.sweep(200.0, 60.0) == 0


def test_a_swept_partition_takes_no_commit_of_its_lost_claim(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    claim = claimed(jobs, now=2.0)
    jobs.sweep(13.0, 1000.0)
    assert not jobs.renew(claim, 13.5, LEASE)
    assert not jobs.commit(claim, part(claim), 14.0)
    assert jobs.get("j1", "ann").rows_done == 0


def test_retry_resets_only_what_is_not_done(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    drained(jobs)
    done = claimed(jobs, 0)
    jobs.commit(done, part(done), 3.0)
    jobs.give_up(claimed(jobs, 1), "cause", final=True, now=4.0)
    retried = jobs.retry("j1", "ann", 5.0)
    assert (retried.state, retried.error, retried.finished) == (JobState.RUNNING, None, None)
    assert (retried.rows_done, retried.partitions_done) == (10, 1)
    assert drained(jobs) == [WakeUp("j1", 1), WakeUp("j1", 2)]
    assert jobs.retry("j1", "ann", 6.0).state is JobState.RUNNING
    assert drained(jobs) == []
    again = claimed(jobs, 1, now=7.0)
    assert (again.attempt, again.fence) == (1, 2)
    # Repeated work stays visible: a retry starts new attempts, and forgets none.
    assert jobs.get("j1", "ann").attempts == 3


def test_a_worker_from_before_the_retry_cannot_commit(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    stale = claimed(jobs, 0)
    jobs.give_up(claimed(jobs, 1), "cause", final=True, now=4.0)
    assert not jobs.commit(stale, part(stale), 4.5)
    jobs.retry("j1", "ann", 5.0)
    assert not jobs.commit(stale, part(stale), 6.0)


def test_only_a_failed_job_can_be_retried(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    jobs.cancel("j1", "ann", 2.0)
    with pytest.raises(InvalidJobState, match="only a failed job"):
        jobs.retry("j1", "ann", 3.0)


def test_the_leases_of_dead_workers_are_ended(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    drained(jobs)
    stale = claimed(jobs, 0, "dead")
    claimed(jobs, 1, "alive")
    assert sorted(jobs.claimants()) == ["alive", "dead"]
    assert jobs.abandon(["dead", "unknown"]) == 1
    assert jobs.sweep(3.0, 1000.0) == 1
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
