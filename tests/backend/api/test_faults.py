"""Every wrong input gets a 4xx that names what is wrong, and nothing is half-stored."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

HUGE = 10**400


def columns(*names: str) -> dict[str, Any]:
    """A flat schema of FLOAT fields in this order."""
    return {name: {"var_type": "FLOAT", "index": place} for place, name in enumerate(names)}


@pytest.fixture(autouse=True)
def _nothing_is_stored(server: Any, churn: Any, softmax: Any, tensors: Any) -> Iterator[None]:
    """No test of this file may leave a model, a job or a blob behind."""

    def stored() -> tuple[Any, ...]:
        blobs = sorted(path for path in (server.data_dir / "blobs").rglob("*") if path.is_file())
        models = server.client.get("/models", params={"limit": 200}).json()["models"]
        refused = server.client.get("/models", params={"state": "refused"}).json()["models"]
        jobs = server.client.get("/jobs", params={"limit": 200}).json()["jobs"]
        incoming = list((server.data_dir / "incoming").iterdir())
        return (
            blobs,
            [model["model_id"] for model in models],
            refused,
            [job["job_id"] for job in jobs],
            incoming,
        )

    before = stored()
    yield
    assert stored() == before


def fault(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The problem details, after checking what all of them share."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == problem["http_code"] == status
    assert problem["message"] == problem["detail"]
    assert {"type", "title", "instance"} <= set(problem)
    assert "Traceback" not in answer.text
    return problem


def run(server: Any, vector: Any, **more: Any) -> httpx.Response:
    body = json.dumps({"model": "churn", "input_vector": vector, **more})
    return server.client.post("/tensor/run", content=body, headers={"content-type": "application/json"})


GOOD = {"tenure": 1.0, "charges": 2.0, "calls": 3.0}


@pytest.mark.parametrize(
    ("vector", "field", "code", "got"),
    [
        ({"tenure": 1, "charges": 2}, "calls", "missing", "nothing"),
        ({**GOOD, "color": 4}, "color", "extra", "color"),
        ({**GOOD, "charges": "many"}, "charges", "not_a_number", "'many'"),
        ({**GOOD, "charges": True}, "charges", "not_a_number", "True"),
        ({**GOOD, "charges": [2]}, "charges", "not_a_number", "[2]"),
        ({**GOOD, "charges": None}, "charges", "null", "null"),
        ({**GOOD, "charges": 1e39}, "charges", "out_of_range", "1e+39"),
        ({**GOOD, "charges": HUGE}, "charges", "out_of_range", None),
    ],
)
def test_a_vector_that_does_not_fit_names_the_field(
    server: Any, vector: Any, field: str, code: str, got: str | None
) -> None:
    problem = fault(run(server, vector))
    entry = problem["errors"][0]
    assert (entry["loc"], entry["code"]) == (["input_vector", field], code)
    assert field in problem["detail"]
    assert got is None or entry["got"] == got
    assert entry["expected"]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(server: Any, word: str) -> None:
    body = f'{{"model": "churn", "input_vector": {{"tenure": 1, "charges": {word}, "calls": 3}}}}'
    answer = server.client.post("/tensor/run", content=body, headers={"content-type": "application/json"})
    detail = fault(answer)["detail"]
    assert "not valid JSON" in detail or "finite" in detail or "range" in detail


def test_a_vector_of_the_wrong_length_says_both_lengths(server: Any) -> None:
    entry = fault(run(server, [1, 2]))["errors"][0]
    assert (entry["expected"], entry["got"]) == ("3", "2")


def test_an_integer_field_refuses_a_fraction(server: Any) -> None:
    answer = server.client.post(
        "/tensor/run", json={"model": "risk", "input_vector": {"age": 2.5, "income": 1}}
    )
    entry = fault(answer)["errors"][0]
    assert (entry["loc"], entry["code"], entry["expected"]) == (
        ["input_vector", "age"],
        "not_an_integer",
        "INT",
    )


def test_a_batch_names_row_and_field_of_each_fault(server: Any) -> None:
    rows = [GOOD, {**GOOD, "calls": None}, [1, 2, 3], {**GOOD, "tenure": "x"}]
    answer = server.client.post("/tensor/run/batch", json={"model": "churn", "input_vectors": rows})
    entries = fault(answer)["errors"]
    assert [(entry["row"], entry["loc"][-1], entry["code"]) for entry in entries] == [
        (1, "calls", "null"),
        (3, "tenure", "not_a_number"),
    ]


@pytest.mark.parametrize("rows", [[], "abc", None, {"tenure": 1}, 5])
def test_a_batch_that_is_no_list_of_vectors_is_refused(server: Any, rows: Any) -> None:
    answer = server.client.post("/tensor/run/batch", json={"model": "churn", "input_vectors": rows})
    assert fault(answer)["errors"][0]["loc"][0] == "input_vectors"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ([[1, 2], [3]], "ragged"),
        ([[["a"]]], "tensor_shape"),
        ([[[["a"] for _ in range(6)] for _ in range(6)]], "tensor_dtype"),
        ([[[[None] for _ in range(6)] for _ in range(6)]], "tensor_dtype"),
        ([[[[True] for _ in range(6)] for _ in range(6)]], "tensor_dtype"),
        ([["x" * 50_000, *["a"] * 2000]], "tensor_shape"),
        ([[[[None]]]], "tensor_shape"),
        ([[1.0, 2.0]], "tensor_shape"),
        ([], "tensor_shape"),
        ("text", "tensor_type"),
        ({"nope": [[1.0]]}, "missing"),
    ],
)
def test_tensors_that_do_not_fit_name_the_tensor(server: Any, inputs: Any, code: str) -> None:
    problem = fault(server.client.post("/tensor/run", json={"model": "image", "inputs": inputs}))
    assert problem["errors"][0]["code"] == code


def test_a_model_that_takes_tensors_says_so(server: Any) -> None:
    problem = fault(server.client.post("/tensor/run", json={"model": "image", "input_vector": [1.0]}))
    assert "send 'inputs'" in problem["detail"]


@pytest.mark.parametrize(
    ("reference", "status", "words"),
    [
        ({"model_id": "0" * 32}, 404, "There is no model"),
        ({"model": "nobody"}, 404, "There is no model 'nobody'"),
        ({"model": "churn/9"}, 404, "has no version 9; latest is 1"),
        ({"model": "Not A Name"}, 400, "is not a model name"),
        ({"model": "churn/zero"}, 400, "name@alias or name/version"),
        ({"model": "churn/0000000000019999999999999999999"}, 400, "name@alias or name/version"),
        ({"model": "churn/" + "1" * 5000}, 400, "name@alias or name/version"),
        ({"model": "Churn"}, 400, "did you mean 'churn'?"),
        ({"model_id": 5}, 400, "model_id must be a string"),
        ({}, 400, "Name the model"),
        ({"model": "churn", "model_id": "0" * 32}, 400, "either by"),
    ],
)
def test_a_model_that_cannot_be_found_says_why(server: Any, reference: Any, status: int, words: str) -> None:
    answer = server.client.post("/tensor/run", json={"input_vector": [1, 2, 3], **reference})
    problem = fault(answer, status)
    assert words in problem["detail"] or words in json.dumps(problem["errors"])


def test_neither_or_both_of_vector_and_inputs_is_refused(server: Any) -> None:
    assert "Send either" in fault(run(server, None))["detail"]
    assert "Send either" in fault(run(server, [1, 2, 3], inputs=[[1, 2, 3]]))["detail"]


@pytest.mark.parametrize(
    "path", ["/tensor/run", "/tensor/run/batch", "/tensor/run/async", "/models/new", "/tickets"]
)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{"model": NaN}', "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[1]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
    ],
)
def test_malformed_json_is_a_400(server: Any, path: str, body: bytes, words: str) -> None:
    answer = server.client.post(path, content=body, headers={"content-type": "application/json"})
    assert words in fault(answer)["detail"]


def test_a_body_that_does_not_say_it_is_json_is_refused(server: Any) -> None:
    # This is what keeps a web page of another origin from using a backend without keys.
    for media_type in ("text/plain", "application/x-www-form-urlencoded"):
        body = json.dumps({"model": "churn", "input_vector": [1, 2, 3]})
        answer = server.client.post("/tensor/run", content=body, headers={"content-type": media_type})
        fault(answer, 415)
    request = server.client.build_request("POST", "/tensor/run", content=body)
    request.headers.pop("content-type", None)
    fault(server.client.send(request), 415)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (columns("a", "b"), "3"),
        (columns("a", "b", "c", "d"), "3"),
        ({"input_schema": columns("a", "b", "c"), "output_schema": columns("y", "z")}, "output"),
        ({"a": {"var_type": "FLOAT", "index": 0}, "b": {"var_type": "FLOAT", "index": 0}}, "share index 0"),
        ({"a": {"var_type": "COLOR", "index": 0}}, "var_type"),
        ({"a": {"var_type": "FLOAT", "index": 7}}, "index 7"),
        ({"a": 3}, "must be an object"),
        ({}, "at least one input"),
        ([], "at least one input"),
    ],
)
def test_a_schema_that_does_not_fit_the_model_is_refused(
    server: Any, models: Path, schema: Any, words: str
) -> None:
    problem = fault(server.publish(models / "churn.h5", "misfit", schema))
    assert words in problem["detail"]
    assert problem["errors"][0]["loc"][0] in ("model_schema", "model_content")


@pytest.mark.parametrize(
    ("file", "words"),
    [("lambda.h5", ("squared", "Lambda")), ("custom.keras", ("discount", "Discount"))],
)
def test_code_in_a_model_is_refused_and_the_layer_is_named(
    server: Any, models: Path, file: str, words: tuple[str, ...]
) -> None:
    problem = fault(server.publish(models / file, "code"))
    assert all(word in problem["detail"] for word in words)
    assert problem["errors"][0]["remedy"]


@pytest.mark.parametrize(
    "content",
    [
        b"hello, world",
        b"\x80\x04\x95pickle",
        b"PK\x03\x04 but no zip",
        b'{"class_name": "Sequential"}',
        b"\x89HDF\r\n\x1a\n",
    ],
)
def test_a_file_that_is_no_model_is_refused(server: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "upload"
    file.write_bytes(content)
    assert fault(server.publish(file, "no-model"))["errors"][0]["loc"][0] == "model_content"


def test_a_truncated_hdf5_is_said_to_be_truncated(server: Any, models: Path) -> None:
    assert "truncated" in fault(server.publish(models / "truncated.h5", "half"))["detail"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"model_content": "!!!"}, "model_content"),
        ({"model_content": "data:text/plain,hello"}, "model_content"),
        ({"model_content": ""}, "model_content"),
        ({"model_content": 5}, "model_content"),
        ({"model_content": None}, "model_content"),
        ({"model_name": ""}, "model_name"),
        ({"model_name": "???"}, "model_name"),
        ({"model_name": 5}, "model_name"),
        ({"name": "Upper"}, "name"),
        ({"model_description": 5}, "model_description"),
    ],
)
def test_a_publish_request_names_the_member_that_is_wrong(
    server: Any, models: Path, members: dict[str, Any], field: str
) -> None:
    body = {
        "model_name": "fine",
        "model_content": base64.b64encode((models / "churn.h5").read_bytes()).decode(),
        **members,
    }
    problem = fault(server.client.post("/models/new", json=body))
    assert problem["errors"][0]["loc"] == [field]


def test_a_body_over_the_limit_is_a_413(start_server: Callable[..., Any]) -> None:
    small = start_server(max_content="1000", max_json="500", max_upload="2000")
    content = {"model_name": "big", "model_content": "A" * 1001}
    assert "1000" in fault(small.client.post("/models/new", json=content), 413)["detail"]
    fault(small.client.post("/models/new", json={**content, "model_description": "x" * (2 << 20)}), 413)
    fault(small.client.post("/tensor/run", json={"model": "x", "input_vector": [0.0] * 500}), 413)
    small.stop()


def test_the_default_limit_is_64_mib_of_base64(server: Any) -> None:
    body = b'{"model_name":"big","model_content":"' + b"A" * (64 * 2**20 + 4) + b'"}'
    answer = server.client.post("/models/new", content=body, headers={"content-type": "application/json"})
    assert str(64 * 2**20) in fault(answer, 413)["detail"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"tenure,charges\n1,2\n", "Column 'calls' is missing"),
        (b"tenure,charges,Calls\n1,2,3\n", "there is 'Calls'"),
        (b"tenure,charges,calls,calls\n1,2,3,4\n", "stands 2 times"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"tenure,charges,calls\n1,\x00,3\n", "NUL"),
        (b'tenure,charges,calls\n1,"2,3\n', "never closed"),
        (b"\xfftenure,charges,calls\n1,2,3\n", "UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_whole(server: Any, content: bytes, words: str) -> None:
    answer = server.client.post(
        "/jobs", params={"model": "churn"}, content=content, headers={"content-type": "text/csv"}
    )
    assert words in fault(answer)["detail"]
    encoded = "data:text/csv;base64," + base64.b64encode(content).decode()
    answer = server.client.post("/tensor/run/async", json={"model": "churn", "input_data": encoded})
    fault(answer)


def test_a_csv_for_a_model_that_takes_tensors_is_refused(server: Any) -> None:
    answer = server.client.post(
        "/jobs", params={"model": "image"}, content=b"a\n1\n", headers={"content-type": "text/csv"}
    )
    assert "one vector" in fault(answer)["detail"]


def test_a_job_of_another_format_is_a_415(server: Any) -> None:
    answer = server.client.post(
        "/jobs", params={"model": "churn"}, content=b"<a/>", headers={"content-type": "text/xml"}
    )
    fault(answer, 415)


@pytest.mark.parametrize("path", ["", "/metadata", "/content", "/results", "/rejects"])
def test_an_unknown_job_is_a_404(server: Any, path: str) -> None:
    assert "no job" in fault(server.client.get(f"/jobs/{'0' * 32}{path}"), 404)["detail"]


@pytest.mark.parametrize("path", ["", "/metadata", "/content", "/schema", "/servable"])
def test_an_unknown_model_is_a_404(server: Any, path: str) -> None:
    assert "no model" in fault(server.client.get(f"/models/{'0' * 32}{path}"), 404)["detail"]


@pytest.mark.parametrize(
    "path",
    ["/models/..%2f..%2fetc", "/models/%252e%252e", "/models/..%5c..", "/models/%c0%ae", "/models/a%00b"],
)
def test_a_path_that_tries_to_climb_is_a_404(server: Any, path: str) -> None:
    fault(server.client.get(path), 404)


def test_unknown_routes_and_methods_are_problem_details_too(server: Any) -> None:
    fault(server.client.get("/nowhere"), 404)
    fault(server.client.put("/models"), 405)
    fault(server.client.get("/models", params={"limit": 0}), 400)
    fault(server.client.get("/models", params={"limit": 201}), 400)
    fault(server.client.get("/models", params={"cursor": "!"}), 400)
    fault(server.client.get("/models", params={"state": "lost"}), 400)
    fault(server.client.get("/models/by-name/churn/versions/0"), 400)


def test_a_host_that_is_not_ours_is_refused(server: Any) -> None:
    body = {"model": "churn", "input_vector": [1, 2, 3]}
    assert server.client.post("/tensor/run", json=body).is_success
    fault(server.client.post("/tensor/run", json=body, headers={"host": "evil.example"}), 400)
    fault(server.client.get("/models", headers={"host": "evil.example:8500"}), 400)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/tensor/run", {"model": "churn", "input_vector": [1, 2, 3], "version": 9}, "version"),
        ("/tensor/run/batch", {"model": "churn", "input_vectors": [[1, 2, 3]], "rows": 1}, "rows"),
        ("/tensor/run/async", {"model": "churn", "input_data": "", "format": "csv"}, "format"),
        ("/models/new", {"model_name": "x", "model_content": "", "colour": "red"}, "colour"),
        ("/tickets", {"model": "x", "ttl": 5}, "ttl"),
    ],
)
def test_a_misspelt_member_is_not_passed_over(
    server: Any, path: str, body: dict[str, Any], field: str
) -> None:
    problem = fault(server.client.post(path, json=body))
    assert problem["errors"][0]["loc"] == [field]
    assert problem["errors"][0]["code"] == "unknown_member"


def test_a_head_without_end_is_cut_off(server: Any) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as stream:
        stream.sendall(b"GET /health_check HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                stream.sendall(b"x" * 4096)
                time.sleep(0.002)
        assert stream.recv(64).startswith(b"HTTP/1.1 431")


def test_a_large_batch_does_not_hold_up_the_others(server: Any) -> None:
    rows = [[0.5, 1.5, 2.5]] * 200_000
    body = json.dumps({"model": "churn", "input_vectors": rows})
    slowest = 0.0
    with ThreadPoolExecutor(1) as aside, httpx.Client(base_url=server.url) as other:
        headers = {"content-type": "application/json"}
        large = aside.submit(server.client.post, "/tensor/run/batch", content=body, headers=headers)
        while not large.done():
            started = time.perf_counter()
            assert other.get("/health_check").is_success
            slowest = max(slowest, time.perf_counter() - started)
    assert len(large.result().json()["output"]) == 200_000
    assert slowest < 1.5
