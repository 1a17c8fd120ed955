"""Do rows go in and come out over HTTP in every format, packed, ranged and paged?"""

from __future__ import annotations

import base64
import csv
import gzip
import io
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from job_files import BODIES, GOOD, NDJSON, PARQUET, ROWS, STREAM, as_csv, expected, lines, results, scored


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", list(BODIES))
def test_rows_of_every_format_are_scored_alike(here: Any, name: str, packed: bool) -> None:
    media_type, body = BODIES[name]
    content = gzip.compress(body()) if packed else body()
    headers = {"content-encoding": "gzip"} if packed else {}
    job = scored(here, content, media_type, keep="id,note", headers=headers)
    progress = job["progress"]
    assert (progress["rows_total"], progress["rows_done"]) == (103, 103)
    assert progress["rows_rejected"] == 103 - len(GOOD)
    found = lines(results(here, job))
    assert [entry["row"] for entry in found] == GOOD
    assert [entry["id"] for entry in found] == [f"n-{at}" for at in GOOD]
    np.testing.assert_allclose([entry["y"] for entry in found], [expected(at) for at in GOOD], rtol=1e-6)
    rejects = here.client.get(f"/jobs/{job['job_id']}/rejects", params={"limit": 200}).json()["rejects"]
    assert {entry["row"]: entry["field"] for entry in rejects} == {
        at: "a" if row[1] is None else "city" for at, row in enumerate(ROWS) if at not in GOOD
    }
    assert {entry["code"] for entry in rejects} <= {"null", "missing", "unknown_category"}
    content_again = here.client.get(f"/jobs/{job['job_id']}/content").json()["job"]
    assert base64.b64decode(content_again.partition(",")[2]) == body()
    stored_as = "text/csv" if name == "tsv" else media_type.partition(";")[0]
    assert content_again.startswith(f"data:{stored_as};base64,")
    file = here.client.get(f"/jobs/{job['job_id']}/content", headers={"accept": f"{stored_as}, */*;q=0.1"})
    assert (file.content, file.headers["content-type"].partition(";")[0]) == (body(), stored_as)


@pytest.mark.parametrize("name", list(BODIES))
def test_base64_takes_every_format_by_its_media_type_or_its_first_bytes(here: Any, name: str) -> None:
    media_type, body = BODIES[name]
    encoded = base64.b64encode(body()).decode()
    if name == "tsv":
        data = f"data:{media_type};base64,{encoded}"
    else:
        data = encoded if name in ("parquet", "csv") else f"data:{media_type};base64,{encoded}"
    members = {"model": "linear", "input_data": data, "keep": ["note", "id"], "priority": 8}
    answer = here.client.post("/tensor/run/async", json=members)
    assert answer.status_code == 201, answer.text
    job = here.finished(answer.json()["job_id"])
    assert (job["priority"], job["keep"], job["webhook"]) == (8, ["note", "id"], None)
    assert job["row_format"] == {"tsv": "csv"}.get(name, name.partition(" ")[0])
    first = lines(results(here, job))[0]
    assert list(first) == ["row", "note", "id", "y"]


@pytest.fixture(scope="module")
def table_job(here: Any) -> dict[str, Any]:
    """A CSV that was scored, in part."""
    job: dict[str, Any] = scored(here, as_csv())
    return job


def test_results_are_the_same_in_every_format(here: Any) -> None:
    job = scored(here, as_csv(), keep="id,note")
    as_lines = lines(results(here, job))
    records = list(csv.DictReader(io.StringIO(results(here, job, "text/csv").text)))
    assert [{**record, "row": int(record["row"]), "y": float(record["y"])} for record in records] == as_lines
    answer = results(here, job, PARQUET)
    assert answer.headers["content-type"] == PARQUET
    assert "results-" in answer.headers["content-disposition"]
    file = pq.read_table(io.BytesIO(answer.content))
    assert file.to_pylist() == as_lines
    assert [str(field.type) for field in file.schema] == ["int64", "string", "string", "float"]
    native = results(here, job, "application/json").json()
    assert list(native) == ["http_code", "results"]
    assert [row for row, answer in enumerate(native["results"]) if answer is not None] == GOOD
    assert [native["results"][at] for at in GOOD] == [[entry["y"]] for entry in as_lines]


