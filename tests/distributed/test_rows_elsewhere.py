"""Rows that never pass an API process: put by URL, or lying in a bucket already, fetched by workers in any format."""

from __future__ import annotations

import gzip
import io
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deployments import Deployment, Process
from services import S3Address

from tensortrigger_backend.adapters.blobs_s3 import S3Blobs

ROWS = 900


@pytest.fixture(scope="module")
def lake(s3_server: S3Address, s3_bucket: str) -> Iterator[tuple[str, S3Blobs]]:
    """A folder in a bucket that is no part of the deployment's own storage, by its URL."""
    url = f"s3://{s3_bucket}/lake-{secrets.token_hex(4)}"
    store = S3Blobs(
        url, "test", s3_server.endpoint_url, s3_server.region, s3_server.access_key, s3_server.secret_key
    )
    yield url, store
    store.close()


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory,
    databases: Callable[[], str],
    rabbitmq_server: str,
    s3_server: S3Address,
    s3_bucket: str,
    lake: tuple[str, S3Blobs],
) -> Iterator[Process]:
    """Of a deployment with one worker and the model ``linear``."""
    blobs = {
        "TENSORTRIGGER_BLOB_URL": f"s3://{s3_bucket}/elsewhere",
        "TENSORTRIGGER_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "TENSORTRIGGER_S3_ACCESS_KEY_ID": s3_server.access_key,
        "TENSORTRIGGER_S3_SECRET_ACCESS_KEY": s3_server.secret_key,
        "TENSORTRIGGER_S3_REGION": s3_server.region,
    }
    folder: Path = tmp_path_factory.mktemp("elsewhere")
    with Deployment(folder, databases(), rabbitmq_server, blobs, slice_rows="200") as made:
        made.migrate()
        made.linear("linear", [[2.0], [3.0]])
        sources = json.dumps({"lake": lake[0]})
        begun, worker = made.begin("api", sources=sources), made.begin("worker", sources=sources)
        worker.awaited()
        yield begun.awaited()


def as_csv() -> bytes:
    return b"id,a,b\n" + b"".join(b"n-%d,%d,%d\n" % (row, row, row % 7) for row in range(ROWS))


def as_parquet() -> bytes:
    rows = np.arange(ROWS)
    sink = io.BytesIO()
    columns = {"id": [f"n-{row}" for row in rows], "a": rows, "b": rows % 7}
    pq.write_table(pa.table(columns), sink, row_group_size=250)
    return sink.getvalue()


def check(api: Process, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    job = api.finished(answer.json()["job_id"])
    assert (job["state"], job["progress"]["rows_done"]) == ("succeeded", ROWS), job
    file = api.client.get(
        f"/jobs/{job['job_id']}/results", headers={"accept": "application/vnd.apache.parquet"}
    )
    table = pq.read_table(io.BytesIO(file.content))
    assert table["row"].to_pylist() == list(range(ROWS))
    assert table["id"].to_pylist() == [f"n-{row}" for row in range(ROWS)]
    assert table["y"].to_pylist() == [2.0 * row + 3 * (row % 7) for row in range(ROWS)]
    return job


@pytest.mark.parametrize("row_format", ["csv", "parquet"])
def test_rows_are_put_straight_into_the_storage_and_scored(api: Process, row_format: str) -> None:
    body = as_parquet() if row_format == "parquet" else gzip.compress(as_csv())
    leave = api.client.post("/jobs/uploads")
    assert leave.status_code == 201, leave.text
    upload = leave.json()
    assert upload["method"] == "PUT"
    order = {"model": "linear", "upload_id": upload["upload_id"], "row_format": row_format, "keep": "id"}
    too_soon = api.client.post("/jobs", json=order)
    assert too_soon.status_code == 404
    told = f"Nothing was uploaded under upload_id {upload['upload_id']!r}: PUT the rows to its url first."
    assert too_soon.json()["message"] == told
    assert httpx.put(upload["url"], content=body).is_success
    job = check(api, api.client.post("/jobs", json=order))
    assert job["row_format"] == row_format


@pytest.mark.parametrize("key", ["2026/rows.parquet", "2026/rows.csv.gz"])
def test_rows_of_a_bucket_are_fetched_by_a_worker(api: Process, lake: tuple[str, S3Blobs], key: str) -> None:
    lake[1].put(key, as_parquet() if key.endswith("parquet") else gzip.compress(as_csv()))
    order = {"model": "linear", "source": {"name": "lake", "key": key}, "keep": ["id"]}
    check(api, api.client.post("/jobs", json=order))


def test_an_object_that_is_not_there_fails_the_job_by_its_name(api: Process) -> None:
    order = {"model": "linear", "source": {"name": "lake", "key": "2026/gone.csv"}}
    job = api.finished(api.client.post("/jobs", json=order).json()["job_id"])
    assert job["state"] == "failed"
    assert "Source 'lake' holds no file '2026/gone.csv'" in job["error"]


def test_rows_that_are_streamed_are_cut_in_the_bucket_too(api: Process) -> None:
    for content, media_type in ((as_csv(), "text/csv"), (as_parquet(), "application/vnd.apache.parquet")):
        check(
            api,
            api.client.post(
                "/jobs?model=linear&keep=id", content=content, headers={"content-type": media_type}
            ),
        )
