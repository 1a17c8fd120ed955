"""Through the HTTP face: what failed of a job is tried again once its cause is mended, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROWS = 300
TABLE = b"x0,x1,x2\n" + b"".join(b"%d,%d,%d\n" % (row, row + 1, row + 2) for row in range(ROWS))
CSV = {"content-type": "text/csv"}


def partitions(server: Any, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.client.get(f"/jobs/{job_id}/partitions").json()["partitions"]
    return found


def retried(server: Any, job_id: str) -> dict[str, Any]:
    """The job at its next end."""
    answer = server.client.post(f"/jobs/{job_id}/retry")
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = server.finished(job_id)
    return job


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def here(start_server: Callable[..., Any], published_data: Callable[[], Path], lake: Path) -> Any:
    """A server with a source."""
    sources = json.dumps({"lake": f"file://{lake}"})
    return start_server(data_dir=published_data(), slice_rows="100", log_level="warning", sources=sources)


def test_a_file_of_a_source_that_was_put_right_is_fetched_anew(here: Any, lake: Path) -> None:
    path = lake / "rows.csv"
    path.write_bytes(TABLE.replace(b"x2", b"x9", 1))
    order = {"model": "churn", "source": {"name": "lake", "key": "rows.csv"}}
    job_id = here.client.post("/jobs", json=order).json()["job_id"]
    job = here.finished(job_id)
    assert job["state"] == "failed"
    assert "Column 'x2' is missing" in job["error"]
    still_wrong = retried(here, job_id)
    assert (still_wrong["state"], still_wrong["error"]) == ("failed", job["error"])
    path.write_bytes(TABLE)
    mended = retried(here, job_id)
    assert (mended["state"], mended["error"], mended["progress"]["rows_done"]) == ("succeeded", None, ROWS)
    # Each retry gives new attempts, so neither of the failures before counts against the last.
    assert [(one["partition"], one["attempts"]) for one in partitions(here, job_id)] == [
        (number, 1) for number in range(-1, 3)
    ]
    again = here.client.post(f"/jobs/{job_id}/retry")
    assert again.status_code == 400
    assert "only a failed job can be retried, this one has succeeded" in again.json()["message"]


def test_what_was_committed_before_the_retry_stays_as_it_was(
    start_server: Callable[..., Any], published_data: Callable[[], Path]
) -> None:
    data_dir = published_data()
    idle = start_server(data_dir=data_dir, slice_rows="100", workers="0", log_level="warning")
    answer = idle.client.post("/jobs?model=churn", content=TABLE, headers=CSV)
    job_id = answer.json()["job_id"]
    assert idle.stop() == 0
    (upload,) = (path for path in data_dir.rglob("upload*") if job_id in str(path) and path.is_file())
    whole = upload.read_bytes()
    # Two partitions hold a row less than was cut, as they would after damage to the storage.
    upload.write_bytes(whole.replace(b"\n150,", b",150,").replace(b"\n250,", b",250,"))
    server = start_server(data_dir=data_dir, log_level="warning")
    job = server.finished(job_id)
    assert job["state"] == "failed", job
    before = partitions(server, job_id)
    assert [one["state"] for one in before] == ["done", "failed", "failed"]
    assert before[0]["worker"]
    upload.write_bytes(whole)
    mended = retried(server, job_id)
    assert (mended["state"], mended["progress"]["rows_done"]) == ("succeeded", ROWS), mended
    after = partitions(server, job_id)
    assert after[0] == before[0]
    assert [(one["state"], one["attempts"], one["error"]) for one in after[1:]] == [("done", 1, None)] * 2
    results = server.client.get(f"/jobs/{job_id}/results").json()["results"]
    assert len(results) == ROWS
    assert None not in results