@pytest.mark.parametrize("accept", ["application/json", NDJSON, "text/csv", PARQUET])
def test_ranges_and_pages_are_pieces_of_the_whole(here: Any, accept: str) -> None:
    job = scored(here, as_csv(), keep="id")

    def read(answer: httpx.Response) -> list[Any]:
        if accept == "application/json":
            return list(answer.json()["results"])
        if accept == PARQUET:
            return list(pq.read_table(io.BytesIO(answer.content)).to_pylist())
        return answer.text.splitlines()[accept == "text/csv" :]

    whole = read(results(here, job, accept))
    pages: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(9):
        answer = results(here, job, accept, limit=30, **cursor)
        pages += read(answer)
        if accept == "application/json":
            following = answer.json()["next_cursor"]
        else:
            link = answer.headers.get("link", "")
            following = httpx.URL(link.partition(">")[0][1:]).params["cursor"] if link else None
        if following is None:
            break
        cursor = {"cursor": following}
    assert pages == whole
    some = read(results(here, job, accept, first_row=35, rows=50))
    if accept == "application/json":
        assert some == whole[35:85]
    else:
        assert len(some) == len([at for at in GOOD if 35 <= at < 85])
        assert some[0] in whole
    assert read(results(here, job, accept, first_row=103)) == []


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json;q=0.9", "application/json"),
        ("application/xml, application/json;q=0.1", "application/json"),
        ("application/json, text/csv", "application/json"),
        ("application/*", "application/json"),
        ("", "application/json"),
        (BROWSER, "application/json"),
        ("application/xml, Text/CSV;q=0.5, */*", "text/csv"),
        ("text/*", "text/csv"),
    ],
)
def test_who_accepts_several_forms_gets_the_first_that_there_is(
    here: Any, table_job: dict[str, Any], accept: str, media_type: str
) -> None:
    for what in ("results", "rejects"):
        answer = here.client.get(f"/jobs/{table_job['job_id']}/{what}", headers={"accept": accept})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    ("what", "accept"),
    [("results", "application/xml"), ("results", "image/*, text/html;q=0.9"), ("rejects", PARQUET)],
)
def test_who_accepts_no_form_that_there_is_is_told_which_there_are(
    here: Any, table_job: dict[str, Any], what: str, accept: str
) -> None:
    answer = here.client.get(f"/jobs/{table_job['job_id']}/{what}", headers={"accept": accept})
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/problem+json"
    forms = f"application/json or text/csv, {NDJSON}{f', {PARQUET}' if what == 'results' else ''}"
    assert answer.json()["message"] == f"Accept {forms}: there is no other form of this."


def test_formulas_are_made_harmless_only_where_that_was_asked(here: Any) -> None:
    job = scored(here, b"note,a,b,city\n=1+1,1,2,Rome\n-5,-1,-2,Rome\nplain,1,2,Oslo\n", keep="note")
    plain = [line.split(",")[1] for line in results(here, job, "text/csv").text.splitlines()]
    assert plain == ["note", "=1+1", "-5", "plain"]
    safe = results(here, job, "text/csv", escape_formulas="true").text.splitlines()
    assert [line.split(",")[1] for line in safe] == ["note", "'=1+1", "'-5", "plain"]
    assert safe[2].endswith(",-21.0")


def test_rejects_come_whole_as_csv_or_ndjson(here: Any) -> None:
    job = scored(here, as_csv())
    path = f"/jobs/{job['job_id']}/rejects"
    records = list(csv.DictReader(io.StringIO(here.client.get(path, headers={"accept": "text/csv"}).text)))
    objects = lines(here.client.get(path, headers={"accept": NDJSON}))
    paged = here.client.get(path, params={"limit": 200}).json()["rejects"]
    assert objects == paged
    assert list(records[0]) == ["row", "line", "field", "code", "message", "expected", "got"]
    assert [int(record["row"]) for record in records] == [at for at in range(103) if at not in GOOD]
    assert len(records) + len(GOOD) == 103


def test_options_of_a_csv_are_taken(here: Any) -> None:
    text = "id;a;b;city\nZürich;1;2;Oslo\n"
    job = scored(
        here, text.encode("utf-16"), delimiter=";", encoding="utf-16", keep=["id", "a"], priority="0"
    )
    assert lines(results(here, job)) == [{"row": 0, "id": "Zürich", "a": "1", "y": 121.0}]
    assert (job["priority"], job["keep"]) == (0, ["id", "a"])
    latin = scored(here, text.encode("latin-1"), "text/csv; charset=ISO-8859-1", delimiter=";", keep='"id",a')
    assert lines(results(here, latin))[0]["id"] == "Zürich"


def test_the_document_tells_every_format_and_option(here: Any) -> None:
    document = here.client.get("/openapi.json").json()
    order = document["paths"]["/jobs"]["post"]
    assert {"text/csv", NDJSON, PARQUET, STREAM, "application/json"} <= set(order["requestBody"]["content"])
    told = {parameter["name"] for parameter in order["parameters"]}
    assert {"model", "keep", "priority", "delimiter", "encoding", "webhook"} <= told
    asked = document["paths"]["/jobs/{job_id}/results"]["get"]
    assert {"first_row", "rows", "limit", "cursor"} <= {
        parameter["name"] for parameter in asked["parameters"]
    }
    assert PARQUET in asked["responses"]["200"]["content"]
    assert {"ScoreRequest", "FetchRequest"} <= set(document["components"]["schemas"])
