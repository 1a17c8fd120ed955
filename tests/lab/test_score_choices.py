"""``tt.score`` on files of every format, what may be chosen for a job, and what can be asked of one."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import background, cli, commands
from tensortrigger_lab.background import Job
from tensortrigger_lab.client import Client
from tensortrigger_lab.rows_file import media_type_of
from tensortrigger_lab.wire import JobRecord, ModelRecord

PARTITION = {
    "partition": 0,
    "state": "done",
    "first_row": 0,
    "rows": 3,
    "rows_done": 3,
    "rows_rejected": 1,
    "attempts": 2,
    "worker": "17-ab",
    "error": None,
}
LINE = {
    "number": 1,
    "at": "2026-01-02T03:04:05.678Z",
    "level": "warning",
    "message": "The lease was lost.",
    "partition": 0,
}


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)


@pytest.fixture
def scored(api: Any, shapes: Any) -> Any:
    """A job of two rows that has succeeded."""
    path = f"/jobs/{shapes.job_id}"
    api.on("POST", "/jobs", {"job_id": shapes.job_id})
    api.on("GET", path, {"job": {**shapes.job(rows_done=2, rows_total=2), "keep": ["id"]}})
    api.on("GET", f"{path}/results", httpx.Response(200, text="row,id,output\n0,a7,0.25\n1,b8,0.75\n"))
    return api


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("rows.csv", "text/csv"),
        ("rows", "text/csv"),
        ("rows.CSV.gz", "text/csv"),
        ("rows.ndjson", "application/x-ndjson"),
        ("rows.jsonl.gz", "application/x-ndjson"),
        ("rows.parquet", "application/vnd.apache.parquet"),
        ("rows.arrow", "application/vnd.apache.arrow.file"),
        ("rows.feather", "application/vnd.apache.arrow.file"),
    ],
)
def test_a_files_name_says_its_format(
    scored: Any, client: Client, tmp_path: Path, name: str, media_type: str
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"rows") if name.endswith(".gz") else b"rows")
    tt.score("churn", path, client=client, progress=False)
    (request,) = scored.asked("/jobs")
    assert request.headers["Content-Type"] == media_type == media_type_of(path)
    assert request.content == path.read_bytes()


def test_choices_travel_with_the_file_and_kept_columns_come_back_first(
    scored: Any, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id;age\na7;1\nb8;2\n")
    frame = tt.score(
        "churn@candidate",
        path,
        keep=["id", 'last, "first"'],
        priority=9,
        delimiter=";",
        encoding="latin-1",
        webhook="https://example.org/told",
        client=client,
        progress=False,
    )
    (request,) = scored.asked("/jobs")
    assert request.url.params.multi_items() == [
        ("model", "churn@candidate"),
        ("keep", 'id,"last, ""first"""'),
        ("priority", "9"),
        ("delimiter", ";"),
        ("encoding", "latin-1"),
        ("webhook", "https://example.org/told"),
    ]
    assert list(frame.columns) == ["id", "output"]
    assert frame["id"].tolist() == ["a7", "b8"]


def test_one_name_to_keep_is_not_taken_letter_by_letter(scored: Any, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,age\na7,1\nb8,2\n")
    tt.score("churn", path, keep="id", client=client, progress=False)
    client.start_job("churn", lambda: iter([b""]), idempotency_key="once", keep="id")
    assert [request.url.params["keep"] for request in scored.asked("/jobs")] == ["id", "id"]


@pytest.mark.parametrize("by_model", [True, False])
def test_who_does_not_wait_has_the_job_with_all_that_is_kept(
    scored: Any, client: Client, shapes: Any, by_model: bool
) -> None:
    model = tt.Model(ModelRecord.read(shapes.model()), client)
    score = model.score if by_model else partial(tt.score, "churn", client=client)
    scored.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job("queued")})
    job = score(pd.DataFrame({"id": ["007"], "age": [1]}), keep=["id"], wait=False, progress=False)
    assert isinstance(job, Job)
    assert job.state == "queued"
    assert scored.asked("/jobs")[0].url.params["keep"] == "id"
    assert len(scored.requests) == 2


def test_a_dataframe_without_a_column_to_keep_is_not_sent(scored: Any, client: Client) -> None:
    with pytest.raises(tt.BadInput, match="has no column 'id'"):
        tt.score("churn", pd.DataFrame({"age": [1]}), keep="id", client=client, progress=False)
    assert scored.requests == []


def test_a_tsv_is_cut_at_tabs_unless_told_otherwise(scored: Any, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("age\n1\n2\n")
    tt.score("churn", path, client=client, progress=False)
    tt.score("churn", path, client=client, delimiter="|", progress=False)
    assert [request.url.params["delimiter"] for request in scored.asked("/jobs")] == ["\t", "|"]


def test_what_a_dataframe_keeps_does_not_travel(scored: Any, client: Client, shapes: Any) -> None:
    scored.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job(rows_done=2, rows_total=2)})
    scored.on(
        "GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="row,output\n0,0.25\n1,0.75\n")
    )
    table = pd.DataFrame({"id": ["007", "008"], "age": [1, 2]}, index=["x", "y"])
    frame = tt.score("churn", table, keep=["id"], client=client, progress=False)
    (request,) = scored.asked("/jobs")
    assert "keep" not in request.url.params
    assert frame["id"].tolist() == ["007", "008"]
    assert frame.loc["y", "output"] == 0.75
    assert frame.attrs["job_id"] == shapes.job_id


