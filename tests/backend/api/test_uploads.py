"""Large models come over raw and in pieces, through broken connections and dead servers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest

MIB = 1 << 20


def begin(client: httpx.Client, **told: Any) -> str:
    answer = client.post("/models/uploads", json=told)
    assert answer.status_code == 201, answer.text
    path: str = answer.headers["location"]
    assert path == f"/models/uploads/{answer.json()['upload_id']}"
    assert answer.json()["offset"] == 0
    return path


def put(client: httpx.Client, path: str, offset: int, data: Any) -> httpx.Response:
    return client.put(path, params={"offset": offset}, content=data)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """A body of unknown length."""
    yield from (data[at : at + size] for at in range(0, len(data), size))


def broken_put(url: str, path: str, announced: int, data: bytes) -> None:
    """Announce more than is sent, then let the connection go."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        head = f"PUT {path}?offset=0 HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {announced}\r\n\r\n"
        connection.sendall(head.encode() + data)


def arrived(client: httpx.Client, path: str, at_least: int) -> int:
    until = time.monotonic() + 20
    while (offset := client.get(path).json()["offset"]) < at_least:
        assert time.monotonic() < until, offset
        time.sleep(0.05)
    return int(offset)


def example(models: Path, rows: int = 4) -> dict[str, Any]:
    data = np.load(models / "churn.npz")
    return {"inputs": data["x0"][:rows].tolist(), "outputs": data["y0"][:rows].tolist()}


def test_a_model_that_came_in_pieces_is_published(server: Any, models: Path) -> None:
    data = (models / "churn.h5").read_bytes()
    path = begin(server.client, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    assert put(server.client, path, 0, data[:5000]).json()["offset"] == 5000
    elsewhere = put(server.client, path, 0, data[5000:])
    assert (elsewhere.status_code, elsewhere.json()["offset"]) == (409, 5000)
    assert put(server.client, path, 5000, pieces(data[5000:], 700)).json()["offset"] == len(data)
    body = {"model_name": "in-pieces", "upload_id": path.rpartition("/")[2], "example": example(models)}
    key = {"Idempotency-Key": "in-pieces-1"}
    first = server.client.post("/models/new", json=body, headers=key)
    assert first.status_code == 201, first.text
    again = server.client.post("/models/new", json=body, headers=key)
    assert again.json()["model_id"] == first.json()["model_id"]
    kept = first.json()["model"]
    assert (kept["sha256"], kept["version"]) == (hashlib.sha256(data).hexdigest(), 1)
    other = {**body, "example": example(models, rows=3)}
    assert server.client.post("/models/new", json=other, headers=key).status_code == 409


def test_a_refused_publish_costs_no_second_upload(server: Any, models: Path) -> None:
    path = begin(server.client)
    put(server.client, path, 0, (models / "churn.h5").read_bytes())
    body = {"model_name": "second-try", "upload_id": path.rpartition("/")[2]}
    wrong = {"only": {"var_type": "FLOAT", "index": 0}}
    assert server.client.post("/models/new", json={**body, "model_schema": wrong}).status_code == 400
    assert server.client.post("/models/new", json=body).status_code == 201


def test_what_arrived_before_the_connection_broke_is_kept(server: Any) -> None:
    data = os.urandom(3 * MIB)
    path = begin(server.client, size=4 * MIB)
    broken_put(server.url, path, 4 * MIB, data)
    offset = arrived(server.client, path, 1)
    assert put(server.client, path, offset, data[offset:] + bytes(MIB)).json()["offset"] == 4 * MIB


def test_what_arrived_before_the_server_was_killed_is_kept(
    start_server: Callable[..., Any],
) -> None:
    server = start_server(log_level="error")
    data = os.urandom(18 * MIB)
    path = begin(server.client)
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"PUT {path}?offset=0 HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {64 * MIB}\r\n\r\n"
        connection.sendall(head.encode() + data)
        arrived(server.client, path, 16 * MIB)
        server.kill()
    server.start()
    offset = server.client.get(path).json()["offset"]
    assert offset == 16 * MIB
    assert put(server.client, path, offset, data[offset:]).json()["offset"] == len(data)
    body = {"model_name": "no-model", "upload_id": path.rpartition("/")[2]}
    wrong = server.client.post("/models/new", json={**body, "sha256": "0" * 64})
    (fault,) = wrong.json()["errors"]
    assert (wrong.status_code, fault["got"]) == (400, hashlib.sha256(data).hexdigest())
    assert server.client.delete(path).status_code == 200
    assert server.client.get(path).status_code == 404
    assert not list((server.data_dir / "blobs").glob("uploads/*/*"))
    server.kill()


def test_of_two_that_send_at_once_one_wins(server: Any) -> None:
    path = begin(server.client)

    def one(fill: bytes) -> int:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            return put(client, path, 0, pieces(fill * (9 * MIB), MIB)).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, (b"a", b"b"))) == [200, 409]
    assert server.client.get(path).json()["offset"] == 9 * MIB
    server.client.delete(path)


