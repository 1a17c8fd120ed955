"""The broker, the database and the blob store go away, come back, and break in between."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import SLICE_ROWS, Deployment
from chaos.faulty_s3 import FAULTS, OF_LARGE_BLOBS, FaultyS3
from services import PostgresNode, RabbitNode

from tensortrigger_backend.adapters.queue_rabbitmq import RabbitQueue
from tensortrigger_backend.domain.jobs import WakeUp

Tell = Callable[[str], None]


def half_done(deployment: Deployment, job_id: str, share: float = 0.25) -> None:
    """Wait until the job is well on its way, and not yet over."""
    until = time.monotonic() + 60.0
    while deployment.job(job_id)["progress"]["rows_done"] < share * 6_000:
        assert time.monotonic() < until, deployment.partitions(job_id)
        time.sleep(0.02)
    assert not deployment.over(job_id)


def test_a_job_goes_on_when_the_broker_is_restarted(
    deployment: Deployment, rabbit: RabbitNode, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 10)):
        job_id = deployment.submit(upload)
        half_done(deployment, job_id)
        rabbit.restart(kill=turn % 2 == 1)
        deployment.verify(job_id, upload)
        tell(f"broker restarted, turn {turn + 1}")


def test_a_job_goes_on_when_its_queue_is_deleted(
    deployment: Deployment, rabbit: RabbitNode, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 3)):
        job_id = deployment.submit(upload)
        half_done(deployment, job_id)
        rabbit.ctl("delete_queue", "tensortrigger.score")
        deployment.verify(job_id, upload)
        tell(f"queue deleted, turn {turn + 1}")


class Bystander:
    """A caller who has nothing to do with the trouble: asks, orders small jobs and cancels them.

    Attributes:
        answers: how many there were of each status.
        wrong: what no caller may be answered.
        orders: the job of each idempotency key; None where the answer was that it may be tried again.
        cancelled: jobs of which it was told so.
    """

    upload = Upload(rows=40)

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._over = threading.Event()
        self._before = deployment.known()
        self.answers, self.wrong = Counter[int](), Counter[str]()
        self.orders: dict[str, str | None] = {}
        self.cancelled: set[str] = set()

    @contextmanager
    def at_it(self) -> Iterator[None]:
        """All the while."""
        thread = threading.Thread(target=self._act)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def settle(self) -> None:
        """Order everything once more: each job is there once, and what was cancelled stays so."""
        for key, job_id in self.orders.items():
            found = self._deployment.submit(self.upload, key)
            assert job_id in (None, found)
            self.orders[key] = found
        jobs = {job_id for job_id in self.orders.values() if job_id is not None}
        assert len(jobs) == len(self.orders)
        assert self._deployment.known() - self._before == jobs
        for job_id in jobs:
            if job_id in self.cancelled:
                assert self._deployment.job(job_id)["state"] == "cancelled"
            else:
                self._deployment.verify(job_id, self.upload)

    def _act(self) -> None:
        with httpx.Client(base_url=self._deployment.url, timeout=30.0, trust_env=False) as client:
            while not self._over.is_set():
                for path in ("/jobs", "/models", "/jobs/unknown"):
                    self._ask(client, "GET", path)
                key = os.urandom(8).hex()
                self.orders[key] = None
                answer = self._ask(client, "POST", "/jobs", **self._deployment.order(self.upload, key))
                if answer.status_code == 201:
                    self.orders[key] = job_id = answer.json()["job_id"]
                    answer = self._ask(client, "POST", f"/jobs/{job_id}/cancel")
                    if answer.is_success and answer.json()["job"]["state"] == "cancelled":
                        self.cancelled.add(job_id)
                time.sleep(0.02)

    def _ask(self, client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
        answer = client.request(method, path, **options)
        self.answers[answer.status_code] += 1
        if answer.status_code == 503 and "Retry-After" not in answer.headers:
            self.wrong[f"{method} {path}: 503 without Retry-After"] += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            self.wrong[f"{method} {path}: {answer.text}"] += 1
        return answer


def test_a_restarted_database_loses_nothing_and_is_answered_with_503(
    deployment: Deployment, postgres: PostgresNode, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 10)):
        job_id = deployment.submit(upload)
        half_done(deployment, job_id)
        bystander = Bystander(deployment)
        with bystander.at_it():
            if turn % 2:
                postgres.kill()
            else:
                postgres.stop()
            time.sleep(1.0)
            postgres.start()
            deployment.verify(job_id, upload)
        assert not bystander.wrong
        assert set(bystander.answers) == {200, 201, 404, 503}
        assert bystander.cancelled
        assert None in bystander.orders.values()
        bystander.settle()
        tell(f"database restarted, turn {turn + 1}: {dict(bystander.answers)}")


def test_a_blob_store_that_fails_and_cuts_answers_gives_no_wrong_byte(
    deployment: Deployment, s3: FaultyS3, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 10)):
        broken = s3.broken.total()
        s3.share = 0.2
        try:
            deployment.verify(deployment.submit(upload), upload)
        finally:
            s3.share = 0.0
        assert s3.broken.total() - broken > 10
        tell(f"S3 broken, turn {turn + 1}: {dict(s3.broken)}, {s3.passed} passed")
    assert set(s3.broken) == {"refused", "done_but_failed", "cut"}


def test_a_large_file_passes_whole_through_a_blob_store_that_breaks_its_parts(
    deployment: Deployment, s3: FaultyS3, tell: Tell
) -> None:
    # A partition for each fault, whose rows and whose results are too large for one request.
    large = Upload(rows=len(FAULTS) * SLICE_ROWS, wide=40 << 10)
    assert len(large.body) > 20 << 20
    for turn in range(times(1, 5)):
        s3.share, s3.due = 0.2, {kind: list(FAULTS) for kind in OF_LARGE_BLOBS}
        try:
            deployment.verify(deployment.submit(large), large)
        finally:
            s3.share, due, s3.due = 0.0, s3.due, {}
        assert due == {kind: [] for kind in OF_LARGE_BLOBS}, "not every fault was met"
        tell(f"S3 broken under a large file, turn {turn + 1}")


def test_a_partition_is_committed_once_however_often_its_message_comes(
    deployment: Deployment, rabbit: RabbitNode, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 20)):
        job_id = deployment.submit(upload)
        messages = [WakeUp(job_id, row.number) for row in deployment.partitions(job_id)]
        senders = [RabbitQueue(rabbit.url, "score") for _ in range(3)]
        start = threading.Barrier(3)

        def send(
            queue: RabbitQueue, start: threading.Barrier = start, messages: list[WakeUp] = messages
        ) -> None:
            start.wait()
            for message in messages:
                queue.publish(message)

        threads = [threading.Thread(target=send, args=(queue,)) for queue in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for queue in senders:
            queue.close()
        deployment.verify(job_id, upload)
        rows = deployment.partitions(job_id)
        assert [row.claims for row in rows] == [1] * len(rows)
        assert deployment.job(job_id)["progress"]["attempts"] == len(rows)
        tell(f"every message three times, turn {turn + 1}")
