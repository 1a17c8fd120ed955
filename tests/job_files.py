"""Rows in files of every format, the jobs that they are sent to, and what these answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"
STREAM = "application/vnd.apache.arrow.stream"

ROWS: list[tuple[str, float | None, int, str | None, str]] = [
    (
        f"n-{at}",
        None if at % 17 == 3 else at / 4,
        at - 20,
        ["Rome", "Oslo", None, "Bath"][at % 4],
        f"=note, {at}",
    )
    for at in range(103)
]
NAMES = ("id", "a", "b", "city", "note")
GOOD = [at for at, row in enumerate(ROWS) if row[1] is not None and row[3] != "Bath"]
"""Rows that are not rejected."""


def table() -> pa.Table:
    columns = [pa.array([row[place] for row in ROWS]) for place in range(5)]
    return pa.table(columns, names=list(NAMES))


def as_csv(mark: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=mark).writerows([NAMES, *ROWS])
    return text.getvalue().encode()


def as_arrow(new: Any) -> bytes:
    sink = io.BytesIO()
    with new(sink, table().schema) as writer:
        writer.write_table(table(), max_chunksize=30)
    return sink.getvalue()


def as_parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(), sink, row_group_size=50)
    return sink.getvalue()


def as_ndjson() -> bytes:
    return b"".join(json.dumps(dict(zip(NAMES, row, strict=True))).encode() + b"\n" for row in ROWS)


BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "tsv": ("text/tab-separated-values", lambda: as_csv("\t")),
    "ndjson": (NDJSON, as_ndjson),
    "parquet": (PARQUET, as_parquet),
    "arrow stream": (STREAM, lambda: as_arrow(pa.ipc.new_stream)),
    "arrow file": ("application/vnd.apache.arrow.file", lambda: as_arrow(pa.ipc.new_file)),
}


def submit(server: Any, content: Any, media_type: str = "text/csv", **asked: Any) -> httpx.Response:
    """Send a file to the model ``linear``."""
    headers = asked.pop("headers", {})
    answer: httpx.Response = server.client.post(
        "/jobs",
        params={"model": "linear", **asked},
        content=content,
        headers={"content-type": media_type, **headers},
    )
    return answer


def scored(server: Any, *arguments: Any, **asked: Any) -> dict[str, Any]:
    """A job that has succeeded."""
    answer = submit(server, *arguments, **asked)
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = server.finished(answer.json()["job_id"])
    assert job["state"] == "succeeded", job
    return job


def results(server: Any, job: dict[str, Any], accept: str = NDJSON, **asked: Any) -> httpx.Response:
    answer: httpx.Response = server.client.get(
        f"/jobs/{job['job_id']}/results", params=asked, headers={"accept": accept}
    )
    assert answer.status_code == 200, answer.text
    return answer


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def expected(at: int) -> float:
    """The answer of ``linear`` to a row."""
    _, a, b, city, _ = ROWS[at]
    assert a is not None
    return a + 10.0 * b + (100.0 if city == "Oslo" else 0.0)
