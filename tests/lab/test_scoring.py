"""``tt.score_csv``: streamed up, followed, and back as a table in the source's order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import background, errors, scoring
from tensortrigger_lab.client import Client
from tensortrigger_lab.rows_file import RowsFile
from tensortrigger_lab.wire import ModelRecord

RESULTS = "row,output\n0,0.25\n2,0.75\n"
REJECT = {
    "row": 1,
    "line": 3,
    "field": "age",
    "code": "not_a_number",
    "message": "Line 3: field 'age' is not a number.",
}


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)


@pytest.fixture
def jobs(api: Any, shapes: Any) -> Any:
    """A job of three rows, the middle one rejected."""
    path = f"/jobs/{shapes.job_id}"
    api.on("POST", "/jobs", {"job_id": shapes.job_id, "message": "Job created"})
    api.on(
        "GET",
        path,
        {"job": shapes.job("queued", rows_done=0)},
        {"job": shapes.job("running", rows_done=1)},
        {"job": shapes.job("succeeded", rows_rejected=1)},
    )
    api.on("GET", f"{path}/results", httpx.Response(200, text=RESULTS))
    api.on("GET", f"{path}/rejects", {"rejects": [REJECT], "next_cursor": None})
    api.on("POST", f"{path}/cancel", {"message": "Job cancelled"})
    return api


@pytest.fixture
def csv_path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("age,income\n1,0.5\nx,0.5\n3,0.5\n")
    return path


def test_a_file_gives_a_row_for_every_row_and_nan_for_a_reject(
    jobs: Any, client: Client, csv_path: Path, shapes: Any
) -> None:
    with pytest.warns(tt.RowsRejected):
        frame = tt.score_csv("churn", csv_path, client=client)
    assert frame["output"].tolist()[::2] == [0.25, 0.75]
    assert frame["output"].isna().tolist() == [False, True, False]
    assert frame.index.tolist() == [0, 1, 2]
    assert frame.attrs == {
        "job_id": shapes.job_id,
        "model_id": shapes.model_id,
        "rows_rejected": 1,
        "rejects": [REJECT],
    }


@pytest.mark.parametrize("progress", [True, False])
@pytest.mark.parametrize("by_model", [True, False])
def test_rejected_rows_are_warned_of_once_where_the_caller_stands(
    jobs: Any, client: Client, csv_path: Path, shapes: Any, progress: bool, by_model: bool
) -> None:
    model = tt.Model(ModelRecord.read(shapes.model()), client)
    score = model.score_csv if by_model else partial(tt.score_csv, "churn", client=client)
    with pytest.warns(tt.RowsRejected) as warned:
        score(csv_path, progress=progress)
    (warning,) = warned
    assert str(warning.message) == (
        f"1 of 3 rows were rejected by job {shapes.job_id}. The first: Line 3: field 'age' is not a number."
    )
    assert warning.filename == __file__


def test_a_clean_job_warns_of_nothing(jobs: Any, client: Client, csv_path: Path, shapes: Any) -> None:
    jobs.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tt.score_csv("churn", csv_path, client=client)


def test_the_file_is_sent_as_it_is_in_small_pieces(
    jobs: Any, client: Client, csv_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "CHUNK", 7)
    pieces: list[bytes] = []

    def receive(request: httpx.Request) -> httpx.Response:
        pieces.append(request.content)
        return httpx.Response(201, json={"job_id": "j"})

    jobs.on("POST", "/jobs", receive)
    shown = scoring.progress_for(False)
    jobs.on("GET", "/jobs/j", {"job": {"job_id": "j", "model_id": "m", "state": "queued"}})
    scoring.start(client, "churn", RowsFile(csv_path), shown)
    request = jobs.asked("/jobs")[0]
    assert pieces == [csv_path.read_bytes()]
    assert request.headers["Content-Type"] == "text/csv"
    assert request.headers["Transfer-Encoding"] == "chunked"
    assert request.url.params["model"] == "churn"
    assert request.headers["Idempotency-Key"]


def test_a_dataframe_keeps_its_index(jobs: Any, client: Client) -> None:
    source = pd.DataFrame({"age": [1, 2, 3], "member": [True, False, True]}, index=["x", "y", "z"])
    with pytest.warns(tt.RowsRejected):
        frame = tt.score_csv("churn", source, client=client)
    assert frame.index.tolist() == ["x", "y", "z"]
    assert frame.loc["z", "output"] == 0.75
    assert jobs.asked("/jobs")[0].content.decode() == "age,member\n1,1\n2,0\n3,1\n"
    assert source["member"].dtype == bool


def test_a_lone_column_with_a_gap_still_has_a_line_for_each_row(jobs: Any, client: Client) -> None:
    with pytest.warns(tt.RowsRejected):
        tt.score_csv("churn", pd.DataFrame({"age": [1.5, None, 3.5]}), client=client)
    assert jobs.asked("/jobs")[0].content.decode().splitlines() == ["age", "1.5", '""', "3.5"]


def test_rejects_come_over_several_pages(jobs: Any, client: Client, csv_path: Path, shapes: Any) -> None:
    path = f"/jobs/{shapes.job_id}/rejects"
    jobs.on(
        "GET", path, {"rejects": [REJECT], "next_cursor": "p2"}, {"rejects": [REJECT], "next_cursor": None}
    )
    with pytest.warns(tt.RowsRejected):
        frame = tt.score_csv("churn", csv_path, client=client, progress=False)
    assert len(frame.attrs["rejects"]) == 2
    assert "p2" in [request.url.params.get("cursor") for request in jobs.asked(path)]


def test_a_job_that_fails_says_why(jobs: Any, client: Client, csv_path: Path, shapes: Any) -> None:
    jobs.on(
        "GET",
        f"/jobs/{shapes.job_id}",
        {"job": {**shapes.job("failed"), "error": "Partition 3 failed 5 times."}},
    )
    with pytest.raises(errors.JobFailed, match="is failed: Partition 3 failed 5 times") as caught:
        tt.score_csv("churn", csv_path, client=client)
    assert caught.value.job_id == shapes.job_id


def test_a_keyboard_interrupt_cancels_the_job(jobs: Any, client: Client, csv_path: Path, shapes: Any) -> None:
    looks = iter(range(10))

    def interrupted(request: httpx.Request) -> httpx.Response:
        if next(looks) > 1:
            raise KeyboardInterrupt
        return httpx.Response(200, json={"job": shapes.job("running")})

    jobs.on("GET", f"/jobs/{shapes.job_id}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tt.score_csv("churn", csv_path, client=client)
    assert len(jobs.asked(f"/jobs/{shapes.job_id}/cancel")) == 1


def test_the_backends_words_about_a_missing_column_arrive(
    jobs: Any, client: Client, csv_path: Path, shapes: Any
) -> None:
    fault = {
        "loc": ["input_data", "height"],
        "code": "csv_missing_column",
        "message": "Column 'height' is missing.",
    }
    jobs.on("POST", "/jobs", shapes.problem(400, "Column 'height' is missing.", [fault]))
    with pytest.raises(errors.InvalidRequest, match="Column 'height' is missing"):
        tt.score_csv("churn", csv_path, client=client)


@pytest.mark.parametrize("source", ["no/such.csv", ".", 5, pd.DataFrame({"age": []})])
def test_what_is_no_table_is_refused_before_anything_is_sent(jobs: Any, client: Client, source: Any) -> None:
    with pytest.raises(errors.BadInput):
        tt.score_csv("churn", source, client=client)
    assert jobs.requests == []


def test_results_that_are_no_csv_are_an_error_of_ours(
    jobs: Any, client: Client, csv_path: Path, shapes: Any
) -> None:
    jobs.on("GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="<html>"))
    with pytest.raises(errors.UnexpectedAnswer, match="cannot be read"):
        tt.score_csv("churn", csv_path, client=client)


def test_a_job_in_which_every_row_was_rejected_is_all_nan(
    jobs: Any, client: Client, csv_path: Path, shapes: Any
) -> None:
    jobs.on("GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="row,output\n"))
    with pytest.warns(tt.RowsRejected):
        frame = tt.score_csv("churn", csv_path, client=client)
    assert frame["output"].isna().tolist() == [True] * 3
    assert frame["output"].dtype == "float64"


def test_large_results_go_through_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensortrigger_lab import scored

    monkeypatch.setattr(scored, "IN_MEMORY", 10)

    def chunks() -> Iterator[bytes]:
        yield b"row,output_0,output_1\n"
        yield from (f"{row},{row / 10},1e-300\n".encode() for row in range(100))

    frame = scored.read_results(chunks(), 101)
    assert frame.shape == (101, 2)
    assert frame["output_0"].tolist()[:100] == [row / 10 for row in range(100)]


def test_jobs_show_themselves_as_a_table(api: Any, client: Client, shapes: Any) -> None:
    api.on(
        "GET",
        "/jobs",
        {"jobs": [shapes.job("running", rows_done=1200, rows_total=5000)], "next_cursor": None},
    )
    listing = tt.jobs(client=client)
    assert listing[0].state == "running"
    assert "1,200 of 5,000" in repr(listing)
    assert "<td>1,200 of 5,000</td>" in listing._repr_html_()


def test_jobs_name_their_models_with_one_question_and_tell_rejects_apart(
    api: Any, client: Client, shapes: Any
) -> None:
    unknown = {**shapes.job(rows_rejected=1), "model_id": "f" * 32}
    api.on("GET", "/jobs", {"jobs": [shapes.job(rows_rejected=1), unknown], "next_cursor": None})
    api.on("GET", "/models", {"models": [shapes.model(version=2)], "next_cursor": None})
    heading, named, by_id = repr(tt.jobs(client=client)).splitlines()
    assert heading.split() == ["job", "kind", "state", "done", "rejected", "created", "model"]
    assert named.split()[-1] == "churn/2"
    assert by_id.split()[-1] == "f" * 32
    assert named.split()[1:7] == ["score", "succeeded", "2", "of", "3", "1"]
    assert len(api.asked("/models")) == 1


def test_jobs_keep_the_ids_of_models_that_the_key_may_not_list(api: Any, client: Client, shapes: Any) -> None:
    api.on("GET", "/jobs", {"jobs": [shapes.job()], "next_cursor": None})
    api.on("GET", "/models", shapes.problem(403, "The key lacks the scope."))
    assert repr(tt.jobs(client=client)).split()[-1] == shapes.model_id


def test_a_job_can_be_followed_by_its_id(jobs: Any, client: Client, shapes: Any) -> None:
    job = tt.job(shapes.job_id, client=client)
    assert job.state == "queued"
    assert job.wait().results()["output"].notna().sum() == 2
    assert job.rejects()[0].field == "age"
    assert "1 rejected (first: Line 3: field 'age' is not a number.)" in job.summary()
    assert shapes.job_id in repr(job)
    assert shapes.job_id in job._repr_html_()
