"""While PostgreSQL is away every route answers 503 with Retry-After, and afterwards all goes on without a restart."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployments import Deployment, Process, new_database, until
from scrapes import counted, scraped
from services import PostgresNode, had

ALIVE = ("/health", "/health_check", "/ready")
"""Liveness is the loop alive, and a database that is away makes no process unready."""
WITHOUT = (*ALIVE, "/metrics", "/jobs/sources", "/jobs/webhook_secret")
"""These need the database only to know who asks, and that may be known still."""


@pytest.fixture(scope="module")
def node() -> Iterator[PostgresNode]:
    with had(PostgresNode) as node:
        yield node


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory, node: PostgresNode, rabbitmq_server: str
) -> Iterator[tuple[Process, Process, str]]:
    """An API, a worker, and a model."""
    folder: Path = tmp_path_factory.mktemp("away")
    blobs = {"TENSORTRIGGER_BLOB_URL": f"file://{folder / 'blobs'}"}
    with (
        new_database(node.url) as url,
        Deployment(folder, url, rabbitmq_server, blobs, slice_rows="100", lease="5") as made,
    ):
        made.migrate()
        model = made.linear("steady", [[2.0]])
        # Whoever comes with a user's name needs no database to be known: see ``KNOWN``.
        api, worker = made.begin("api", trusted_proxy="true"), made.begin("worker")
        yield api.awaited(), worker.awaited(), model.model_id
        node.start()


CSV = {"Content-Type": "text/csv"}
KNOWN = {"X-Authenticated-Userid": "local"}


def table(rows: int) -> bytes:
    return b"a\n" + b"".join(b"%d\n" % row for row in range(rows))


def requests(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """A plausible request for each route of the OpenAPI document."""
    nobody = "0" * 32
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("post", "/jobs"): {"content": table(3), "params": {"model": "steady"}, "headers": CSV},
        ("post", "/jobs/new"): {"json": {"model_id": nobody, "input_data": "data:text/csv;base64,YQox"}},
        ("post", "/models/new"): {"json": {"model_name": "m", "model_content": "AAAA"}},
        ("post", "/models"): {"json": {"model_name": "m", "model_content": "AAAA"}},
        ("post", "/tensor/run"): {"json": {"model": "other", "input_vector": [1]}},
        ("post", "/tensor/run/batch"): {"json": {"model": "other", "input_vectors": [[1]]}},
        ("post", "/tickets"): {"json": {"model": "m"}},
        ("post", "/runs"): {"json": {"name": "n"}},
    }
    for path, methods in document["paths"].items():
        if path in WITHOUT:
            continue
        filled = re.sub(r"\{(?:number|version)\}", "1", path)
        filled = re.sub(r"\{(?:name|alias)\}", "steady", filled)
        filled = re.sub(r"\{\w+\}", nobody, filled)
        for method in methods:
            if method in ("get", "put", "post", "patch", "delete"):
                default = {} if method in ("get", "delete") else {"json": {}}
                yield method, filled, bodies.get((method, path), default)


def test_every_route_says_try_again_while_the_database_is_away_and_works_when_it_is_back(
    line: tuple[Process, Process, str], node: PostgresNode
) -> None:
    api, worker, model_id = line
    body = {"model": "steady", "input_vector": [2.0]}
    assert api.client.post("/tensor/run", json=body).json()["output"] == [4.0]
    document = api.client.get("/openapi.json").json()
    node.stop()
    wrong = []
    for method, path, more in requests(document):
        answer = api.client.request(method, path, **more)
        # A body that is wrong whatever the database says may be told so first.
        fine = answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
        if not fine and not (more.get("json") == {} and 400 <= answer.status_code < 500):
            wrong.append((method, path, answer.status_code, answer.text[:200]))
    assert wrong == []
    for path in ALIVE:
        assert api.client.get(path).status_code == 200
    assert worker.process.poll() is None
    node.start()
    until(lambda: api.client.post("/tensor/run", json=body).status_code == 200, 5)
    answer = api.client.post(f"/jobs?model_id={model_id}", content=table(1000), headers=CSV)
    assert answer.status_code == 201, answer.text
    assert api.finished(answer.json()["job_id"], 30)["state"] == "succeeded"


def test_how_much_work_waits_is_told_by_nothing_rather_than_by_0_while_the_database_is_away(
    line: tuple[Process, Process, str], node: PostgresNode
) -> None:
    with httpx.Client(base_url=line[0].url, headers=KNOWN) as scraper:

        def waiting() -> list[float | None]:
            return [scraped(scraper, "partitions_waiting", kind=kind) for kind in ("score", "train")]

        assert waiting() == [0, 0]
        node.stop()
        # What was known a second ago is told a second longer.
        until(lambda: waiting() == [None, None], 5)
        assert counted(scraper, "requests_total", route="/metrics", status="200") > 0
        node.start()
        until(lambda: waiting() == [0, 0], 5)


def test_a_job_in_work_goes_on_after_restarts_of_the_database(
    line: tuple[Process, Process, str], node: PostgresNode
) -> None:
    api, _, model_id = line
    answer = api.client.post(f"/jobs?model_id={model_id}", content=table(4000), headers=CSV)
    job_id = answer.json()["job_id"]
    for _ in range(2):
        time.sleep(0.5)
        node.restart()
    statuses = set()

    def ended() -> bool:
        seen = api.client.get(f"/jobs/{job_id}")
        statuses.add(seen.status_code)
        return seen.status_code == 200 and seen.json()["job"]["state"] == "succeeded"

    until(ended, 60)
    assert statuses <= {200, 503}
    results = api.client.get(f"/jobs/{job_id}/results").json()["results"]
    assert results == [[2.0 * row] for row in range(4000)]
