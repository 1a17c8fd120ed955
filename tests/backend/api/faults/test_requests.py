"""A body, path, host or head that is wrong is refused, whatever it was for."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from problems import fault


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
