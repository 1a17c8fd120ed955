"""Through the HTTP face: the inside of a job, its end, and who is told of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

ROWS = 950


@pytest.fixture(scope="module")
def told(start_server: Callable[..., Any], published_data: Callable[[], Path]) -> Any:
    """A server whose webhooks may go to this machine."""
    return start_server(
        data_dir=published_data(), slice_rows="100", webhook_networks='["127.0.0.0/8"]', log_level="warning"
    )


def table(rows: int = ROWS, bad: int = 3) -> bytes:
    lines = [f"{n},{n / 2},{n / 3}" for n in range(rows - bad)] + ["1,none,2"] * bad
    return ("x0,x1,x2\n" + "\n".join(lines) + "\n").encode()


def score(server: Any, **query: str) -> str:
    answer = server.client.post(
        "/jobs", params={"model": "churn", **query}, content=table(), headers={"content-type": "text/csv"}
    )
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def pages(server: Any, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    found, after = [], None
    while True:
        query = {"limit": limit, **({} if after is None else {"after": after})}
        answer = server.client.get(path, params=query).json()
        assert len(answer[name]) <= limit
        found += answer[name]
        after = answer["next_after"]
        if after is None:
            return found


def test_the_inside_of_a_job_is_told_page_by_page(told: Any) -> None:
    job_id = score(told)
    told.finished(job_id)
    partitions = pages(told, f"/jobs/{job_id}/partitions", "partitions", 4)
    assert [one["partition"] for one in partitions] == list(range(10))
    assert {one["state"] for one in partitions} == {"done"}
    assert [one["first_row"] for one in partitions] == list(range(0, ROWS, 100))
    assert sum(one["rows_done"] for one in partitions) == ROWS
    assert sum(one["rows_rejected"] for one in partitions) == 3
    for states, count in (["claimed", "failed"], 0), (["failed", "done"], 10):
        told_of = told.client.get(f"/jobs/{job_id}/partitions", params={"state": states}).json()
        assert len(told_of["partitions"]) == count
    assert told.client.get(f"/jobs/{job_id}/partitions?state=lost").status_code == 400
    log = pages(told, f"/jobs/{job_id}/log", "log", 2)
    assert log
    numbers = [line["number"] for line in log]
    assert numbers == sorted(set(numbers))
    assert {"at", "level", "message", "partition"} <= log[0].keys()
    assert told.client.get(f"/jobs/{job_id}/log?after=x").status_code == 400
    assert told.client.get("/jobs/nothing/partitions").status_code == 404
    assert told.client.get("/jobs/nothing/log").status_code == 404


def test_its_stream_tells_log_and_partitions_with_ids_and_ends_with_the_job(told: Any) -> None:
    job_id = score(told)
    told.finished(job_id)
    accept = {"accept": "text/event-stream"}
    with httpx.stream("GET", f"{told.url}/jobs/{job_id}/events", headers=accept, timeout=20) as answer:
        events = [
            dict(line.split(": ", 1) for line in block.split("\n"))
            for block in answer.read().decode().split("\n\n")
            if block and block[0] != ":"
        ]
    assert all("id" in event for event in events)
    assert events[-1]["event"] == "job"
    assert json.loads(events[-1]["data"])["state"] == "succeeded"
    lines = [json.loads(event["data"]) for event in events if event["event"] == "log"]
    assert lines == told.client.get(f"/jobs/{job_id}/log?limit=200").json()["log"]
    headers = {**accept, "last-event-id": str(lines[0]["number"])}
    with httpx.stream("GET", f"{told.url}/jobs/{job_id}/events", headers=headers, timeout=20) as answer:
        text = answer.read().decode()
    assert text.count("event: log\n") == len(lines) - 1


def test_who_does_not_stream_gets_the_job_and_what_its_log_tells_since(told: Any) -> None:
    job_id = score(told)
    told.finished(job_id)
    log = told.client.get(f"/jobs/{job_id}/log?limit=200").json()["log"]
    first = told.client.get(f"/jobs/{job_id}/events").json()
    assert first["job"] == told.client.get(f"/jobs/{job_id}").json()["job"]
    assert (first["log"], first["last_seq"], first["next_after"]) == (log, log[-1]["number"], None)
    later = told.client.get(f"/jobs/{job_id}/events", params={"after": log[0]["number"]}).json()
    assert later["log"] == log[1:]
    none = told.client.get(f"/jobs/{job_id}/events", params={"after": log[-1]["number"]}).json()
    assert (none["log"], none["last_seq"]) == ([], log[-1]["number"])


def test_a_job_is_deleted_with_all_that_it_left(told: Any) -> None:
    job_id = score(told)
    told.finished(job_id)
    assert told.client.delete(f"/jobs/{job_id}").json()["job_id"] == job_id
    for path in ("", "/results", "/log", "/partitions", "/events", "/content"):
        assert told.client.get(f"/jobs/{job_id}{path}").status_code == 404, path
    assert told.client.delete(f"/jobs/{job_id}").status_code == 404
    assert not [path for path in told.data_dir.rglob("*") if job_id in str(path) and path.is_file()]


def test_whoever_is_named_is_told_how_the_job_ended(told: Any, receiver: Any) -> None:
    receiver.answers = [500, 204]
    job_id = score(told, webhook=receiver.url)
    job = told.finished(job_id)
    assert job["webhook"] == receiver.url
    until = time.monotonic() + 30
    while len(receiver.got) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    (_, first, body), (_, second, _) = receiver.got
    secret = told.client.get("/jobs/webhook_secret").json()["secret"]
    signed = f"{second['webhook-id']}.{second['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    assert second["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert first["webhook-id"] == second["webhook-id"]
    message = json.loads(body)
    assert message["type"] == "job.succeeded"
    ended = {name: message["data"][name] for name in ("job_id", "rows_done", "rows_rejected", "model_name")}
    assert ended == {"job_id": job_id, "rows_done": ROWS, "rows_rejected": 3, "model_name": "churn"}
    time.sleep(0.5)
    log = [line["message"] for line in told.client.get(f"/jobs/{job_id}/log?limit=200").json()["log"]]
    assert "The webhook was delivered after 2 attempts." in log


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://[fd00::1]/", "http://0x7f.1/", "ftp://8.8.8.8/"])
def test_a_private_address_is_refused_before_the_upload_is_kept(told: Any, url: str) -> None:
    answer = told.client.post(
        "/jobs",
        params={"model": "churn", "webhook": url},
        content=table(),
        headers={"content-type": "text/csv"},
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["loc"] == ["webhook"]
