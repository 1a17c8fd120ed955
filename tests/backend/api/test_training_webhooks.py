"""Through the HTTP face: a training has a priority, and whoever is named is told how it ended, as of a scoring."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROWS = b"x0,x1,x2,label\n" + b"1,2,3,1\n-1,-2,-3,0\n" * 8
POINTS = {"input_vectors": [[1, 2, 3], [-1, -2, -3]], "output_vectors": [1, 0]}
CSV = {"content-type": "text/csv"}


@pytest.fixture(scope="module")
def told(start_server: Callable[..., Any], published_data: Callable[[], Path]) -> Any:
    """A server whose webhooks may go to this machine."""
    return start_server(data_dir=published_data(), webhook_networks='["127.0.0.0/8"]', log_level="warning")


def message(receiver: Any) -> dict[str, Any]:
    """The one that comes."""
    until = time.monotonic() + 30
    while not receiver.got:
        assert time.monotonic() < until
        time.sleep(0.05)
    ((_, headers, body),) = receiver.got
    assert headers["webhook-signature"].startswith("v1,")
    found: dict[str, Any] = json.loads(body)
    return found


def test_who_ordered_a_training_on_a_file_is_told_when_it_has_ended(told: Any, receiver: Any) -> None:
    asked = {"model": "churn", "labels": "label", "epochs": 1, "priority": 8, "webhook": receiver.url}
    answer = told.client.post("/tensor/train", params=asked, content=ROWS, headers=CSV)
    assert answer.status_code == 201, answer.text
    job = told.finished(answer.json()["job_id"], 180)
    assert (job["state"], job["priority"], job["webhook"]) == ("succeeded", 8, receiver.url), job
    found = message(receiver)
    assert found["type"] == "job.succeeded"
    data = {name: found["data"][name] for name in ("job_id", "kind", "model_name", "rows_total", "rows_done")}
    assert data == {
        "job_id": job["job_id"],
        "kind": "train",
        "model_name": "churn",
        "rows_total": 16,
        "rows_done": 16,
    }


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_who_ordered_a_training_on_points_is_told_of_its_cancellation(
    told: Any, receiver: Any, method: str
) -> None:
    order = {"model": "churn", "epochs": 100_000, "priority": 0, "webhook": receiver.url, **POINTS}
    answer = told.client.request(method, "/tensor/train", json=order)
    assert answer.status_code == 201, answer.text
    job = told.client.post(f"/jobs/{answer.json()['job_id']}/cancel").json()["job"]
    assert (job["state"], job["priority"], job["webhook"]) == ("cancelled", 0, receiver.url)
    found = message(receiver)
    assert (found["type"], found["data"]["kind"]) == ("job.cancelled", "train")


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        ({"priority": 10}, "priority"),
        ({"priority": -1}, "priority"),
        ({"webhook": "http://10.0.0.1/"}, "webhook"),
        ({"webhook": ""}, "webhook"),
    ],
)
def test_a_priority_or_an_address_that_cannot_be_is_refused_by_name(
    told: Any, chosen: dict[str, Any], named: str
) -> None:
    on_points = told.client.patch("/tensor/train", json={"model": "churn", **POINTS, **chosen})
    asked = {"model": "churn", "labels": "label", **chosen}
    on_file = told.client.post("/tensor/train", params=asked, content=ROWS, headers=CSV)
    for answer in (on_points, on_file):
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["loc"] == [named]
