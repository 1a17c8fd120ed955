"""A worker that dies or dawdles at any step: is every row still there exactly once, in order?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import Job, JobState, WakeUp
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.services.recovery import UNSENT_FOR
from tensortrigger_backend.services.steps import Step
from tensortrigger_backend.services.worker import Worker, WorkerThread

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", EVERYTHING)
LEASE = 10.0
WEIGHTS = np.array([[3.0]])
OUTSIDE = (Step.UPLOAD_STORED, Step.JOB_WRITTEN, Step.TOLD, Step.ACKNOWLEDGED)
"""Steps that are passed before there is a job to work on, or after all is done."""
CALLS = 16
"""Calls that one worker makes of the stores for a job of two partitions, one of which has a reject."""


class Killed(BaseException):
    """The process is gone: nothing after this line runs."""


def dies_at(step: Step) -> Callable[[Step], None]:
    """Kills at the first pass of a step."""

    def at(passed: Step) -> None:
        if passed is step:
            raise Killed(step)

    return at


class Interrupted:
    """A store or blob store of which each call is first shown to ``before`` and then to ``after``."""

    def __init__(
        self, inner: Any, before: Callable[[str], None], after: Callable[[str], None] = lambda _: None
    ) -> None:
        self._inner = inner
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def passed(*arguments: Any, **named: Any) -> Any:
            self._before(name)
            result = call(*arguments, **named)
            self._after(name)
            return result

        return passed


class Countdown:
    """Kills at one of the calls, counted over all stores together."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.calls: list[str] = []

    def __call__(self, name: str) -> None:
        self.calls.append(name)
        if self.left == 0:
            raise Killed(name)
        self.left -= 1


def worker_that_dies(line: JobLine, before: int = -1, after: int = -1) -> tuple[Worker, Countdown, Countdown]:
    first, then = Countdown(before), Countdown(after)
    worker = line.worker(
        "w1", jobs=Interrupted(line.jobs, first, then), blobs=Interrupted(line.blobs, first, then)
    )
    return worker, first, then


def small_job(line: JobLine) -> Job:
    """Two partitions of ten and five rows; row 12 cannot be scored."""
    version = line.publish(WEIGHTS, {"v": {"var_type": "FLOAT", "index": 0}})
    body = "".join("none\n" if row == 12 else f"{row}\n" for row in range(15))
    return line.upload(version, b"v\n" + body.encode())


def everything_is_there_once(line: JobLine, job: Job) -> None:
    done = line.state(job)
    assert (done.state, done.rows_done, done.rows_rejected) == (JobState.SUCCEEDED, 15, 1)
    rows, answers = line.rows(job)
    assert rows == [row for row in range(15) if row != 12]
    np.testing.assert_array_equal(answers[:, 0], np.array(rows) * 3.0)
    rejects = line.scoring().rejects(ANN, job.job_id, 10, None).items
    assert [(reject.row, reject.line) for reject in rejects] == [(12, 14)]
    kept = {
        key for _, part in line.jobs.parts(job.job_id) for key in (part.results_key, part.rejects_key) if key
    }
    assert set(line.blobs.keys(f"jobs/{job.job_id}/parts")) == kept
    assert line.blobs.keys(f"jobs/{job.job_id}").count(f"jobs/{job.job_id}/manifest") == 1
    assert not list((line.root / "incoming").iterdir())


def test_a_worker_that_lives_makes_so_many_calls(line: JobLine) -> None:
    job = small_job(line)
    worker, calls, _ = worker_that_dies(line)
    line.run(worker)
    everything_is_there_once(line, job)
    assert len(calls.calls) == CALLS, calls.calls
    assert line.state(job).attempts == 2


@pytest.mark.parametrize("at", range(CALLS))
def test_a_worker_may_die_before_any_call_and_its_lease_runs_out(line: JobLine, at: int) -> None:
    job = small_job(line)
    doomed, _, _ = worker_that_dies(line, before=at)
    with pytest.raises(Killed):
        line.run(doomed)
    # A message that was taken and died before its claim is told again, too.
    line.clock.wait(max(LEASE, UNSENT_FOR) + 1)
    survivor = line.worker("w2")
    line.recovery(survivor).look_after()
    line.work(survivor)
    everything_is_there_once(line, job)
    # What was committed before was not scored again.
    assert line.state(job).attempts <= 3
    assert sum(scored + rejected for scored, rejected in line.scored) in (5, 15)


@pytest.mark.parametrize("at", range(CALLS))
def test_a_process_may_die_after_any_call_and_the_next_one_goes_on_at_once(line: JobLine, at: int) -> None:
    job = small_job(line)
    doomed, _, _ = worker_that_dies(line, after=at)
    with pytest.raises(Killed):
        line.run(doomed)
    # The memory queue dies with its process; that the worker is dead is known from its lock.
    line.queue.close()
    line.queue = MemoryQueue()
    line.dead.add("w1")
    line.clock.wait(0.5)
    successor = line.worker("w2")
    line.recovery(successor).resume()
    line.work(successor)
    everything_is_there_once(line, job)
    assert line.state(job).attempts <= 3


