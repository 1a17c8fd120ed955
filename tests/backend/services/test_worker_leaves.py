"""A worker that is to leave, or whose queue or database is away: is its work finished, or free for others at once?"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import Claim, Job, JobState, WakeUp
from tensortrigger_backend.services.heartbeat import Heartbeat, LostClaim
from tensortrigger_backend.services.steps import Step
from tensortrigger_backend.services.worker_thread import WorkerThread, drain

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

LEASE = 10.0


def a_job(line: JobLine, rows: int = 10) -> Job:
    version = line.publish(np.array([[3.0]]), {"v": {"var_type": "FLOAT", "index": 0}})
    return line.upload(version, b"v\n" + b"".join(b"%d\n" % row for row in range(rows)))


class Held:
    """Blobs whose reading takes until it is let go."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.reading = threading.Event()
        self.go = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, *arguments: Any, **named: Any) -> Any:
        self.reading.set()
        assert self.go.wait(20.0)
        return self._inner.read(*arguments, **named)


def held_worker(line: JobLine) -> tuple[Held, WorkerThread]:
    """A thread that has a partition in hand."""
    blobs = Held(line.blobs)
    worker = line.worker("leaving", blobs=blobs)  # type: ignore[arg-type]
    line.recovery(worker).relay()
    thread = WorkerThread(worker, line.queue, "leaving")
    thread.start()
    assert blobs.reading.wait(10.0)
    return blobs, thread


def test_a_worker_that_is_to_leave_finishes_what_it_has_in_hand(line: JobLine) -> None:
    job = a_job(line, 20)
    blobs, thread = held_worker(line)
    threading.Timer(0.2, blobs.go.set).start()
    assert thread.drain(grace=10.0)
    left = line.state(job)
    assert (left.rows_done, left.attempts, left.state) == (10, 1, JobState.RUNNING)
    assert line.queue.depth() == 1, "it has taken another message"


def test_what_takes_longer_than_the_grace_time_is_handed_back_and_counts_as_no_attempt(line: JobLine) -> None:
    job = a_job(line)
    blobs, thread = held_worker(line)
    started = time.monotonic()
    threading.Timer(0.6, blobs.go.set).start()
    assert drain([thread], grace=0.1)
    assert time.monotonic() - started < 5.0
    line.run(line.worker("w2"))
    done = line.state(job)
    assert (done.state, done.rows_done, done.attempts) == (JobState.SUCCEEDED, 10, 2)
    ((_, part),) = line.jobs.parts(job.job_id)
    assert line.blobs.keys(f"jobs/{job.job_id}/parts") == [part.results_key]
    (status,) = line.jobs.partitions(job.job_id, -1, 10)
    assert (status.attempts, status.worker) == (1, "w2")


