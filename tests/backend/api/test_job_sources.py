"""Are rows that lie elsewhere fetched, once, and is an order of them that is wrong refused?"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from job_files import GOOD, as_csv, as_parquet, lines, results


def test_a_file_of_a_source_is_scored_by_name_and_key(here: Any, lake: Path) -> None:
    (lake / "day").mkdir(exist_ok=True)
    (lake / "day" / "rows.parquet").write_bytes(as_parquet())
    (lake / "rows.tsv.gz").write_bytes(gzip.compress(as_csv("\t")))
    assert here.client.get("/jobs/sources").json()["sources"] == ["lake"]
    for key in ("day/rows.parquet", "rows.tsv.gz"):
        order = {"model": "linear", "source": {"name": "lake", "key": key}, "keep": "id", "priority": 9}
        answer = here.client.post("/jobs", json=order)
        assert answer.status_code == 201, answer.text
        job = here.finished(answer.json()["job_id"])
        assert (job["state"], job["progress"]["rows_total"], job["priority"]) == ("succeeded", 103, 9), job
        assert [entry["id"] for entry in lines(results(here, job))] == [f"n-{at}" for at in GOOD]


def test_a_source_that_cannot_be_read_fails_its_job_with_the_reason(here: Any, lake: Path) -> None:
    (lake / "bad.csv").write_bytes(b"a,b\n1,2\n")
    for key, said in (("gone.csv", "holds no file 'gone.csv'"), ("bad.csv", "Column 'city' is missing")):
        answer = here.client.post("/jobs", json={"model": "linear", "source": {"name": "lake", "key": key}})
        job = here.finished(answer.json()["job_id"])
        assert job["state"] == "failed"
        assert said in job["error"]


def test_a_file_of_another_format_than_its_name_says_is_told_which_row_format_it_has(
    here: Any, lake: Path
) -> None:
    (lake / "parquet.csv").write_bytes(as_parquet())
    order = {"model": "linear", "source": {"name": "lake", "key": "parquet.csv"}}
    job = here.finished(here.client.post("/jobs", json=order).json()["job_id"])
    assert "The upload is Parquet, and was sent as CSV: order it as row_format parquet." in job["error"]
    job = here.finished(here.client.post("/jobs", json={**order, "row_format": "parquet"}).json()["job_id"])
    assert job["state"] == "succeeded"


@pytest.mark.parametrize(
    ("members", "status", "named"),
    [
        ({}, 400, "source"),
        ({"source": {"name": "lake", "key": "../x"}}, 400, "key"),
        ({"source": {"name": "lake", "key": "/etc/passwd"}}, 400, "key"),
        ({"source": {"name": "lake"}}, 400, "key"),
        ({"source": {"name": "lake", "key": "x", "url": "http://x"}}, 400, "url"),
        ({"source": "s3://bucket/x"}, 400, "source"),
        ({"upload_id": "../.."}, 400, "upload_id"),
        ({"source": {"name": "lake", "key": "x"}, "row_format": "xml"}, 400, "row_format"),
        ({"source": {"name": "lake", "key": "x.parquet"}, "delimiter": ";"}, 400, "delimiter"),
        ({"source": {"name": "pond", "key": "x"}}, 404, None),
        ({"upload_id": "0" * 32}, 404, "upload_id"),
    ],
)
def test_an_order_of_rows_elsewhere_that_is_wrong_is_refused(
    here: Any, members: dict[str, Any], status: int, named: str | None
) -> None:
    answer = here.client.post("/jobs", json={"model": "linear", **members})
    assert answer.status_code == status, answer.text
    if named is not None:
        assert answer.json()["errors"][0]["loc"][-1] == named


def test_storage_without_urls_says_how_rows_get_in_instead(here: Any) -> None:
    answer = here.client.post("/jobs/uploads")
    assert answer.status_code == 400
    assert "stream the rows to POST /jobs" in answer.json()["message"]


def test_an_order_that_is_repeated_is_one_job(here: Any, lake: Path) -> None:
    (lake / "twice.csv").write_bytes(as_csv())
    order = {"model": "linear", "source": {"name": "lake", "key": "twice.csv"}}
    ask = {"headers": {"idempotency-key": "fetch-once"}}
    first = here.client.post("/jobs", json=order, **ask).json()["job_id"]
    assert here.client.post("/jobs", json=order, **ask).json()["job_id"] == first
    assert here.client.post("/jobs", json={**order, "keep": ["id"]}, **ask).status_code == 409
    here.finished(first)
