"""A worker that is told to leave finishes or hands back what it has in hand, and others go on at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from deployments import TERMINATE, Deployment, Process, until


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory, databases: Callable[[], str], rabbitmq_server: str
) -> Iterator[tuple[Deployment, Process, str]]:
    """A deployment without a worker, on a shared folder; its API, and a model that takes seconds a partition."""
    folder = tmp_path_factory.mktemp("draining")
    blobs = {"TENSORTRIGGER_BLOB_URL": f"file://{folder / 'blobs'}"}
    with Deployment(folder, databases(), rabbitmq_server, blobs, slice_rows="6000") as made:
        made.migrate()
        model = made.linear("slow", [[2.0]], layers=1, width=2000)
        yield made, made.start("api"), model.model_id


def partition_of(api: Process, job_id: str) -> dict[str, object]:
    (partition,) = api.client.get(f"/jobs/{job_id}/partitions").json()["partitions"]
    return partition


def in_work(line: tuple[Deployment, Process, str], worker: Process) -> str:
    """A job whose one partition this worker has claimed."""
    _, api, model_id = line
    rows = b"a\n" + b"".join(b"%d\n" % row for row in range(6000))
    answer = api.client.post(f"/jobs?model_id={model_id}", content=rows, headers={"Content-Type": "text/csv"})
    job_id = answer.json()["job_id"]
    until(lambda: partition_of(api, job_id)["state"] == "claimed", 20, every=0.02)
    assert partition_of(api, job_id)["worker"] == worker.name
    return job_id


def test_a_partition_in_hand_is_finished_within_the_grace_time(
    line: tuple[Deployment, Process, str],
) -> None:
    deployment, api, _ = line
    worker = deployment.start("worker")
    job_id = in_work(line, worker)
    assert worker.stop() == 0
    job = api.finished(job_id, 30)
    partition = partition_of(api, job_id)
    assert (job["state"], partition["worker"], partition["attempts"]) == ("succeeded", worker.name, 1)


def test_past_the_grace_time_it_is_handed_back_and_the_attempt_does_not_count(
    line: tuple[Deployment, Process, str],
) -> None:
    deployment, api, _ = line
    worker = deployment.start("worker", grace="0.2")
    job_id = in_work(line, worker)
    assert worker.stop() == 0
    partition = partition_of(api, job_id)
    assert (partition["state"], partition["attempts"]) == ("queued", 0)
    other = deployment.start("worker")
    assert api.finished(job_id, 60)["state"] == "succeeded"
    assert partition_of(api, job_id)["worker"] == other.name
    assert other.stop() == 0


def test_a_second_signal_ends_a_worker_at_once_and_the_partition_is_taken_up_when_its_lease_is_over(
    line: tuple[Deployment, Process, str],
) -> None:
    deployment, api, _ = line
    worker = deployment.start("worker", lease="3")
    job_id = in_work(line, worker)
    worker.signal(TERMINATE)
    until(lambda: "process.draining" in worker.words(), 10)
    worker.signal(TERMINATE)
    assert worker.process.wait(5) == 130
    other = deployment.start("worker", lease="3")
    assert api.finished(job_id, 60)["state"] == "succeeded"
    assert other.stop() == 0


def test_a_second_signal_ends_an_api_at_once_that_would_go_on_answering(
    line: tuple[Deployment, Process, str],
) -> None:
    deployment, _, _ = line
    api = deployment.start("api", linger="60")
    api.signal(TERMINATE)
    until(lambda: api.client.get("/ready").status_code == 503, 10)
    api.signal(TERMINATE)
    assert api.process.wait(5) == 130
