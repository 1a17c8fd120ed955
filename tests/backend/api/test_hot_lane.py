"""The quick way to an answer gives the same bytes as the ordinary one, and keeps HTTP's rules."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def connect(server: Any) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def request_bytes(body: dict[str, Any], path: str = "/tensor/run", *headers: str) -> bytes:
    content = json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*head, f"Content-Length: {len(content)}", "", ""]).encode() + content


def read_answers(stream: socket.socket, count: int) -> list[tuple[int, Any]]:
    """Status and JSON of the next answers on a connection."""
    answers: list[tuple[int, Any]] = []
    with stream.makefile("rb") as file:
        while len(answers) < count:
            status = int(file.readline().split()[1])
            length = 0
            while (line := file.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            answers.append((status, json.loads(file.read(length))))
    return answers


def vector(number: float) -> dict[str, Any]:
    return {"model": "churn", "input_vector": [number, 0, 0]}


@pytest.fixture(autouse=True)
def _warm(server: Any, churn: Any) -> None:
    assert server.client.post("/tensor/run", json=vector(0)).is_success


def test_both_ways_give_the_same_answer(server: Any) -> None:
    for path, body in (
        ("/tensor/run", vector(1.5)),
        (
            "/tensor/run/batch",
            {"model": "churn", "input_vectors": [[1, 2, 3], {"calls": 3, "charges": 2, "tenure": 1}]},
        ),
    ):
        quick = server.client.post(path, json=body)
        # A chunked body is unusual enough for the ordinary way.
        ordinary = server.client.post(
            path, content=iter([json.dumps(body).encode()]), headers={"content-type": "application/json"}
        )
        assert quick.content == ordinary.content
        assert quick.headers["content-type"] == ordinary.headers["content-type"]


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(10**6), 10**6)
rows = st.lists(numbers, min_size=3, max_size=3) | st.fixed_dictionaries(
    dict.fromkeys(("tenure", "charges", "calls"), numbers)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, min_size=1, max_size=5))
def test_any_valid_batch_is_answered_alike_by_both_ways(server: Any, batch: list[Any]) -> None:
    body = json.dumps({"model": "churn", "input_vectors": batch}).encode()
    headers = {"content-type": "application/json"}
    quick = server.client.post("/tensor/run/batch", content=body, headers=headers)
    ordinary = server.client.post("/tensor/run/batch", content=iter([body]), headers=headers)
    assert quick.status_code == ordinary.status_code == 200
    assert quick.json() == ordinary.json()


def test_pipelined_requests_are_answered_in_their_order(server: Any) -> None:
    with connect(server) as stream:
        wrong = {"model": "churn", "input_vector": [1]}
        health = b"GET /health_check HTTP/1.1\r\nHost: localhost\r\n\r\n"
        stream.sendall(
            request_bytes(vector(1))
            + health
            + request_bytes(vector(2))
            + request_bytes(wrong)
            + request_bytes(vector(3))
            + request_bytes(vector(4))
            + health
        )
        answers = read_answers(stream, 7)
    assert [status for status, _ in answers] == [200, 200, 200, 400, 200, 200, 200]
    alone = [server.client.post("/tensor/run", json=vector(number)).json() for number in (1, 2, 3, 4)]
    found = [answers[at][1] for at in (0, 2, 4, 5)]
    for pipelined, single in zip(found, alone, strict=True):
        assert pipelined["output"] == pytest.approx(single["output"], rel=1e-5)
    assert answers[1][1]["message"] == answers[6][1]["message"] == "Service running"


def test_a_request_in_single_bytes_is_answered(server: Any) -> None:
    with connect(server) as stream:
        for byte in request_bytes(vector(1)):
            stream.sendall(bytes([byte]))
        assert read_answers(stream, 1)[0][0] == 200


def test_connection_close_and_http_1_0_are_honoured(server: Any) -> None:
    with connect(server) as stream:
        stream.sendall(request_bytes(vector(1), "/tensor/run", "Connection: close"))
        assert read_answers(stream, 1)[0][0] == 200
        assert stream.recv(1) == b""
    with connect(server) as stream:
        stream.sendall(request_bytes(vector(1)).replace(b"HTTP/1.1", b"HTTP/1.0"))
        data = b""
        while chunk := stream.recv(4096):
            data += chunk
        assert b" 200 " in data.split(b"\r\n")[0]


def test_expect_100_continue_is_answered_first(server: Any) -> None:
    whole = request_bytes(vector(1), "/tensor/run", "Expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    with connect(server) as stream:
        stream.sendall(head + b"\r\n\r\n")
        assert stream.recv(4096).startswith(b"HTTP/1.1 100")
        stream.sendall(body)
        assert read_answers(stream, 1)[0][0] == 200


def test_many_callers_at_once_each_get_their_own_answer(server: Any) -> None:
    alone = {
        number: server.client.post("/tensor/run", json=vector(number)).json()["output"]
        for number in range(40)
    }
    wrong: list[Any] = []

    def call(number: int) -> None:
        with httpx.Client(base_url=server.url) as client:
            for _ in range(20):
                output = client.post("/tensor/run", json=vector(number)).json()["output"]
                if output != pytest.approx(alone[number], rel=1e-5, abs=1e-6):
                    wrong.append((number, output))

    threads = [threading.Thread(target=call, args=(number,)) for number in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_caller_that_hangs_up_disturbs_nobody(server: Any) -> None:
    for _ in range(20):
        with connect(server) as gone, connect(server) as stays:
            gone.sendall(request_bytes(vector(1)))
            stays.sendall(request_bytes(vector(2)))
            gone.close()
            assert read_answers(stays, 1)[0][0] == 200


def test_a_client_that_never_finishes_is_cut_off(start_server: Callable[..., Any]) -> None:
    server = start_server(header_timeout="1", body_timeout="1")
    for beginning in (b"POST /tensor/run HTTP/1.1\r\nHost: loc", request_bytes(vector(1))[:-5], b""):
        with connect(server) as stream:
            stream.sendall(beginning)
            started = time.monotonic()
            assert stream.recv(1) == b""
            assert 0.5 < time.monotonic() - started < 6
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_is_small_and_quickly_there(
    start_server: Callable[..., Any], published_data: Callable[[], Path]
) -> None:
    server = start_server(data_dir=published_data())
    for _ in range(50):
        assert server.client.post(
            "/tensor/run", json={"model": "churn", "input_vector": [1, 2, 3]}
        ).is_success
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    assert resident < 150
    # Processor time, not the clock's: beside other tests a start takes as long as they let it.
    assert server.stop() == 0
    server.start()
    times = psutil.Process(server.process.pid).cpu_times()
    assert times.user + times.system < 2
    server.stop()


async def test_sixteen_clients_are_answered_over_a_thousand_times_a_second(server: Any) -> None:
    # A small and lenient version of benchmarks/serve.py, where this client is the slower side.
    address = urlsplit(server.url)
    request = request_bytes(vector(1))
    until = time.monotonic() + 2

    async def client() -> int:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        answered = 0
        while time.monotonic() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            answered += 1
        writer.close()
        return answered

    answered = sum(await asyncio.gather(*(client() for _ in range(16))))
    assert answered / 2 > 1000
