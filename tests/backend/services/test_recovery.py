"""What looks after jobs when nobody else does: does one thing that goes wrong keep it from all the others?"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.adapters.sources import ConfiguredSources
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.job_options import JobOptions, Source
from tensortrigger_backend.domain.jobs import INTAKE, Job, JobState, PartitionState, Slice, WakeUp
from tensortrigger_backend.services.completion import EVERY, GRACE, Completion
from tensortrigger_backend.services.recovery import UNSENT_FOR, Recovery
from tensortrigger_backend.services.remote_intake import RemoteIntake

if TYPE_CHECKING:
    from tensortrigger_backend.ports.jobs import JobStore
    from tests.backend.services.conftest import JobLine

LEASE = 10.0


class Refusing:
    """A store of which some calls fail."""

    def __init__(self, inner: Any, *names: str, error: Callable[[], Exception]) -> None:
        self._inner = inner
        self._names = names
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            return self._refuse
        return getattr(self._inner, name)

    def _refuse(self, *arguments: Any, **named: Any) -> Any:
        raise self._error()


def a_job(line: JobLine, rows: int = 15) -> Job:
    version = line.publish(np.array([[3.0]]), {"v": {"var_type": "FLOAT", "index": 0}})
    return line.upload(version, b"v\n" + b"".join(b"%d\n" % row for row in range(rows)))


def two_jobs(line: JobLine, rows: int = 15) -> tuple[Job, Job]:
    first = a_job(line, rows)
    line.clock.wait(1.0)
    return first, a_job(line, rows)


@pytest.mark.parametrize("name", ["claimants", "sweep", "complete_unfinished", "tell_again"])
@pytest.mark.parametrize("error", [lambda: Unavailable("away"), lambda: RuntimeError("a bug")])
def test_a_step_that_fails_keeps_no_other_from_being_done(
    line: JobLine, name: str, error: Callable[[], Exception]
) -> None:
    job = a_job(line)
    line.recovery(line.worker(), jobs=Refusing(line.jobs, name, error=error)).look_after()
    assert line.queue.depth() == job.partitions_total == 2


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a bug")])
def test_a_chore_that_fails_keeps_no_other_from_being_done(
    line: JobLine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def purge() -> int:
        raise error

    monkeypatch.setattr(line.registry, "purge", purge)
    done: list[str] = []
    line.recovery(line.worker(), tidy=lambda: done.append("tidied")).clean_up()
    assert done == ["tidied"]


def test_cleaning_up_among_many_blobs_holds_up_no_job(line: JobLine) -> None:
    line.clock.now = time.time()
    begun, listed, over = threading.Event(), threading.Event(), threading.Event()

    def tidy() -> None:
        begun.set()
        listed.wait(15.0)
        over.set()

    recovery = line.recovery(line.worker(), tidy=tidy)
    recovery.start()
    try:
        assert begun.wait(10.0)
        a_job(line)
        recovery.nudge()
        until = time.monotonic() + 10.0
        while line.queue.depth() < 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert line.queue.depth() == 2
        assert not over.is_set()
    finally:
        listed.set()
        recovery.close()


def test_who_is_told_to_stop_begins_no_further_chore(line: JobLine, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, told = threading.Event(), threading.Event()

    def purge() -> int:
        begun.set()
        told.wait(15.0)
        return 0

    monkeypatch.setattr(line.registry, "purge", purge)
    tidied = threading.Event()
    recovery = line.recovery(line.worker(), tidy=tidied.set)
    recovery.start()
    assert begun.wait(10.0)
    monkeypatch.setattr("tensortrigger_backend.services.recovery.PARTING", 0.1)
    recovery.close()
    told.set()
    monkeypatch.setattr("tensortrigger_backend.services.recovery.PARTING", 15.0)
    recovery.close()
    assert not tidied.is_set()


def test_stopping_waits_once_for_all_that_hangs(line: JobLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensortrigger_backend.services.recovery.PARTING", 2.0)
    tidying, relaying, over = threading.Event(), threading.Event(), threading.Event()

    def hang(begun: threading.Event) -> int:
        begun.set()
        over.wait(15.0)
        return 0

    recovery = line.recovery(line.worker(), tidy=lambda: hang(tidying))
    try:
        recovery.start()
        assert tidying.wait(10.0)
        monkeypatch.setattr(line.jobs, "relay", lambda *_: hang(relaying))
        recovery.nudge()
        assert relaying.wait(10.0)
        began = time.monotonic()
        recovery.close()
        assert 1.9 < time.monotonic() - began < 3.5
    finally:
        over.set()
        recovery.close()


def test_a_job_that_cannot_be_finished_holds_up_no_other(line: JobLine) -> None:
    first, second = two_jobs(line)
    worker = line.worker(jobs=Refusing(line.jobs, "all_done", error=lambda: Unavailable("away")))
    line.recovery(worker).relay()
    while line.queue.depth():
        with contextlib.suppress(Unavailable):
            line.work(worker)
    assert line.jobs.complete_unfinished() == [first.job_id, second.job_id]

    def finish(job_id: str) -> None:
        if job_id == first.job_id:
            raise Unavailable("The storage is away.")
        line.worker().finish(job_id)

    line.recovery(line.worker(), finish=finish).look_after()
    assert line.state(first).state is JobState.RUNNING
    assert line.state(second).state is JobState.SUCCEEDED


def test_partitions_whose_messages_went_down_with_a_queue_are_told_again(line: JobLine) -> None:
    job = a_job(line)
    line.recovery(line.worker()).relay()
    line.queue.close()
    line.queue = MemoryQueue()
    recovery = line.recovery(line.worker())
    recovery.look_after()
    assert line.queue.depth() == 0, "they may be on their way still"
    line.clock.wait(UNSENT_FOR + 1)
    recovery.look_after()
    assert line.queue.depth() == 2
    line.clock.wait(UNSENT_FOR + 1)
    recovery.look_after()
    assert line.queue.depth() == 2, "what waits in line is not told again"
    line.run()
    assert line.state(job).state is JobState.SUCCEEDED


def test_what_dead_attempts_left_of_ended_jobs_is_removed_after_a_while(line: JobLine) -> None:
    # As the files' own times are.
    line.clock.now = time.time()
    cancelled, failed = two_jobs(line, 30)
    for job in (cancelled, failed):
        line.blobs.put(f"jobs/{job.job_id}/parts/00000000-0.parquet", b"of an attempt that died")
        line.blobs.put(f"jobs/{job.job_id}/upload-0", b"half fetched")
    worker = line.worker()
    worker.handle(WakeUp("", 0))
    line.jobs.cancel(cancelled.job_id, "ann", line.clock())
    worker.handle(WakeUp("", 0))
    while (claim := line.jobs.claim(WakeUp("", 0), "w1", line.clock(), LEASE)) is not None:
        line.jobs.give_up(claim, "cause", final=True, now=line.clock())
    assert line.state(failed).state is JobState.FAILED
    kept = [part.results_key for _, part in line.jobs.parts(failed.job_id)]
    assert len(kept) == 1
    completion = Completion(line.jobs, line.blobs, line.clock, timer=line.clock)
    completion.look_after()
    assert len(line.blobs.keys(f"jobs/{failed.job_id}/parts")) == len(kept) + 1
    line.clock.wait(GRACE + EVERY + 1)
    completion.look_after()
    assert line.blobs.keys(f"jobs/{failed.job_id}/parts") == kept
    assert line.blobs.keys(f"jobs/{failed.job_id}") == [*kept, failed.upload_key]
    assert line.blobs.keys(f"jobs/{cancelled.job_id}") == [cancelled.upload_key]
    assert line.jobs.untidied(line.clock(), 10) == []
    line.scoring().retry(line.principal, failed.job_id)
    line.run()
    assert line.state(failed).state is JobState.SUCCEEDED


def test_a_clock_that_is_set_back_postpones_no_tidying(line: JobLine) -> None:
    passed = [0.0]
    line.clock.wait(2 * 3600.0)
    completion = Completion(line.jobs, line.blobs, line.clock, timer=lambda: passed[0])
    completion.look_after()
    line.jobs.add(Job("j", "ann", "m", JobState.QUEUED, "u", 1, (), 0, 1.0, 1.0), [])
    line.clock.wait(-3600.0)
    passed[0] += EVERY - 1
    completion.look_after()
    assert [job.job_id for job in line.jobs.untidied(line.clock(), 10)] == ["j"]
    passed[0] += 1
    completion.look_after()
    assert line.jobs.untidied(line.clock(), 10) == []


def test_a_clock_that_is_set_back_lets_nobody_wait_for_the_next_round(line: JobLine) -> None:
    rounds: queue.Queue[None] = queue.Queue()
    recovery = Recovery(
        line.jobs,
        line.queue,
        line.registry,
        lambda workers: [],
        line.worker().finish,
        line.clock,
        interval=0.02,
        settle=lambda: rounds.put(None),
    )
    recovery.start()
    try:
        line.clock.wait(-3600.0)
        for _ in range(3):
            rounds.get(timeout=10.0)
    finally:
        recovery.close()


@pytest.mark.parametrize("call", ["untidied", "parts"])
def test_a_job_that_is_tried_again_while_it_is_tidied_keeps_what_the_new_attempt_brings(
    line: JobLine, call: str
) -> None:
    version = line.publish(np.array([[3.0]]), {"v": {"var_type": "FLOAT", "index": 0}})
    lake = line.root / "lake"
    lake.mkdir()
    sources = ConfiguredSources({"lake": lake.as_uri()}, lambda url: pytest.fail(f"connected to {url}"))
    worker = line.worker(
        intake=RemoteIntake(line.models, line.blobs, row_formats(), sources, line.limits).cut
    )
    line.clock.now = time.time() - GRACE - 1.0
    job = Job("j", "ann", version.model_id, JobState.QUEUED, "", 0, (), 0, line.clock(), line.clock())
    job = replace(job, options=JobOptions(source=Source("lake", "rows.csv")))
    line.jobs.add(job, [Slice(INTAKE, 0, 0, 0, 0, 1)])
    line.run(worker)
    assert line.state(job).state is JobState.FAILED
    line.clock.now = time.time()

    class RetriedMeanwhile:
        def __getattr__(self, name: str) -> Any:
            def passed(*arguments: Any) -> Any:
                answer = getattr(line.jobs, name)(*arguments)
                if name == call:
                    (lake / "rows.csv").write_bytes(b"v\n" + b"1\n" * 15)
                    line.jobs.retry("j", "ann", line.clock())
                    line.run(worker)
                return answer

            return passed

    Completion(cast("JobStore", RetriedMeanwhile()), line.blobs, line.clock).look_after()
    done = line.state(job)
    assert done.state is JobState.SUCCEEDED
    assert line.rows(job)[0] == list(range(15))
    with line.scoring().upload(line.principal, "j") as stream:
        assert stream.read().startswith(b"v\n1\n")


def test_a_partition_that_cannot_be_scored_leaves_the_others_their_chance(line: JobLine) -> None:
    job = a_job(line, 30)
    gone: list[str] = []

    class OnePartGone:
        def __getattr__(self, name: str) -> Any:
            call = getattr(line.blobs, name)

            def passed(*arguments: Any, **named: Any) -> Any:
                if name == "put" and "parts/00000001" in arguments[0]:
                    gone.append(arguments[0])
                    raise OSError(28, "No space left on device")
                return call(*arguments, **named)

            return passed

    worker = line.worker(blobs=OnePartGone())  # type: ignore[arg-type]
    for _ in range(8):
        line.recovery(worker).look_after()
        line.work(worker)
        line.clock.wait(31.0)
    failed = line.state(job)
    assert (failed.state, failed.rows_done, len(gone)) == (JobState.FAILED, 20, 5)
    assert failed.error is not None
    assert failed.error.startswith("Partition 1 failed after 5 attempts: OSError: [Errno 28] No space left")
    states = [one.state for one in line.jobs.partitions(job.job_id, -1, 10)]
    assert states == [PartitionState.DONE, PartitionState.FAILED, PartitionState.DONE]
    line.scoring().retry(line.principal, job.job_id)
    line.run()
    assert line.rows(job)[0] == list(range(30))
    assert line.state(job).attempts == 8
