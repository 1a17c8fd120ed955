"""Do rows go in and come out over HTTP in every format, packed, ranged and paged, and is what is wrong told as such?"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest, write_artifact
from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec

SCHEMA = {
    "a": {"var_type": "FLOAT", "index": 0},
    "b": {"var_type": "INT", "index": 1},
    "city": {
        "var_type": "STRING",
        "index": 2,
        "categories": ["Rome", "Oslo"],
        "nullable": True,
        "fill": "Rome",
    },
}
WEIGHTS = np.array([[1.0], [10.0], [100.0]], np.float32)
PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"
STREAM = "application/vnd.apache.arrow.stream"


def seed(data_dir: Path, owner: str = "local") -> None:
    """Put a ready model into a data folder, as the forge would leave it, without TensorFlow."""
    data_dir.mkdir(exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    signature = Signature((TensorSpec("x", "float32", (-1, 3)),), (TensorSpec("y", "float32", (-1, 1)),))
    artifact = data_dir / "made"
    write_artifact(artifact, Manifest(ONNX, signature), {GRAPH: model.SerializeToString()})
    blobs = LocalBlobs(data_dir, "seed")
    blobs.put("models/m0/source", b"what was uploaded")
    blobs.put("models/m0/servable", artifact.read_bytes())
    artifact.unlink()
    database = Database(f"sqlite:///{data_dir / 'tensortrigger.db'}")
    database.migrate()
    store = SqlModelStore(database)
    version = ModelVersion(
        model_id="m0",
        owner=owner,
        name="linear",
        title="Linear",
        description="",
        state=VersionState.RECEIVED,
        source_key="models/m0/source",
        source_sha256="0" * 64,
        size=1,
        created=time.time(),
        schema=VectorSchema.parse(SCHEMA),
    )
    store.add(version)
    verdict = ForgeVerdict(True, format="keras", signature=signature, engine=ONNX, max_deviation=0.0)
    store.make_ready("m0", verdict, "models/m0/servable", "1" * 64, time.time())
    database.close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def here(
    start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, lake: Path
) -> Iterator[Any]:
    """A server with the model ``linear``, slices of 40 rows, and a source."""
    data_dir = tmp_path_factory.mktemp("formats") / "data"
    seed(data_dir)
    settings = {
        "slice_rows": "40",
        "max_upload": str(1 << 24),
        "sources": json.dumps({"lake": f"file://{lake}"}),
    }
    server = start_server(data_dir=data_dir, log_level="warning", trainers="0", **settings)
    yield server
    assert server.stop() == 0


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


GOOD = [at for at, row in enumerate(ROWS) if row[1] is not None and row[3] != "Bath"]


def expected(at: int) -> float:
    _, a, b, city, _ = ROWS[at]
    assert a is not None
    return a + 10.0 * b + (100.0 if city == "Oslo" else 0.0)


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


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"delimeter": ";"}, "delimeter"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
        ({"encoding": "base64"}, "encoding"),
        ({"encoding": "klingon"}, "encoding"),
        ({"priority": "10"}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"keep": "id,id"}, "keep"),
        ({"keep": '"id'}, "keep"),
        ({"keep": "absent"}, "absent"),
    ],
)
def test_an_option_that_is_wrong_is_refused_by_name(here: Any, asked: dict[str, str], named: str) -> None:
    answer = submit(here, as_csv(), **asked)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["loc"][-1] == named


@pytest.mark.parametrize(
    ("content", "media_type", "headers", "status"),
    [
        (as_csv(), "text/html", {}, 415),
        (as_csv(), "text/csv", {"content-encoding": "br"}, 415),
        (as_csv(), "text/csv", {"content-encoding": "gzip"}, 400),
        (as_csv(), PARQUET, {}, 400),
        (b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1", PARQUET, {}, 400),
        (as_parquet()[:-9] + as_parquet()[-8:], PARQUET, {}, 400),
        (as_parquet(), "text/csv", {}, 400),
        (b"\xff\xff\xff\xff\x10\0\0\0" + b"\xff" * 16, STREAM, {}, 400),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(99), STREAM, {}, 400),
        (as_arrow(pa.ipc.new_stream)[:-50], STREAM, {}, 400),
        (",".join(f"c{at}" for at in range(10_001)).encode(), "text/csv", {}, 400),
        (b"a,b,city\n1,2," + b"x" * (2 << 20), "text/csv", {}, 400),
        (b"a,b,city\n1,\0,x\n", "text/csv", {}, 400),
        (b'{"a": "' + b"x" * (2 << 20), NDJSON, {}, 400),
        (gzip.compress(b"a,b,city\n" + b"1,2,Rome\n" * (4 << 20)), "text/csv", {}, 413),
        (b"", "text/csv", {}, 400),
        (b"", PARQUET, {}, 400),
        (b"", STREAM, {}, 400),
    ],
    ids=(
        "another type",
        "another compression",
        "not packed",
        "a CSV as Parquet",
        "a lying footer",
        "a footer without its pages",
        "Parquet as CSV",
        "no Arrow",
        "an endless Arrow message",
        "Arrow cut off",
        "10,001 columns",
        "a huge field",
        "a NUL",
        "an endless line of NDJSON",
        "a gzip bomb",
        "an empty CSV",
        "an empty Parquet",
        "an empty Arrow stream",
    ),
)
def test_what_is_no_upload_is_refused_and_nothing_of_it_is_kept(
    here: Any, content: bytes, media_type: str, headers: dict[str, str], status: int
) -> None:
    before = sorted((here.data_dir / "blobs" / "jobs").glob("*"))
    answer = submit(here, content, media_type, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert sorted((here.data_dir / "blobs" / "jobs").glob("*")) == before


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


def test_hostile_files_do_not_fill_the_memory_of_the_server(here: Any) -> None:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(pack.compress(b"a,b,city\n1,2,Rome\n" * (1 << 16)) for _ in range(512)) + pack.flush()
    sink = io.BytesIO()
    zeros = pa.table({"a": np.zeros(1 << 21), "b": np.zeros(1 << 21), "city": pa.nulls(1 << 21)})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, zeros.schema, options=options) as writer:
        for _ in range(4):
            writer.write_table(zeros)
    assert submit(here, bomb).status_code == 413
    assert submit(here, sink.getvalue(), STREAM).status_code == 400
    assert submit(here, b"a,b,city\n" + b'"' * (8 << 20)).status_code == 400
    status = Path(f"/proc/{here.process.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 450_000, f"{peak} kB"
