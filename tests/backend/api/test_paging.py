"""Through the HTTP face: pages and ranges that cannot be are refused, and the parameter is named."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def job(server: Any, churn: dict[str, Any]) -> str:
    """The path of a job that has scored five rows and rejected one."""
    content = b"tenure,charges,calls\n" + b"1,2,3\n" * 5 + b"1,none,3\n"
    asked = {"params": {"model": "churn"}, "headers": {"content-type": "text/csv"}}
    answer = server.client.post("/jobs", content=content, **asked)
    assert answer.status_code == 201, answer.text
    job_id = answer.json()["job_id"]
    assert server.finished(job_id)["state"] == "succeeded"
    return f"/jobs/{job_id}"


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("cursor=3", "cursor"),
        ("limit=2&cursor=x", "cursor"),
        ("limit=2&cursor=-2", "cursor"),
        ("limit=2&first_row=1", "limit"),
        ("limit=2&rows=1", "limit"),
        ("limit=0", "limit"),
        ("limit=100001", "limit"),
        ("first_row=-1", "first_row"),
        ("rows=0", "rows"),
    ],
)
def test_results_are_not_given_for_a_page_that_cannot_be(
    server: Any, job: str, accept: str, query: str, named: str
) -> None:
    answer = server.client.get(f"{job}/results?{query}", headers={"accept": accept})
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["loc"][-1] == named


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/rejects?cursor=x", "cursor"),
        ("/rejects?limit=201", "limit"),
        ("/partitions?after=-3", "after"),
        ("/log?after=-1", "after"),
    ],
)
def test_nor_is_what_else_a_job_tells(server: Any, job: str, path: str, named: str) -> None:
    answer = server.client.get(f"{job}{path}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["loc"][-1] == named


@pytest.mark.parametrize(
    ("query", "named"),
    [("cursor=x", "cursor"), ("limit=0", "limit"), ("state=x", "state"), ("kind=x", "kind")],
)
def test_nor_is_a_page_of_jobs(server: Any, query: str, named: str) -> None:
    answer = server.client.get(f"/jobs?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["loc"][-1] == named


def test_caches_are_told_that_the_accept_header_chooses_the_body(server: Any, job: str) -> None:
    for path in ("/results", "/rejects"):
        for accept in ("application/json", "text/csv", "application/x-ndjson"):
            answer = server.client.get(f"{job}{path}", headers={"accept": accept})
            assert answer.headers["vary"] == "Accept", (path, accept)
            attached = answer.headers.get("content-disposition", "")
            ending = {"text/csv": "csv", "application/x-ndjson": "ndjson"}.get(accept)
            name = f"{path[1:]}-{job.removeprefix('/jobs/')[:8]}.{ending}"
            assert attached == (f'attachment; filename="{name}"' if ending else "")
