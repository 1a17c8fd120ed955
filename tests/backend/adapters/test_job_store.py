"""The promises of ``JobStore``, whoever keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.domain.errors import Conflict, NotFound, Unavailable
from tensortrigger_backend.domain.jobs import Claim, Job, JobKind, JobState, Part, Slice, WakeUp
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import Idempotency

LEASE = 10.0
AtOnce = Callable[[Callable[[int], Any]], Sequence[Any]]


def job(job_id: str = "j1", owner: str = "ann", created: float = 1.0, rows: int = 30) -> Job:
    return Job(
        job_id=job_id,
        owner=owner,
        model_id="m1",
        state=JobState.QUEUED,
        upload_key=f"jobs/{job_id}/upload",
        upload_size=1000,
        columns=("b", "a"),
        rows_total=rows,
        created=created,
        last_updated=created,
        output_columns={"z": ["z_0", "z_1"], "y": ["y"]},
        named_outputs=True,
    )


def slices(count: int) -> list[Slice]:
    return [Slice(number, 4 + 100 * number, 100, 10 * number, 10, 2 + 10 * number) for number in range(count)]


def part(claim: Claim, rejected: int = 0) -> Part:
    key = f"jobs/{claim.job_id}/parts/{claim.slice.number:08d}-{claim.fence}"
    return Part(key, f"{key}.rejects" if rejected else None, claim.slice.rows - rejected, rejected)


def claimed(
    jobs: JobStore, number: int = 0, worker: str = "w1", now: float = 2.0, job_id: str = "j1"
) -> Claim:
    claim = jobs.claim(WakeUp(job_id, number), worker, now, LEASE)
    assert claim is not None
    assert claim.slice.number == number
    return claim


def drained(jobs: JobStore, limit: int = 1000) -> list[WakeUp]:
    """What the relay would send now, taken out of the outbox."""
    messages: list[WakeUp] = []
    jobs.relay(limit, messages.append)
    return messages


def test_a_job_is_found_as_it_was_added(jobs: JobStore) -> None:
    added = jobs.add(job(), slices(3))
    assert (added.state, added.partitions_total, added.partitions_done) == (JobState.QUEUED, 3, 0)
    assert (added.columns, added.rows_done, added.rate) == (("b", "a"), 0, None)
    assert list(added.output_columns.items()) == [("z", ["z_0", "z_1"]), ("y", ["y"])]
    assert jobs.get("j1", "ann") == added


def test_one_transaction_writes_the_job_and_its_messages(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    assert jobs.outbox(10) == [WakeUp("j1", number) for number in range(3)]


def test_a_job_that_cannot_be_written_whole_is_not_written_at_all(jobs: JobStore) -> None:
    twice = [*slices(2), slices(1)[0]]
    with pytest.raises(Exception, match=r"UNIQUE|duplicate"):
        jobs.add(job(), twice, Idempotency("key", "print"))
    with pytest.raises(NotFound):
        jobs.get("j1", "ann")
    assert jobs.outbox(10) == []


def test_a_relay_that_dies_after_it_has_sent_loses_no_message(jobs: JobStore, database: Database) -> None:
    class Killed(BaseException):
        pass

    jobs.add(job(), slices(2))
    sent: list[WakeUp] = []

    def send(wake_up: WakeUp) -> None:
        sent.append(wake_up)
        if len(sent) == 2:
            raise Killed

    with pytest.raises(Killed):
        jobs.relay(10, send)
    reopened = Database(database.url)
    try:
        assert drained(SqlJobStore(reopened)) == sent == [WakeUp("j1", 0), WakeUp("j1", 1)]
    finally:
        reopened.close()


def test_a_queue_that_takes_no_more_gets_the_rest_later(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    sent: list[int] = []

    def send(wake_up: WakeUp) -> None:
        if len(sent) == 2:
            raise Unavailable("The queue is full.")
        sent.append(wake_up.partition)

    with pytest.raises(Unavailable, match="full"):
        jobs.relay(10, send)
    assert sent == [0, 1]
    assert jobs.outbox(10) == [WakeUp("j1", 2)]


def test_a_relay_forgets_what_it_has_sent_before_a_slow_queue_has_taken_all(
    jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensortrigger_backend.adapters.sql.job_store.SENDING", 0.0)
    jobs.add(job(), slices(3))
    assert jobs.relay(10, lambda _: time.sleep(0.001)) == 1
    assert jobs.outbox(10) == [WakeUp("j1", 1), WakeUp("j1", 2)]
    assert drained(jobs) == [WakeUp("j1", 1)]


def test_relays_at_once_share_the_messages(jobs: JobStore, at_once: AtOnce) -> None:
    jobs.add(job(rows=800), slices(80))
    sent = at_once(lambda _: drained(jobs, 10))
    assert sorted(wake_up.partition for some in sent for wake_up in some) == list(range(80))
    assert jobs.outbox(10) == []


def test_the_outbox_forgets_what_was_to_be_said_of_ended_jobs(jobs: JobStore) -> None:
    jobs.add(job("j1"), slices(1))
    jobs.cancel("j1", "ann", 2.0)
    jobs.add(job("j2"), slices(1))
    assert jobs.outbox(10) == [WakeUp("j2", 0)]
    assert drained(jobs) == [WakeUp("j2", 0)]
    assert jobs.relay(10, lambda _: None) == 0


def test_a_job_without_rows_has_succeeded_at_once(jobs: JobStore) -> None:
    done = jobs.add(job(rows=0), [])
    assert (done.state, done.finished, done.partitions_total) == (JobState.SUCCEEDED, 1.0, 0)
    assert jobs.outbox(10) == []
    assert jobs.complete_unfinished() == []


def test_an_idempotency_key_makes_one_job_only(jobs: JobStore, at_once: AtOnce) -> None:
    made = at_once(lambda thread: jobs.add(job(f"j{thread}"), slices(2), Idempotency("key", "print")).job_id)
    assert len(set(made)) == 1
    assert len(jobs.outbox(100)) == 2
    assert jobs.add(job("other"), slices(2), Idempotency("key", "print")).job_id == made[0]
    assert jobs.add(job("bobs", owner="bob"), slices(1), Idempotency("key", "print")).job_id == "bobs"


def test_an_idempotency_key_for_another_request_is_a_conflict(jobs: JobStore) -> None:
    jobs.add(job("j1"), slices(1), Idempotency("key", "print"))
    with pytest.raises(Conflict):
        jobs.add(job("j2"), slices(1), Idempotency("key", "other"))
    assert len(jobs.outbox(10)) == 1


def test_of_eight_threads_exactly_one_claims(jobs: JobStore, at_once: AtOnce) -> None:
    jobs.add(job(), slices(1))
    claims = at_once(lambda thread: jobs.claim(WakeUp("j1", 0), f"w{thread}", 2.0, LEASE))
    (claim,) = [claim for claim in claims if claim is not None]
    assert (claim.fence, claim.attempt, claim.lease_until) == (1, 1, 12.0)
    assert (claim.owner, claim.model_id, claim.columns) == ("ann", "m1", ("b", "a"))
    assert (claim.upload_key, claim.slice) == ("jobs/j1/upload", slices(1)[0])
    assert jobs.get("j1", "ann").attempts == 1


def test_the_first_claim_sets_the_job_running(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    claimed(jobs, 0, now=2.0)
    claimed(jobs, 1, now=3.0)
    running = jobs.get("j1", "ann")
    assert (running.state, running.started, running.last_updated) == (JobState.RUNNING, 2.0, 3.0)
    assert jobs.claimants() == ["w1"]


def test_there_is_nothing_to_claim_of_what_is_done_or_held(jobs: JobStore) -> None:
    assert jobs.claim(WakeUp("nothing", 0), "w1", 1.0, LEASE) is None
    jobs.add(job(), slices(1))
    claim = claimed(jobs)
    assert jobs.claim(WakeUp("j1", 0), "w2", 3.0, LEASE) is None
    assert jobs.commit(claim, part(claim), 3.0)
    assert jobs.claim(WakeUp("j1", 0), "w2", 1000.0, LEASE) is None


def test_a_lease_that_ran_out_lets_another_claim_with_a_higher_fence(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    first = claimed(jobs, now=2.0)
    assert jobs.claim(WakeUp("j1", 0), "w2", 12.0, LEASE) is None
    second = claimed(jobs, worker="w2", now=12.1)
    assert (second.fence, second.attempt) == (first.fence + 1, 2)


def test_a_renewed_lease_holds_longer(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    claim = claimed(jobs, now=2.0)
    assert jobs.renew(claim, 11.0, LEASE)
    assert jobs.claim(WakeUp("j1", 0), "w2", 20.9, LEASE) is None
    assert jobs.claim(WakeUp("j1", 0), "w2", 21.1, LEASE) is not None


def test_a_stale_fence_can_neither_renew_nor_commit_nor_give_up(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    stale = claimed(jobs, now=2.0)
    fresh = claimed(jobs, worker="w2", now=20.0)
    drained(jobs)
    assert not jobs.renew(stale, 21.0, LEASE)
    assert not jobs.commit(stale, part(stale), 21.0)
    jobs.give_up(stale, "late", final=True, now=21.0)
    assert jobs.get("j1", "ann").state is JobState.RUNNING
    assert jobs.outbox(10) == []
    assert jobs.commit(fresh, part(fresh), 22.0)
    assert not jobs.commit(stale, part(stale), 23.0)
    assert [kept.results_key for _, kept in jobs.parts("j1")] == [part(fresh).results_key]


def test_a_late_commit_counts_while_nobody_else_has_claimed(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    claim = claimed(jobs, now=2.0)
    assert jobs.commit(claim, part(claim), 500.0)


def test_a_partition_is_committed_once_though_eight_threads_try(jobs: JobStore, at_once: AtOnce) -> None:
    jobs.add(job(), slices(1))
    claim = claimed(jobs)
    assert sorted(at_once(lambda _: jobs.commit(claim, part(claim), 3.0))) == [False] * 7 + [True]
    assert jobs.get("j1", "ann").rows_done == 10


def test_a_cancelled_job_takes_no_commit_no_renewal_and_no_claim(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    claim = claimed(jobs)
    cancelled = jobs.cancel("j1", "ann", 3.0)
    assert (cancelled.state, cancelled.finished, cancelled.state.number) == (JobState.CANCELLED, 3.0, 3)
    assert not jobs.renew(claim, 4.0, LEASE)
    assert not jobs.commit(claim, part(claim), 4.0)
    assert jobs.claim(WakeUp("j1", 1), "w2", 4.0, LEASE) is None
    assert jobs.outbox(10) == []
    assert jobs.sweep(1000.0) == 0
    assert jobs.tell_again(JobKind.SCORE, 0, 1000.0, 1000.0) == 0
    assert not jobs.finish("j1", 5.0)
    assert jobs.cancel("j1", "ann", 9.0) == cancelled


def test_a_cancel_that_comes_after_the_end_changes_nothing(jobs: JobStore) -> None:
    jobs.add(job(rows=10), slices(1))
    claim = claimed(jobs)
    jobs.commit(claim, part(claim), 3.0)
    assert jobs.finish("j1", 4.0)
    assert jobs.cancel("j1", "ann", 5.0).state is JobState.SUCCEEDED


def test_a_job_finishes_only_when_all_partitions_are_done(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    claims = [claimed(jobs, number) for number in range(3)]
    for number in (2, 0, 1):
        assert not jobs.all_done("j1")
        assert not jobs.finish("j1", 3.0)
        assert jobs.complete_unfinished() == []
        assert jobs.commit(claims[number], part(claims[number], rejected=number), 3.0 + number)
    assert jobs.all_done("j1")
    assert jobs.complete_unfinished() == ["j1"]
    assert [slice_.number for slice_, _ in jobs.parts("j1")] == [0, 1, 2]
    assert jobs.parts("j1")[1] == (
        slices(3)[1],
        Part("jobs/j1/parts/00000001-1", "jobs/j1/parts/00000001-1.rejects", 9, 1),
    )
    assert jobs.finish("j1", 6.0)
    assert not jobs.finish("j1", 7.0)
    assert not jobs.all_done("j1")
    assert jobs.complete_unfinished() == []
    done = jobs.get("j1", "ann")
    assert (done.state, done.finished, done.rows_done, done.rows_rejected) == (JobState.SUCCEEDED, 6.0, 30, 3)


def test_progress_is_the_sum_of_what_was_committed(jobs: JobStore) -> None:
    jobs.add(job(), slices(3))
    first, second = claimed(jobs, 0, now=2.0), claimed(jobs, 1, now=2.0)
    assert jobs.get("j1", "ann").described()["progress"]["rows_done"] == 0
    jobs.commit(first, part(first, rejected=4), 4.0)
    jobs.commit(second, part(second), 6.0)
    assert jobs.get("j1", "ann").described()["progress"] == {
        "rows_done": 20,
        "rows_total": 30,
        "rows_rejected": 4,
        "rows_per_second": 5.0,
        "seconds_left": 2.0,
        "partitions_done": 2,
        "partitions_total": 3,
        "attempts": 2,
    }


def test_the_rate_is_that_of_the_latest_commits(jobs: JobStore) -> None:
    jobs.add(job(), slices(2))
    slow = claimed(jobs, 0, now=0.0)
    jobs.commit(slow, part(slow), 100.0)
    quick = claimed(jobs, 1, now=199.0)
    jobs.commit(quick, part(quick), 200.0)
    assert jobs.get("j1", "ann").rate == pytest.approx(10.0)


def test_nobody_sees_or_touches_what_another_owns(jobs: JobStore) -> None:
    jobs.add(job(), slices(1))
    for ask in (
        lambda: jobs.get("j1", "bob"),
        lambda: jobs.cancel("j1", "bob", 2.0),
        lambda: jobs.retry("j1", "bob", 2.0),
        lambda: jobs.get("unknown", "ann"),
    ):
        with pytest.raises(NotFound):
            ask()
    assert jobs.page("bob", 10, None).items == ()
    assert jobs.get("j1", "ann").state is JobState.QUEUED


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_pages_neither_skip_nor_repeat_where_many_have_the_same_time(jobs: JobStore, limit: int) -> None:
    times = {f"j{place}": float(place // 4) for place in range(9)}
    for job_id, created in times.items():
        jobs.add(job(job_id, created=created), slices(1))
    seen: list[str] = []
    cursor = None
    while True:
        page = jobs.page("ann", limit, cursor)
        seen += [item.job_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(times, key=lambda job_id: (times[job_id], job_id), reverse=True)
