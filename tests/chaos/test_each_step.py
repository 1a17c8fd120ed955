"""A process dies at each step of the protocol: the job comes out as if it had not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

import httpx
import pytest
from chaos.checker import Upload
from chaos.deployment import START, Deployment, Process

from tensortrigger_backend.services.steps import Step

OF_THE_API = (Step.UPLOAD_STORED, Step.JOB_WRITTEN, Step.TOLD, Step.RELAYED)
OF_WORKERS = (
    (Step.CLAIMED, Step.READ, Step.SCORED),
    (Step.RESULTS_WRITTEN, Step.REJECTS_WRITTEN, Step.READY, Step.COMMITTED),
    (Step.ACKNOWLEDGED, Step.MANIFEST_WRITTEN),
    (Step.FINISHED,),
)
"""Each row is one job, whose workers die one after another."""
LATER = {Step.RESULTS_WRITTEN: 3, Step.COMMITTED: 2, Step.ACKNOWLEDGED: 2}
"""Which pass of the step is fatal, where it is not the first."""


def test_no_step_is_left_out() -> None:
    assert {*OF_THE_API, *(step for steps in OF_WORKERS for step in steps)} == set(Step)


def died(process: Process) -> bool:
    return process.child.poll() == -signal.SIGKILL


@pytest.mark.parametrize("steps", OF_WORKERS, ids=lambda steps: "-".join(steps))
def test_a_job_survives_workers_that_die(
    deployment: Deployment, upload: Upload, steps: tuple[Step, ...], tell: Callable[[str], None]
) -> None:
    # Whoever else worked could take what the doomed one is to die of.
    deployment.workforce(0)
    jobs = [deployment.submit(upload)]
    for step in steps:
        doomed = deployment.start(
            "worker", TENSORTRIGGER_FAULT_POINT=f"{step}:{LATER.get(step, 1)}"
        ).wait_ready()
        until = time.monotonic() + START
        while not died(doomed):
            assert time.monotonic() < until, f"it did not pass {step}"
            assert doomed.alive
            if deployment.over(jobs[-1]):
                # The api was quicker to complete it.
                jobs.append(deployment.submit(upload))
            time.sleep(0.05)
        tell(f"died at {step}")
    deployment.workforce(1)
    for job_id in jobs:
        deployment.verify(job_id, upload)


def test_jobs_survive_an_api_that_dies_while_they_are_ordered(
    deployment: Deployment, upload: Upload, tell: Callable[[str], None]
) -> None:
    first, second = (f"{name}-{os.urandom(8).hex()}" for name in ("first", "second"))

    def dies_at(step: Step, key: str) -> None:
        with pytest.raises(httpx.TransportError):
            deployment.client.post(f"{deployment.url}/jobs", **deployment.order(upload, key))
        assert deployment.api is not None
        deployment.api.child.wait(START)
        assert died(deployment.api)
        tell(f"died at {step}")

    def restarted(step: Step | None) -> None:
        assert deployment.api is not None
        deployment.api.stop()
        deployment.start_api(**({"TENSORTRIGGER_FAULT_POINT": str(step)} if step else {}))

    before = deployment.known()
    restarted(Step.UPLOAD_STORED)
    dies_at(Step.UPLOAD_STORED, first)
    assert deployment.known() == before
    restarted(Step.JOB_WRITTEN)
    dies_at(Step.JOB_WRITTEN, first)
    (written,) = deployment.known() - before
    restarted(Step.TOLD)
    # Once it is written, asking again with the same key finds it.
    assert deployment.submit(upload, first) == written
    dies_at(Step.TOLD, second)
    restarted(None)
    jobs = [deployment.submit(upload, key) for key in (first, second)]
    assert deployment.known() - before == set(jobs)
    restarted(Step.RELAYED)
    # Workers relay too, and may be quicker.
    doomed, until = deployment.api, time.monotonic() + START
    deployment.workforce(0)
    while doomed is not None and not died(doomed):
        assert time.monotonic() < until
        answer = None
        with contextlib.suppress(httpx.TransportError):
            order = deployment.order(upload, os.urandom(8).hex())
            answer = deployment.client.post(f"{deployment.url}/jobs", **order)
        if answer is not None and answer.status_code == 201:
            jobs.append(answer.json()["job_id"])
        time.sleep(0.2)
    tell(f"died at {Step.RELAYED}")
    restarted(None)
    deployment.workforce(2)
    for job_id in jobs:
        deployment.verify(job_id, upload)