@pytest.mark.parametrize("step", [step for step in Step if step not in OUTSIDE])
def test_a_process_may_die_at_any_step_and_another_one_goes_on(line: JobLine, step: Step) -> None:
    job = small_job(line)
    doomed = line.worker("w1", at=dies_at(step))
    recovery = line.recovery(doomed, at=dies_at(step))

    def relay_and_work() -> None:
        recovery.relay()
        line.work(doomed)

    with pytest.raises(Killed):
        relay_and_work()
    line.dead.add("w1")
    successor = line.worker("w2")
    line.recovery(successor).look_after()
    line.work(successor)
    everything_is_there_once(line, job)
    assert line.state(job).attempts <= 3


def test_a_job_of_which_every_worker_dies_fails_and_names_the_partition(line: JobLine) -> None:
    job = small_job(line)
    line.worker().handle(WakeUp(job.job_id, 0))
    for attempt in range(5):
        doomed, _, _ = worker_that_dies(line, after=0)
        with pytest.raises(Killed):
            doomed.handle(WakeUp(job.job_id, 1))
        line.clock.wait(LEASE + 1)
        line.recovery(line.worker("w2")).look_after()
        assert line.state(job).attempts == attempt + 2
    failed = line.state(job)
    assert failed.state is JobState.FAILED
    assert failed.error == "Partition 1 failed after 5 attempts: Its worker died or lost its lease each time."
    line.scoring().retry(ANN, job.job_id)
    line.run()
    everything_is_there_once(line, job)


def test_a_worker_that_slept_past_its_lease_commits_nothing_and_clears_up(line: JobLine) -> None:
    job = small_job(line)
    slept: list[str] = []

    def sleep_before_commit(name: str) -> None:
        if name == "commit" and not slept:
            slept.append(name)
            line.clock.wait(LEASE + 1)
            line.run(line.worker("w2"))

    sleeper = line.worker("w1", jobs=Interrupted(line.jobs, sleep_before_commit))
    sleeper.handle(WakeUp(job.job_id, 0))
    assert slept
    everything_is_there_once(line, job)
    assert line.state(job).attempts == 3
    assert [part.results_key[-10:] for _, part in line.jobs.parts(job.job_id)] == ["-2.parquet", "-1.parquet"]


def test_a_part_that_was_orphaned_is_collected_when_the_job_succeeds(line: JobLine) -> None:
    job = small_job(line)
    doomed, calls, _ = worker_that_dies(line, before=3)
    with pytest.raises(Killed):
        doomed.handle(WakeUp(job.job_id, 0))
    assert calls.calls[-1] == "commit"
    assert len(line.blobs.keys(f"jobs/{job.job_id}/parts")) == 1
    line.clock.wait(LEASE + 1)
    line.run()
    everything_is_there_once(line, job)


def test_a_job_that_is_cancelled_before_the_commit_keeps_no_part(line: JobLine) -> None:
    job = small_job(line)

    def cancel_before_commit(name: str) -> None:
        if name == "commit":
            line.scoring().cancel(ANN, job.job_id)

    line.run(line.worker("w1", jobs=Interrupted(line.jobs, cancel_before_commit)))
    cancelled = line.state(job)
    assert (cancelled.state, cancelled.rows_done, cancelled.attempts) == (JobState.CANCELLED, 0, 1)
    assert line.blobs.keys(f"jobs/{job.job_id}/parts") == []
    assert line.scored == []


def test_a_job_that_is_cancelled_while_it_finishes_does_not_succeed(line: JobLine) -> None:
    job = small_job(line)

    def cancel_before_finish(name: str) -> None:
        if name == "finish":
            line.scoring().cancel(ANN, job.job_id)

    line.run(line.worker("w1", jobs=Interrupted(line.jobs, cancel_before_finish)))
    assert line.state(job).state is JobState.CANCELLED


def long_job(line: JobLine) -> Job:
    """One partition of three calls of the engine."""
    line.limits = CutSize(20_000, 1 << 24, 1 << 24)
    version = line.publish(WEIGHTS, {"v": {"var_type": "FLOAT", "index": 0}})
    return line.upload(version, b"v\n" + b"".join(b"%d\n" % row for row in range(9000)))


class Dawdling:
    """A step of a worker that takes as long as it takes its lease to be renewed so often."""

    def __init__(self, renewals: int, at_the_last: Callable[[], None] = lambda: None) -> None:
        self.calls: list[str] = []
        self._left = renewals
        self._at_the_last = at_the_last
        self._renewed = threading.Event()

    def before_job_call(self, name: str) -> None:
        if name == "renew" and self._left == 1:
            self._at_the_last()

    def after_job_call(self, name: str) -> None:
        self.calls.append(name)
        if name == "renew":
            self._left -= 1
            if self._left == 0:
                self._renewed.set()

    def before_blob_call(self, name: str) -> None:
        if name == "read":
            assert self._renewed.wait(20.0)