def test_what_a_parquet_file_keeps_comes_back_in_its_own_types(
    scored: Any, client: Client, shapes: Any, tmp_path: Path
) -> None:
    path = f"/jobs/{shapes.job_id}"
    job = {**shapes.job(rows_done=3, rows_total=3), "keep": ["day", "id"], "row_format": "parquet"}
    days = pd.to_datetime(["2026-01-02", "2026-01-03", "2026-01-04"])
    ids = [2**53 + 1, 2**53 + 2, 2**53 + 3]
    table = pd.DataFrame({"age": [1, 2, 3], "day": days, "id": ids})
    table.to_parquet(tmp_path / "rows.parquet", index=False)
    answered = table.drop(columns="age").assign(output=[0.25, 0.5, 0.75]).iloc[[0, 2]]
    answered.insert(0, "row", [0, 2])
    scored.on("GET", path, {"job": job})
    scored.on("GET", f"{path}/results", httpx.Response(200, content=answered.to_parquet(index=False)))
    frame = tt.score("churn", tmp_path / "rows.parquet", keep=["day", "id"], client=client, progress=False)
    assert scored.asked(f"{path}/results")[0].headers["Accept"] == "application/vnd.apache.parquet"
    assert frame["day"].dtype == days.dtype
    assert frame["day"].tolist() == [days[0], pd.NaT, days[2]]
    assert frame["id"].tolist()[::2] == ids[::2]
    assert frame["output"].dtype == "float64"
    assert frame["output"].isna().tolist() == [False, True, False]


def test_what_a_csv_keeps_is_text_unless_each_number_says_just_what_its_text_said(
    scored: Any, client: Client, shapes: Any
) -> None:
    path, large = f"/jobs/{shapes.job_id}", 2**53 + 1
    keep = ["id", "country", "count", "price", "rounded", "said", "row", "output"]
    job = {**shapes.job(rows_done=3, rows_total=4, rows_rejected=1), "keep": keep}
    text = (
        "row,id,country,count,price,rounded,said,row_,output_,output\n"
        f"0,007,NA,{large},0.5,1.50,nan,a,1,0.25\n1,008,,,2.25,2.5,inf,b,2,\n3,9,null,7,1.0,3.5,1,c,3,0.75\n"
    )
    scored.on("GET", f"{path}/results", httpx.Response(200, text=text))
    scored.on("GET", f"{path}/rejects", {"rejects": [], "next_cursor": None})
    frame = Job(JobRecord.read(job), client).results()
    assert frame["id"].dropna().tolist() == ["007", "008", "9"]
    assert frame["country"].dropna().tolist() == ["NA", "", "null"]
    assert frame["count"].dtype == "Int64"
    assert frame["count"].dropna().tolist() == [large, 7]
    assert frame["price"].dropna().tolist() == [0.5, 2.25, 1.0]
    assert frame["rounded"].dropna().tolist() == ["1.50", "2.5", "3.5"]
    assert frame["said"].dropna().tolist() == ["nan", "inf", "1"]
    assert frame["row_"].dropna().tolist() == ["a", "b", "c"]
    assert frame["output_"].dropna().tolist() == [1, 2, 3]
    assert frame["output"].isna().tolist() == [False, True, True, False]
    assert frame.loc[2].isna().all()


def test_results_that_pandas_cannot_read_as_parquet_are_fetched_as_csv(
    scored: Any, client: Client, shapes: Any
) -> None:
    path = f"/jobs/{shapes.job_id}"
    text = "row,day,output\n0,12026-01-02T00:00:00,0.25\n"
    scored.on("GET", f"{path}/results", httpx.Response(200, content=b"PAR1"), httpx.Response(200, text=text))
    job = {**shapes.job(rows_done=1, rows_total=1), "keep": ["day"], "row_format": "parquet"}
    frame = Job(JobRecord.read(job), client).results()
    assert frame["day"].tolist() == ["12026-01-02T00:00:00"]
    accepted = [request.headers["Accept"] for request in scored.asked(f"{path}/results")]
    assert accepted == ["application/vnd.apache.parquet", "text/csv"]


