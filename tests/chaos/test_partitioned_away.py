"""A worker whose network is cut for longer than its lease, while it works on."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator

import pytest
from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import SLICE_ROWS, Deployment, Process, paused
from chaos.relay import Relay
from services import PostgresNode, RabbitNode


@pytest.fixture
def cables(postgres: PostgresNode, rabbit: RabbitNode) -> Iterator[tuple[Relay, Relay]]:
    """To the database and to the broker."""
    relays = Relay(postgres.port), Relay(rabbit.port)
    yield relays
    for relay in relays:
        relay.close()


@pytest.fixture
def remote(deployment: Deployment, cables: tuple[Relay, Relay]) -> Iterator[Process]:
    """A worker that reaches both by these cables only, beside the two that need none."""
    behind = {
        name: re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{cable.port}", deployment.environ[name])
        for name, cable in zip(
            ("TENSORTRIGGER_DATABASE_URL", "TENSORTRIGGER_BROKER_URL"), cables, strict=True
        )
    }
    worker = deployment.start_worker(**behind).wait_ready()
    yield worker
    deployment.workers.remove(worker)
    assert worker.stop() == 0


@pytest.mark.parametrize("cut", ["the database", "the broker", "both"])
def test_a_worker_that_is_cut_off_past_its_lease_adds_no_row_and_works_again_afterwards(
    deployment: Deployment,
    cables: tuple[Relay, Relay],
    remote: Process,
    upload: Upload,
    cut: str,
    tell: Callable[[str], None],
) -> None:
    of_database = cut != "the broker"
    pulled = {"the database": cables[:1], "the broker": cables[1:], "both": cables}[cut]
    for turn in range(times(1, 20)):
        job_id = deployment.submit(upload)
        with contextlib.ExitStack() as network:
            while True:
                for cable in pulled:
                    network.enter_context(cable.pulled())
                # What was on its way has arrived.
                time.sleep(0.05)
                if held := deployment.claimed(remote):
                    break
                network.close()
                if deployment.over(job_id):
                    job_id = deployment.submit(upload)
                time.sleep(0.05)
            # Without the broker it may work on: the database knows it, and only its acknowledgement is late.
            if of_database:
                taken = deployment.until_reclaimed(held[0])
            deployment.verify(job_id, upload)
        if of_database:
            # What it sent late has arrived: it was refused, or its transaction was ended long ago.
            until = time.monotonic() + 60.0
            while deployment.in_work():
                assert time.monotonic() < until, "it never left off"
                time.sleep(0.05)
            (now,) = [row for row in deployment.partitions(job_id) if row.number == taken.number]
            assert now.fence > held[0].fence
            assert not (now.results_key or "").endswith(f"-{held[0].fence}.parquet")
        tell(f"cut off from {cut}, turn {turn + 1}")
    # The cables are back: it works, and no other could.
    with contextlib.ExitStack() as stack:
        for other in deployment.workers:
            if other is not remote:
                stack.enter_context(paused(other))
        small = Upload(rows=SLICE_ROWS)
        deployment.verify(deployment.submit(small), small)
