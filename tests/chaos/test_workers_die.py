"""Workers that are killed, alone or all at once, or stopped for longer than their lease."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable

from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import LEASE, SLICE_ROWS, START, Deployment, Process, paused

from tensortrigger_backend.adapters.sql.database import STANDSTILL
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS
from tensortrigger_backend.services.steps import Step

Tell = Callable[[str], None]

SPARED = MAX_ATTEMPTS - 2
"""Attempts after which a partition is left in peace: one whose workers always die fails, as is promised."""
ARRIVED = 0.05
"""Seconds after which the database has done what a process sent it before it was stopped or killed."""


def kill_with_work(deployment: Deployment, chance: random.Random) -> Process | None:
    """Kill a worker that holds a partition; the worker, if it died with one."""
    holders = [worker for worker in deployment.workers if worker.alive and deployment.claimed(worker)]
    if not holders:
        return None
    victim = chance.choice(holders)
    if any(row.attempts > SPARED for row in deployment.claimed(victim)):
        return None
    # It may commit and claim the next one between the look and the kill; what counts is what it died with.
    victim.kill()
    deployment.workers.remove(victim)
    deployment.start_worker()
    time.sleep(ARRIVED)
    return victim if deployment.claimed(victim) else None


def test_no_row_is_lost_or_repeated_by_workers_that_are_killed(
    deployment: Deployment, upload: Upload, tell: Tell
) -> None:
    kills, chance, hits = times(10, 200), random.Random(1), 0
    while hits < kills:
        job_id, victims = deployment.submit(upload), set[str]()
        while not deployment.over(job_id):
            time.sleep(chance.uniform(0.0, 0.3))
            if len(victims) == 10 or hits == kills:
                continue
            if victim := kill_with_work(deployment, chance):
                victims.add(victim.name)
                hits += 1
                tell(f"{hits} of {kills} workers killed with a partition in hand")
        deployment.verify(job_id, upload)
        # Each of them left work behind in this job, which another one took up.
        assert victims <= deployment.losers(job_id)


def hold_all(deployment: Deployment) -> None:
    """Stop all workers at a moment when each of them holds a partition."""
    until = time.monotonic() + 30.0
    while True:
        for worker in deployment.workers:
            worker.send(signal.SIGSTOP)
        time.sleep(ARRIVED)
        if all(deployment.claimed(worker) for worker in deployment.workers):
            return
        for worker in deployment.workers:
            worker.send(signal.SIGCONT)
        assert time.monotonic() < until, "there was never one in each one's hands"
        time.sleep(0.02)


def test_no_row_is_lost_when_all_workers_are_killed(
    deployment: Deployment, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 10)):
        job_id = deployment.submit(upload)
        hold_all(deployment)
        victims = {worker.name for worker in deployment.workers}
        for worker in deployment.workers:
            worker.kill()
        deployment.workforce(2)
        deployment.verify(job_id, upload)
        assert victims <= deployment.losers(job_id)
        tell(f"all workers killed, turn {turn + 1}")


def stopped_with_work(deployment: Deployment, chance: random.Random) -> tuple[Process, object] | None:
    """A worker that is stopped, and the claim that it holds."""
    worker = chance.choice(deployment.workers)
    worker.send(signal.SIGSTOP)
    time.sleep(ARRIVED)
    held = deployment.claimed(worker)
    if held:
        return worker, held[0]
    worker.send(signal.SIGCONT)
    return None


def test_a_worker_that_was_stopped_past_its_lease_commits_nothing(
    deployment: Deployment, upload: Upload, tell: Tell
) -> None:
    stops, chance, refused = times(3, 100), random.Random(2), 0
    while refused < stops:
        job_id = deployment.submit(upload)
        while not deployment.over(job_id):
            time.sleep(chance.uniform(0.0, 0.2))
            found = stopped_with_work(deployment, chance) if refused < stops else None
            if found is None:
                continue
            worker, stale = found
            late = len(deployment.refusals(worker))
            try:
                taken = deployment.until_reclaimed(stale)
            finally:
                worker.send(signal.SIGCONT)
            until = time.monotonic() + 20.0
            while len(deployment.refusals(worker)) == late:
                assert time.monotonic() < until, "it never heard that its claim is lost"
                time.sleep(0.05)
            refused += 1
            (now,) = [row for row in deployment.partitions(job_id) if row.number == taken.number]
            assert now.fence > stale.fence
            assert not (now.results_key or "").endswith(f"-{stale.fence}.parquet")
            tell(f"{refused} of {stops} stale claims refused")
        deployment.verify(job_id, upload)


def test_a_part_that_is_ready_for_its_commit_is_refused_when_it_comes_too_late(
    deployment: Deployment, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 10)):
        others = list(deployment.workers)
        # One thread: it holds the one partition with which it stands still.
        fault = {
            "TENSORTRIGGER_FAULT_POINT": f"{Step.READY}:{1 + turn % 3}:stop",
            "TENSORTRIGGER_WORKERS": "1",
        }
        late = deployment.start_worker(**fault).wait_ready()
        with contextlib.ExitStack() as stack:
            for other in others:
                stack.enter_context(paused(other))
            job_id = deployment.submit(upload)
            until = time.monotonic() + START
            while not late.stopped:
                assert time.monotonic() < until
                time.sleep(0.02)
        (stale,) = deployment.claimed(late)
        deployment.until_reclaimed(stale)
        late.send(signal.SIGCONT)
        deployment.verify(job_id, upload)
        # It had done all that it does before the commit: nothing but the fence was between it and the results.
        assert late.stop() == 0
        (refused,) = deployment.told("worker.commit_refused", late)
        assert (refused["job_id"], refused["partition"]) == (job_id, stale.number)
        assert refused["fence"] == stale.fence
        assert deployment.told("worker.lost_claim", late) == []
        (now,) = [row for row in deployment.partitions(job_id) if row.number == stale.number]
        assert now.fence > stale.fence
        assert now.claims > 1
        assert not now.results_key.endswith(f"-{stale.fence}.parquet")
        deployment.workers.remove(late)
        tell(f"a late commit refused, turn {turn + 1}")


def test_messages_that_a_stopped_worker_has_in_hand_are_told_to_the_others(deployment: Deployment) -> None:
    small = [Upload(rows=SLICE_ROWS, seed=number) for number in range(8)]
    with paused(deployment.workers[0]):
        # The broker gives it messages as before: it has not been silent for long.
        jobs = [deployment.submit(one) for one in small]
        for job_id, one in zip(jobs, small, strict=True):
            # The database ends its transaction after a while, if it was stopped in the middle of one.
            deployment.verify(job_id, one, patience=STANDSTILL + 8 * LEASE)
