"""A job that is cancelled at any moment is over within five seconds, and stays so."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import Deployment

QUIET = 5.0


def quiet(deployment: Deployment, asked: float) -> None:
    """Wait until no worker has anything in hand, which must be soon after the job's end was asked for."""
    while deployment.in_work():
        assert time.monotonic() - asked < QUIET, "a worker still works on it"
        time.sleep(0.05)


def usual_seconds(deployment: Deployment, upload: Upload) -> float:
    """From the answer to an order until its job is done, when nobody cancels it."""
    took = []
    for _ in range(3):
        job_id = deployment.submit(upload)
        began = time.monotonic()
        while not deployment.over(job_id):
            time.sleep(0.01)
        took.append(time.monotonic() - began)
    return statistics.median(took)


def test_a_cancelled_job_is_over_within_five_seconds_and_never_done_after(
    deployment: Deployment, upload: Upload, tell: Callable[[str], None]
) -> None:
    chance, cancels, cancelled = random.Random(3), times(8, 200), []
    usual = usual_seconds(deployment, upload)
    for turn in range(4 * cancels):
        job_id = deployment.submit(upload)
        time.sleep(chance.uniform(0.0, usual))
        asked = time.monotonic()
        answer = deployment.ask("POST", f"/jobs/{job_id}/cancel").json()["job"]
        assert time.monotonic() - asked < QUIET
        if answer["state"] == "succeeded":
            continue
        assert answer["state"] == "cancelled"
        done = deployment.done(job_id)
        quiet(deployment, asked)
        cancelled.append((job_id, done))
        tell(f"{len(cancelled)} of {cancels} cancelled before their end, in {turn + 1} tries")
        if len(cancelled) == cancels:
            break
    assert len(cancelled) == cancels
    time.sleep(1.0)
    for job_id, done in cancelled:
        job = deployment.job(job_id)
        assert job["state"] == "cancelled"
        assert deployment.done(job_id) == done
        assert deployment.ask("GET", f"/jobs/{job_id}/results").status_code == 400
    # The workers are free for the next one.
    deployment.verify(deployment.submit(upload), upload, patience=60.0)


def test_a_partition_of_a_cancelled_job_is_not_worked_on_to_its_end(deployment: Deployment) -> None:
    usual, long = deployment.api, Upload(rows=60_000)
    deployment.start_api(TENSORTRIGGER_SLICE_ROWS=str(long.rows))
    try:
        job_id = deployment.submit(long)
        while deployment.partitions(job_id)[0].state != "claimed":
            assert not deployment.over(job_id)
            time.sleep(0.02)
        asked = time.monotonic()
        assert deployment.ask("POST", f"/jobs/{job_id}/cancel").json()["job"]["state"] == "cancelled"
        quiet(deployment, asked)
    finally:
        assert deployment.api is not None
        deployment.api.stop()
        deployment.api = usual
    # Whoever works on without a claim comes to its commit, and is refused.
    assert job_id in [line["job_id"] for line in deployment.told("worker.lost_claim")]
    assert job_id not in [line["job_id"] for line in deployment.told("worker.commit_refused")]
