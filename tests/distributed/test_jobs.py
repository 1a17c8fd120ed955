"""Jobs come in at one API, are worked on by all workers, and are seen at every API."""

from __future__ import annotations

from collections import Counter

import pytest
from deployments import Deployment, Process, until
from scrapes import counted

Apis = tuple[Process, Process]
Workers = tuple[Process, Process]

OUTCOMES = {
    "job_rows_total": ("scored", "rejected"),
    "partitions_total": ("claimed", "committed", "failed", "late", "handed_back"),
}


@pytest.fixture(scope="module")
def linear(deployment: Deployment) -> str:
    """y = 2a + 3b, and takes its time: 200 rows are some tenths of a second."""
    return deployment.linear("linear", [[2.0], [3.0]], layers=1, width=800).model_id


def table(rows: int) -> bytes:
    return b"a,b\n" + b"".join(b"%d,%d\n" % (row, row % 7) for row in range(rows))


def submit(api: Process, model_id: str, data: bytes) -> str:
    answer = api.client.post(f"/jobs?model_id={model_id}", content=data, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 201, answer.text
    return answer.json()["job_id"]


def waiting(api: Process, kind: str = "score") -> float:
    """What autoscaling goes by."""
    return counted(api.client, "partitions_waiting", kind=kind)


def work_of(workers: Workers) -> Counter[str]:
    """What workers have counted, together."""
    return Counter(
        {
            outcome: round(sum(counted(worker.client, name, outcome=outcome) for worker in workers))
            for name, outcomes in OUTCOMES.items()
            for outcome in outcomes
        }
    )


def in_hand(workers: Workers) -> float:
    return sum(counted(worker.client, "partitions_in_work") for worker in workers)


def test_two_workers_share_a_job_and_its_rows_come_out_once_and_in_order(
    apis: Apis, workers: Workers, linear: str
) -> None:
    job_id = submit(apis[0], linear, table(3200))
    assert waiting(apis[1]) > 0
    job = apis[1].finished(job_id)
    assert (job["state"], job["progress"]["rows_done"], job["error"]) == ("succeeded", 3200, None)
    partitions = apis[1].client.get(f"/jobs/{job_id}/partitions", params={"limit": 200}).json()["partitions"]
    assert len(partitions) == 16
    assert {partition["worker"] for partition in partitions} == {worker.name for worker in workers}
    results = apis[1].client.get(f"/jobs/{job_id}/results", headers={"Accept": "application/json"}).json()
    assert results["results"] == [[2 * row + 3 * (row % 7)] for row in range(3200)]
    assert waiting(apis[0]) == 0


def test_workers_tell_what_they_do_on_their_own_ports(apis: Apis, workers: Workers, linear: str) -> None:
    until(lambda: in_hand(workers) == 0, 5)
    before = work_of(workers)
    job_id = submit(apis[0], linear, table(1800) + b"none,1\n")
    until(lambda: in_hand(workers) > 0, 20)
    job = apis[0].finished(job_id)
    assert (job["state"], job["progress"]["attempts"]) == ("succeeded", 10)
    until(lambda: in_hand(workers) == 0, 5)
    done = {"scored": 1800, "rejected": 1, "claimed": 10, "committed": 10}
    assert +(work_of(workers) - before) == Counter(done)
    for worker in workers:
        assert worker.client.get("/health").json()["status"] == "ok"


def test_a_job_that_is_cancelled_at_another_api_ends_within_five_seconds(
    apis: Apis, workers: Workers, linear: str
) -> None:
    job_id = submit(apis[0], linear, table(40_000))
    until(lambda: apis[0].job(job_id)["progress"]["rows_done"] > 0, 20)
    assert apis[1].client.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert apis[0].finished(job_id, 5)["state"] == "cancelled"
    until(lambda: waiting(apis[0]) == 0, 5)