def test_too_much_is_refused_while_it_comes_and_memory_does_not_grow(
    start_server: Callable[..., Any],
) -> None:
    server = start_server(max_model=str(200 * MIB), log_level="error")
    process = psutil.Process(server.process.pid)
    client = server.client
    assert client.post("/models/uploads", json={"size": 201 * MIB}).status_code == 413
    path = begin(client)
    block = bytes(MIB)
    put(client, path, 0, block)
    before, peak = process.memory_info().rss, 0

    def blocks() -> Iterator[bytes]:
        nonlocal peak
        for _ in range(198):
            peak = max(peak, process.memory_info().rss)
            yield block

    assert put(client, path, MIB, blocks()).json()["offset"] == 199 * MIB
    assert peak - before < 40 * MIB, f"{(peak - before) / MIB:.0f} MiB"
    announced = put(client, path, 199 * MIB, block * 2)
    assert announced.status_code == 413
    counted = put(client, path, 199 * MIB, pieces(block * 3, MIB // 4))
    assert counted.status_code == 413
    assert client.get(path).json()["offset"] == 200 * MIB, "what fits is kept"
    body = {"model_name": "zeros", "upload_id": path.rpartition("/")[2], "sha256": "0" * 64}
    before = process.memory_info().rss
    assert client.post("/models/new", json=body).status_code == 400
    assert process.memory_info().rss - before < 40 * MIB
    server.kill()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing"),
        ({"upload_id": "00", "model_content": "AAAA"}, "one_of"),
        ({"upload_id": 5}, "type"),
    ],
)
def test_a_publish_names_its_bytes_in_one_way(server: Any, body: dict[str, Any], code: str) -> None:
    answer = server.client.post("/models/new", json={"model_name": "which", **body})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == code
    assert server.client.post("/models/new", json={"model_name": "x", "upload_id": "00"}).status_code == 404


def test_a_ticket_uploads_for_its_one_publish_and_sees_nothing_else(
    start_server: Callable[..., Any], tmp_path: Path, models: Path
) -> None:
    argv = [sys.executable, "-m", "tensortrigger_backend", "keys", "create", "--data-dir", str(tmp_path)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
    key = subprocess.run(argv, capture_output=True, text=True, env=clean, check=True).stdout.strip()
    server = start_server(data_dir=tmp_path)

    with contextlib.ExitStack() as stack:

        def client(token: str) -> httpx.Client:
            headers = {"Authorization": f"Bearer {token}"}
            return stack.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=60))

        holder = client(key)
        guest, other = (
            client(holder.post("/tickets", json={"model": "bytes"}).json()["ticket"]) for _ in range(2)
        )
        path = begin(guest)
        data = (models / "churn.h5").read_bytes()
        assert put(guest, path, 0, data[:100]).status_code == 200
        assert put(guest, path, 100, data[100:]).status_code == 200
        assert other.get(path).status_code == 404
        assert guest.get(begin(holder)).status_code == 404
        assert guest.get("/models").status_code == 403
        body = {"model_name": "bytes", "upload_id": path.rpartition("/")[2]}
        assert other.post("/models/new", json=body).status_code == 404
        assert guest.post("/models/new", json={**body, "name": "other-name"}).status_code == 403
        made = guest.post("/models/new", json=body, headers={"Prefer": "respond-async"})
        assert made.status_code == 202, made.text
        assert guest.get(path).status_code == 401, "the publish has used it up"
        assert guest.post("/models/uploads", json={}).status_code == 401
    server.kill()


def test_an_accepted_publish_survives_a_kill_and_happens_once(
    start_server: Callable[..., Any], models: Path
) -> None:
    server = start_server()
    path = begin(server.client)
    put(server.client, path, 0, (models / "churn.h5").read_bytes())
    body = {
        "model_name": "survivor",
        "upload_id": path.rpartition("/")[2],
        "example": example(models),
        "alias": "production",
    }
    headers = {"Prefer": "respond-async", "Idempotency-Key": "survivor-1"}
    accepted = server.client.post("/models/new", json=body, headers=headers)
    assert accepted.status_code == 202, accepted.text
    model_id = accepted.json()["model_id"]
    server.kill()
    server.start()
    again = server.client.post("/models/new", json=body, headers=headers)
    assert again.status_code in (201, 202), again.text
    assert again.json()["model_id"] == model_id
    until = time.monotonic() + 100
    while (model := server.client.get(f"/models/{model_id}").json()["model"])["state"] != "ready":
        assert model["state"] != "refused", json.dumps(model)
        assert time.monotonic() < until
        time.sleep(0.1)
    assert model["receipt"]["source"] == "client"
    assert model["aliases"] == ["production"]
    assert len(server.client.get("/models", params={"name": "survivor"}).json()["models"]) == 1
    last = server.client.post("/models/new", json=body, headers=headers)
    assert (last.status_code, last.json()["model_id"]) == (201, model_id)
    server.kill()