@pytest.mark.parametrize(
    ("name", "accept"),
    [
        ("out.csv", "text/csv"),
        ("out.parquet", "application/vnd.apache.parquet"),
        ("out.ndjson", "application/x-ndjson"),
    ],
)
def test_results_are_saved_in_the_format_of_the_files_name(
    scored: Any, client: Client, shapes: Any, tmp_path: Path, name: str, accept: str
) -> None:
    Job(JobRecord.read(shapes.job()), client).save(tmp_path / name)
    (request,) = scored.asked(f"/jobs/{shapes.job_id}/results")
    assert request.headers["Accept"] == accept
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_job_tells_its_partitions_and_its_log_over_all_pages(api: Any, client: Client, shapes: Any) -> None:
    path = f"/jobs/{shapes.job_id}"
    api.on(
        "GET",
        f"{path}/partitions",
        {"partitions": [PARTITION], "next_after": 0},
        {"partitions": [{**PARTITION, "partition": 1}], "next_after": None},
    )
    api.on("GET", f"{path}/log", {"log": [LINE], "next_after": None})
    job = Job(JobRecord.read(shapes.job()), client)
    assert [part.partition for part in job.partitions()] == [0, 1]
    assert [request.url.params["after"] for request in api.asked(f"{path}/partitions")] == ["-2", "0"]
    assert str(job.log()[0]) == "2026-01-02T03:04:05.678Z warning partition 0: The lease was lost."


def test_a_rejected_row_of_a_file_without_lines_has_none(api: Any, client: Client, shapes: Any) -> None:
    reject = {
        "row": 7,
        "line": None,
        "field": "age",
        "code": "null",
        "message": "Row 7: field 'age' is missing.",
    }
    api.on("GET", f"/jobs/{shapes.job_id}/rejects", {"rejects": [reject], "next_cursor": None})
    assert [(row.row, row.line) for row in client.rejects(shapes.job_id)] == [(7, None)]


def test_a_job_is_tried_again_and_deleted(api: Any, client: Client, shapes: Any) -> None:
    path = f"/jobs/{shapes.job_id}"
    api.on("POST", f"{path}/retry", {"job": shapes.job("queued")})
    api.on("GET", path, {"job": shapes.job("queued")})
    api.on("DELETE", path, {"message": "Job deleted"})
    job = Job(JobRecord.read(shapes.job("failed")), client)
    assert job.retry().state == "queued"
    job.delete()
    assert [request.method for request in api.asked(path)] == ["GET", "DELETE"]


def test_a_file_that_lies_with_the_backend_is_scored_there(scored: Any, client: Client, shapes: Any) -> None:
    scored.on("GET", "/jobs/sources", {"sources": ["lake"]})
    (lake,) = client.job_sources()
    job_id = client.start_stored_job("churn", lake, "2026/01.csv", {"keep": ["id"]}, idempotency_key="once")
    (request,) = scored.asked("/jobs")
    assert job_id == shapes.job_id
    assert json.loads(request.content) == {
        "model": "churn",
        "source": {"name": "lake", "key": "2026/01.csv"},
        "keep": ["id"],
    }


@pytest.mark.parametrize(
    ("output", "told"),
    [("out.xlsx", "not written as '.xlsx'"), ("no/out.csv", "There is no folder"), ("", "is a folder")],
)
def test_where_no_results_can_be_written_no_job_is_ordered(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, told: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("age\n1\n")
    assert cli.main(["score", "churn", str(rows), "-o", str(tmp_path / output)]) == 1
    assert told in capsys.readouterr().err
    assert shell.requests == []


@pytest.fixture
def shell(api: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The commands' client speaks to the answering end of these tests."""
    monkeypatch.setattr(
        commands,
        "Client",
        lambda **_: Client(shapes.url, transport=httpx.MockTransport(api), patience=0.0, in_shell=True),
    )
    return api


def test_a_shell_scores_with_choices_and_asks_about_the_job(
    shell: Any, scored: Any, shapes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"/jobs/{shapes.job_id}"
    shell.on("GET", f"{path}/partitions", {"partitions": [PARTITION], "next_after": None})
    shell.on("GET", f"{path}/log", {"log": [LINE], "next_after": None})
    shell.on("POST", f"{path}/retry", {})
    shell.on("GET", f"{path}/rejects", httpx.Response(200, text="row,line\n1,3\n"))
    shell.on("DELETE", path, {})
    rows, out = tmp_path / "rows.tsv", tmp_path / "out.parquet"
    rows.write_text("age\n1\n2\n")
    line = [
        "score",
        "churn",
        str(rows),
        "-o",
        str(out),
        "--keep",
        'id,"last, first"',
        "--keep",
        "note",
        "--priority",
        "9",
        "--delimiter",
        "\\t",
    ]
    assert cli.main(line) == 0
    request = shell.asked("/jobs")[0]
    assert request.url.params.get("delimiter") == "\t"
    assert request.url.params["keep"] == 'id,"last, first",note'
    assert out.is_file()
    for verb in ("log", "partitions", "retry", "forget"):
        assert cli.main([verb, shapes.job_id]) == 0
    assert cli.main(["results", shapes.job_id, "--rejects"]) == 0
    told, aside = capsys.readouterr()
    assert "0 rejected rows, job" in aside.splitlines()[-1]
    assert "The lease was lost." in told
    assert str(PARTITION["worker"]) in told
    assert "row,line\n1,3\n" in told
    assert f"deleted job {shapes.job_id}" in told
