"""The broker, the database and the blob store go away, come back, and break in between."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import Deployment
from chaos.faulty_s3 import FaultyS3
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


@contextmanager
def asked_all_the_while(deployment: Deployment) -> Iterator[Counter[int]]:
    """Requests of a caller who has nothing to do with the trouble: their answers by status."""
    over, answers, hasty = threading.Event(), Counter[int](), Counter[str]()

    def ask() -> None:
        with httpx.Client(timeout=30.0, trust_env=False) as client:
            while not over.is_set():
                for path in ("/jobs", "/models", "/jobs/unknown"):
                    answer = client.get(f"{deployment.url}{path}")
                    answers[answer.status_code] += 1
                    if answer.status_code == 503 and "Retry-After" not in answer.headers:
                        hasty[path] += 1
                    if answer.status_code >= 500 and answer.status_code != 503:
                        hasty[f"{path}: {answer.text}"] += 1
                time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
    assert not hasty


def test_a_restarted_database_loses_nothing_and_is_answered_with_503(
    deployment: Deployment, postgres: PostgresNode, upload: Upload, tell: Tell
) -> None:
    for turn in range(times(1, 10)):
        job_id = deployment.submit(upload)
        half_done(deployment, job_id)
        with asked_all_the_while(deployment) as answers:
            if turn % 2:
                postgres.kill()
            else:
                postgres.stop()
            time.sleep(1.0)
            postgres.start()
            deployment.verify(job_id, upload)
        assert set(answers) == {200, 404, 503}
        tell(f"database restarted, turn {turn + 1}: {dict(answers)}")


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
