"""A job that is cancelled at any moment is over within five seconds, and stays so."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import Deployment

QUIET = 5.0


def test_a_cancelled_job_is_over_within_five_seconds_and_never_done_after(
    deployment: Deployment, upload: Upload, tell: Callable[[str], None]
) -> None:
    chance, cancels, cancelled = random.Random(3), times(8, 200), []
    began = time.monotonic()
    deployment.verify(deployment.submit(upload), upload, patience=60.0)
    usual = time.monotonic() - began
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
        while deployment.at_work(job_id):
            assert time.monotonic() - asked < QUIET, "a worker still works on it"
            time.sleep(0.05)
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