def test_all_threads_of_a_process_leave_within_one_grace_time(line: JobLine) -> None:
    a_job(line, 30)
    blobs = Held(line.blobs)
    worker = line.worker("leaving", blobs=blobs)  # type: ignore[arg-type]
    line.recovery(worker).relay()
    threads = [WorkerThread(worker, line.queue, f"leaving-{number}") for number in range(3)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 10.0
    while len(line.jobs.claimants()) < 1 or line.jobs.outbox(1) or line.queue.depth() < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    started = time.monotonic()
    threading.Timer(0.8, blobs.go.set).start()
    assert drain(threads, grace=0.3)
    assert time.monotonic() - started < 4.0
    assert line.jobs.claimants() == []


class Ailing:
    """A queue, or a worker, that is away a few times."""

    def __init__(self, inner: Any, name: str, errors: list[Exception]) -> None:
        self._inner = inner
        self._name = name
        self._errors = errors

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name != self._name:
            return call

        def passed(*arguments: Any, **named: Any) -> Any:
            if self._errors:
                raise self._errors.pop()
            return call(*arguments, **named)

        return passed


@pytest.mark.parametrize("name", ["receive", "handle", "ack"])
def test_nothing_that_happens_to_its_queue_or_database_ends_a_thread(
    line: JobLine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensortrigger_backend.services.worker_thread.WAITS", (0.01,))
    job = a_job(line, 20)
    errors: list[Exception] = [Unavailable("away"), RuntimeError("a bug")]
    queue: Any = Ailing(line.queue, name, errors)
    if name == "ack":
        receive = line.queue.receive
        queue = Ailing(line.queue, "", [])
        queue.receive = lambda timeout: (found := receive(timeout)) and Ailing(found, "ack", errors)
    worker: Any = Ailing(line.worker(), name, errors)
    line.recovery(line.worker()).relay()
    thread = WorkerThread(worker, queue, "ailing")
    thread.start()
    until = time.monotonic() + 10.0
    while not line.state(job).state.final and time.monotonic() < until:
        time.sleep(0.01)
    assert thread.drain(1.0)
    assert not errors
    assert (line.state(job).state, line.state(job).rows_done) == (JobState.SUCCEEDED, 20)


def test_a_message_that_comes_while_the_worker_leaves_goes_back(line: JobLine) -> None:
    taken: list[WakeUp] = []

    class Worker:
        def handle(self, wake_up: WakeUp) -> None:
            taken.append(wake_up)

        def stop(self) -> None: ...

    thread = WorkerThread(Worker(), line.queue, "leaving")
    thread.take_no_more()
    line.queue.publish(WakeUp("j", 0))
    delivery = line.queue.receive(0.0)
    assert delivery is not None
    thread._handle(delivery)
    assert taken == []
    assert line.queue.receive(0.0) is not None


def test_an_acknowledgement_is_a_step_of_the_protocol(line: JobLine) -> None:
    a_job(line)
    worker, steps = line.worker(), list[Step]()
    line.recovery(worker).relay()
    thread = WorkerThread(worker, line.queue, "w", steps.append)
    thread.start()
    until = time.monotonic() + 10.0
    while not steps and time.monotonic() < until:
        time.sleep(0.01)
    assert thread.drain(1.0)
    assert steps == [Step.ACKNOWLEDGED]


def a_claim(line: JobLine) -> Claim:
    a_job(line)
    claim = line.jobs.claim(WakeUp("", 0), "w1", line.clock(), LEASE)
    assert claim is not None
    return claim


def test_a_cancellation_is_noticed_within_two_seconds_however_long_the_lease_is(line: JobLine) -> None:
    claim = a_claim(line)
    with Heartbeat(line.jobs, claim, line.clock, lease=60.0) as heartbeat:
        line.jobs.cancel(claim.job_id, claim.owner, line.clock())
        asked = time.monotonic()
        while not heartbeat.lost:
            assert time.monotonic() - asked < 2.0
            time.sleep(0.01)
        with pytest.raises(LostClaim):
            heartbeat.check()


def test_how_many_rows_are_done_is_told_with_the_lease(line: JobLine) -> None:
    claim = a_claim(line)
    with Heartbeat(line.jobs, claim, line.clock, LEASE, every=60.0) as heartbeat:
        heartbeat.check(rows_done=7)
        heartbeat.verify()
        (status,) = line.jobs.partitions(claim.job_id, -1, 10)
        assert status.rows_done == 7
        heartbeat.check()
        heartbeat.verify()
    (status,) = line.jobs.partitions(claim.job_id, -1, 10)
    assert status.rows_done == 7


def test_a_worker_whose_database_does_not_answer_for_longer_than_its_lease_stops_and_leaves(
    line: JobLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensortrigger_backend.services.heartbeat.PARTING", 0.1)
    claim, answer = a_claim(line), threading.Event()

    class Hanging:
        def renew(self, *_: Any) -> bool:
            return answer.wait(30.0)

    with Heartbeat(Hanging(), claim, line.clock, lease=0.3) as heartbeat:  # type: ignore[arg-type]
        heartbeat.check()
        until = time.monotonic() + 10.0
        while not heartbeat.lost:
            assert time.monotonic() < until
            time.sleep(0.01)
        with pytest.raises(LostClaim):
            heartbeat.check()
    assert not answer.is_set()
    answer.set()


def test_a_worker_whose_database_is_away_longer_than_its_lease_stops(line: JobLine) -> None:
    claim = a_claim(line)
    away = Ailing(line.jobs, "renew", [Unavailable("away") for _ in range(1000)])
    with Heartbeat(away, claim, line.clock, LEASE, every=0.01) as heartbeat:  # type: ignore[arg-type]
        time.sleep(0.1)
        heartbeat.check()
        line.clock.wait(LEASE + 0.1)
        until = time.monotonic() + 10.0
        while not heartbeat.lost and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(LostClaim):
            heartbeat.check()