def test_a_step_that_takes_longer_than_the_lease_renews_it(line: JobLine) -> None:
    job = long_job(line)
    line.clock = time.time  # type: ignore[assignment]
    slow = Dawdling(renewals=5)
    jobs = Interrupted(line.jobs, slow.before_job_call, slow.after_job_call)
    started = time.monotonic()
    line.run(line.worker("w1", jobs, Interrupted(line.blobs, slow.before_blob_call), lease=0.3))
    assert time.monotonic() - started > 0.3
    assert line.state(job).state is JobState.SUCCEEDED
    assert line.state(job).attempts == 1
    rows, answers = line.rows(job)
    assert rows == list(range(9000))
    np.testing.assert_array_equal(answers[:, 0], np.arange(9000) * 3.0)


def test_a_partition_whose_job_was_cancelled_is_dropped_at_the_next_renewal(line: JobLine) -> None:
    job = long_job(line)
    line.clock = time.time  # type: ignore[assignment]
    slow = Dawdling(renewals=2, at_the_last=lambda: line.jobs.cancel(job.job_id, "ann", time.time()) and None)
    jobs = Interrupted(line.jobs, slow.before_job_call, slow.after_job_call)
    line.run(line.worker("w1", jobs, Interrupted(line.blobs, slow.before_blob_call), lease=0.3))
    assert slow.calls.count("renew") == 2
    assert not {"commit", "give_up"} & set(slow.calls)
    assert line.state(job).state is JobState.CANCELLED
    assert line.blobs.keys(f"jobs/{job.job_id}/parts") == []


def test_a_part_whose_job_was_cancelled_before_all_of_it_was_written_is_not_kept(line: JobLine) -> None:
    job = small_job(line)
    line.clock = time.time  # type: ignore[assignment]
    refused = threading.Event()

    def cancel(step: Step) -> None:
        if step is Step.RESULTS_WRITTEN:
            line.jobs.cancel(job.job_id, "ann", time.time())
            refused.clear()
            assert refused.wait(20.0)

    renewed = Interrupted(line.jobs, lambda _: None, lambda name: refused.set() if name == "renew" else None)
    worker = line.worker("w1", renewed, lease=0.3, at=cancel)
    worker.handle(WakeUp(job.job_id, 0))
    assert line.state(job).state is JobState.CANCELLED
    assert line.blobs.keys(f"jobs/{job.job_id}/parts") == []


def test_every_message_delivered_three_times_at_once_gives_one_commit_a_partition(line: JobLine) -> None:
    line.limits = CutSize(5, 1 << 20, 1 << 20)
    version = line.publish(WEIGHTS, {"v": {"var_type": "FLOAT", "index": 0}})
    job = line.upload(version, b"v\n" + b"".join(b"%d\n" % row for row in range(40)))
    for wake_up in line.jobs.outbox(100):
        for _ in range(3):
            line.queue.publish(wake_up)
    threads = [threading.Thread(target=line.work, args=(line.worker(f"w{number}"),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert line.state(job).attempts == 8
    assert sorted(line.scored) == [(5, 0)] * 8
    assert line.rows(job)[0] == list(range(40))


def test_a_relay_that_dies_after_it_has_sent_sends_again_and_harms_nothing(line: JobLine) -> None:
    job = small_job(line)
    recovery = line.recovery(line.worker(), at=dies_at(Step.RELAYED))
    with pytest.raises(Killed):
        recovery.relay()
    assert line.queue.depth() == 1
    line.run()
    everything_is_there_once(line, job)
    assert line.state(job).attempts == 2


def test_a_full_queue_postpones_messages_and_loses_none(line: JobLine) -> None:
    job = small_job(line)
    line.queue = MemoryQueue(capacity=1)
    worker = line.worker()
    recovery = line.recovery(worker)
    for _ in range(3):
        try:
            recovery.relay()
        except Unavailable:
            assert line.jobs.outbox(10)
        line.work(worker)
    assert line.state(job).rows_done >= 10
    line.queue = MemoryQueue()
    line.run()
    everything_is_there_once(line, job)


def test_threads_take_a_job_to_its_end_by_themselves(line: JobLine) -> None:
    line.clock = time.time  # type: ignore[assignment]
    worker = line.worker()
    recovery = line.recovery(worker)
    threads = [WorkerThread(worker, line.queue, f"worker-{number}") for number in range(2)]
    recovery.start()
    for thread in threads:
        thread.start()
    try:
        job = small_job(line)
        recovery.nudge()
        until = time.monotonic() + 20.0
        while not line.state(job).state.final and time.monotonic() < until:
            time.sleep(0.02)
        everything_is_there_once(line, job)
    finally:
        recovery.close()
        line.queue.close()
        for thread in threads:
            thread.close()
    recovery.close()
    threads[0].close()
