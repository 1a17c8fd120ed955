"""A CSV goes in, and every row comes out exactly once: scored in order, or among the rejects."""

from __future__ import annotations

import base64
import csv
import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COLUMNS = ("tenure", "charges", "calls")


def table(count: int, seed: int = 1) -> list[list[float]]:
    generator = random.Random(seed)
    return [[round(generator.gauss(0, 1), 4) for _ in COLUMNS] for _ in range(count)]


def as_csv(rows: list[list[Any]], header: tuple[str, ...] = COLUMNS) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


def submit(server: Any, content: Any, **parameters: str) -> str:
    answer = server.client.post(
        "/jobs",
        params={"model": "churn", **parameters},
        content=content,
        headers={"content-type": "text/csv"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['job_id']}"
    job_id: str = answer.json()["job_id"]
    return job_id


def direct(server: Any, rows: list[list[float]]) -> list[list[float]]:
    """What the endpoint answers to the same rows."""
    answered: list[list[float]] = []
    for start in range(0, len(rows), 1000):
        batch = {"model": "churn", "input_vectors": rows[start : start + 1000]}
        answered += server.client.post("/tensor/run/batch", json=batch).json()["output"]
    return answered


def test_a_job_scores_every_row_in_order(server: Any, churn: Any) -> None:
    rows = table(1234)
    job_id = submit(server, as_csv(rows))
    job = server.finished(job_id)
    assert (job["job_state"], job["state"], job["error"]) == (2, "succeeded", None)
    assert job["model_id"] == churn["model_id"]
    assert job["progress"]["rows_done"] == job["progress"]["rows_total"] == 1234
    assert job["progress"]["partitions_total"] == 13
    answer = server.client.get(f"/jobs/{job_id}/results")
    assert answer.json()["http_code"] == 200
    np.testing.assert_allclose(answer.json()["results"], direct(server, rows), rtol=1e-5, atol=1e-6)
    assert server.client.get(f"/job/{job_id}/results").json() == answer.json()


def test_columns_are_matched_by_name_whatever_their_order(server: Any, churn: Any) -> None:
    rows = table(150)
    shuffled = [
        [f"id-{number}", row[2], row[0], "note, with comma", row[1]] for number, row in enumerate(rows)
    ]
    header = ("id", "calls", "tenure", "note", "charges")
    straight = server.finished(submit(server, as_csv(rows)))["job_id"]
    mixed = server.finished(submit(server, as_csv(shuffled, header)))["job_id"]
    expected = server.client.get(f"/jobs/{straight}/results").json()
    assert server.client.get(f"/jobs/{mixed}/results").json() == expected


def test_rows_that_cannot_be_scored_are_rejected_by_line_field_and_reason(server: Any, churn: Any) -> None:
    lines = ["tenure,charges,calls"]
    lines += [f"{number},1,2" for number in range(250)]
    lines[11] = "10,many,2"
    lines[101] = "100,1"
    lines[102] = "101,,2"
    lines[201] = "200,1,nan"
    lines[202] = "201,1e99,2"
    job_id = submit(server, "\r\n".join(lines).encode())
    job = server.finished(job_id)
    assert job["state"] == "succeeded"
    assert job["progress"]["rows_rejected"] == 5
    rejects = server.client.get(f"/jobs/{job_id}/rejects").json()["rejects"]
    assert [(entry["row"], entry["line"], entry["field"], entry["code"]) for entry in rejects] == [
        (10, 12, "charges", "not_a_number"),
        (100, 102, None, "column_count"),
        (101, 103, "charges", "missing"),
        (200, 202, "calls", "not_finite"),
        (201, 203, "charges", "out_of_range"),
    ]
    assert "'many'" in rejects[0]["message"]
    results = server.client.get(f"/jobs/{job_id}/results").json()["results"]
    assert [row for row, output in enumerate(results) if output is None] == [10, 100, 101, 200, 201]
    assert len(results) == 250
    pages, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = server.client.get(f"/jobs/{job_id}/rejects", params={"limit": 2, **more}).json()
        pages += page["rejects"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == rejects


def test_results_stream_as_csv_and_ndjson(server: Any, churn: Any) -> None:
    lines = [b"tenure,charges,calls", *(b"1,2,3" for _ in range(120)), b"x,2,3"]
    job_id = server.finished(submit(server, b"\n".join(lines)))["job_id"]
    text = server.client.get(f"/jobs/{job_id}/results", headers={"accept": "text/csv"})
    assert text.headers["content-type"].startswith("text/csv")
    records = list(csv.DictReader(io.StringIO(text.text)))
    assert [int(record["row"]) for record in records] == list(range(120))
    assert len(records[0]) == 2
    ndjson = server.client.get(f"/jobs/{job_id}/results", headers={"accept": "application/x-ndjson"})
    assert ndjson.text.count("\n") == 120
    assert ndjson.text.startswith('{"row":0,')


def test_a_csv_in_base64_is_scored_too_and_comes_back_as_it_was(server: Any, churn: Any) -> None:
    content = b"\xef\xbb\xbf" + as_csv(table(30))
    encoded = "data:text/csv;base64," + base64.b64encode(content).decode()
    answer = server.client.post(
        "/tensor/run/async", json={"model_id": churn["model_id"], "input_data": encoded}
    )
    assert answer.status_code == 201
    assert answer.json()["http_code"] == 201
    job = server.finished(answer.json()["job_id"])
    assert job["upload_size"] == len(content)
    assert server.client.get(f"/jobs/{job['job_id']}/content").json()["job"] == encoded
    assert server.client.get(f"/jobs/{job['job_id']}/metadata").json()["job"]["job_state"] == 2


def test_named_outputs_are_named_in_results_too(server: Any, softmax: Any) -> None:
    content = b"age,income\n3,0.5\n4.5,1\n5,2\n"
    job_id = server.finished(submit(server, content, model="risk"))["job_id"]
    results = server.client.get(f"/jobs/{job_id}/results").json()["results"]
    assert list(results[0]) == ["low", "mid", "high"]
    assert results[1] is None
    rejects = server.client.get(f"/jobs/{job_id}/rejects").json()["rejects"]
    assert rejects[0]["code"] == "not_an_integer"
    header = server.client.get(f"/jobs/{job_id}/results", headers={"accept": "text/csv"}).text.splitlines()[0]
    assert header == "row,low,mid,high"


def test_a_header_alone_is_a_job_without_rows(server: Any, churn: Any) -> None:
    job_id = submit(server, b"tenure,charges,calls\n")
    assert server.finished(job_id)["progress"]["rows_total"] == 0
    assert server.client.get(f"/jobs/{job_id}/results").json()["results"] == []


def test_an_idempotency_key_makes_one_job(server: Any, churn: Any) -> None:
    headers = {"content-type": "text/csv", "idempotency-key": "one-job"}
    content = as_csv(table(10))
    ask = {"params": {"model": "churn"}, "headers": headers}
    first = server.client.post("/jobs", content=content, **ask).json()["job_id"]
    assert server.client.post("/jobs", content=content, **ask).json()["job_id"] == first
    assert server.client.post("/jobs", content=as_csv(table(11)), **ask).status_code == 409


def test_results_before_the_end_are_an_invalid_job_state(
    start_server: Callable[..., Any], published_data: Callable[[], Path]
) -> None:
    idle = start_server(data_dir=published_data(), workers="0")
    job_id = submit(idle, b"x0,x1,x2\n1,2,3\n")
    answer = idle.client.get(f"/jobs/{job_id}/results")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Invalid job state")
    assert idle.client.get(f"/jobs/{job_id}").json()["job"]["job_state"] == 0
    cancelled = idle.client.post(f"/jobs/{job_id}/cancel").json()["job"]
    assert (cancelled["job_state"], cancelled["state"]) == (3, "cancelled")
    assert idle.client.post(f"/jobs/{job_id}/cancel").json()["job"]["state"] == "cancelled"
    assert idle.client.post(f"/jobs/{job_id}/retry").status_code == 400
    idle.stop()


def test_a_running_job_is_cancelled_at_once_and_never_succeeds(server: Any, churn: Any) -> None:
    job_id = submit(server, as_csv(table(30_000)))
    job = server.client.post(f"/jobs/{job_id}/cancel").json()["job"]
    assert job["state"] == "cancelled"
    done = job["progress"]["rows_done"]
    assert done < 30_000
    time.sleep(0.5)
    later = server.client.get(f"/jobs/{job_id}").json()["job"]
    assert later["state"] == "cancelled"
    assert later["progress"]["rows_done"] == done


def test_a_deleted_model_still_finishes_its_jobs_and_keeps_their_results(server: Any, models: Path) -> None:
    model_id = server.publish(models / "churn.h5", "leaving").json()["model_id"]
    job_id = submit(server, b"x0,x1,x2\n" + b"1,2,3\n" * 5000, model="leaving")
    assert server.client.delete(f"/models/{model_id}").is_success
    assert server.finished(job_id)["state"] == "succeeded"
    assert len(server.client.get(f"/jobs/{job_id}/results").json()["results"]) == 5000


def rows_scored(server: Any) -> int:
    """Rows that this process has committed, from its own counter."""
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith('tensortrigger_job_rows_total{outcome="scored"}'):
            return int(float(line.split()[-1]))
    raise AssertionError("the counter is missing")


def rows_committed(server: Any, job_id: str) -> int:
    """Rows of partitions that are done; the job's progress counts those in work too."""
    answer = server.client.get(f"/jobs/{job_id}/partitions", params={"limit": 200}).json()
    assert answer["next_after"] is None
    return sum(part["rows"] for part in answer["partitions"] if part["state"] == "done")


def test_a_killed_server_resumes_its_jobs_and_scores_no_row_twice(
    start_server: Callable[..., Any], published_data: Callable[[], Path]
) -> None:
    total = 60_000
    workers = 2
    server = start_server(data_dir=published_data(), slice_rows="500", workers=str(workers))
    rows = table(total, seed=5)
    job_id = submit(server, as_csv(rows, ("x0", "x1", "x2")))
    kills, committed = 0, 0
    while kills < 3:
        until = time.monotonic() + 60
        while rows_committed(server, job_id) <= committed:
            assert time.monotonic() < until
        server.kill()
        kills += 1
        server.start()
        committed = rows_committed(server, job_id)
        before = server.client.get(f"/jobs/{job_id}").json()["job"]
        assert before["state"] == "running", "the server was killed too late to show anything"
    # What was committed before is not scored again: this process scores the rest, and nothing else.
    already = rows_scored(server)
    job = server.finished(job_id)
    assert job["state"] == "succeeded"
    assert rows_scored(server) <= total - committed + already
    progress = job["progress"]
    assert progress["attempts"] <= progress["partitions_total"] + kills * workers
    results = server.client.get(f"/jobs/{job_id}/results").json()["results"]
    assert len(results) == total
    np.testing.assert_allclose(results, direct(server, rows), rtol=1e-5, atol=1e-6)
    parts = list((server.data_dir / "blobs" / "jobs" / job_id / "parts").iterdir())
    assert len(parts) == progress["partitions_total"]
    assert server.stop() == 0


@pytest.mark.parametrize("signal", ["kill", "stop"])
def test_a_publish_in_the_middle_survives_a_restart(
    start_server: Callable[..., Any], models: Path, signal: str
) -> None:
    server = start_server()
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    answer = server.client.post(
        "/models/new",
        json={"model_name": "interrupted", "model_content": content},
        headers={"Prefer": "respond-async"},
    )
    model_id = answer.json()["model_id"]
    getattr(server, signal)()
    server.start()
    until = time.monotonic() + 90
    while (model := server.client.get(f"/models/{model_id}").json()["model"])["state"] != "ready":
        assert time.monotonic() < until, model
        time.sleep(0.1)
    assert model["version"] == 1
    server.stop()
