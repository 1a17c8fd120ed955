"""``AsyncClient`` is ``Client``, awaited."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tensortrigger_lab import errors
from tensortrigger_lab.async_client import AsyncClient
from tensortrigger_lab.client import Client

OWN = {"changed"}
"""What only the client of a notebook's session needs."""


@pytest.fixture
async def awaited(api: Any, shapes: Any) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        shapes.url, "tt_a_key", transport=httpx.MockTransport(api), patience=2.0
    ) as client:
        yield client


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if not name.startswith("_") and name not in OWN}


def test_both_clients_have_the_same_verbs_with_the_same_parameters() -> None:
    ordinary, awaited = public(Client), public(AsyncClient)
    assert set(ordinary) == set(awaited)
    for name, verb in ordinary.items():
        if callable(verb):
            theirs = inspect.signature(awaited[name])
            assert inspect.signature(verb).parameters == theirs.parameters, name
            assert awaited[name].__doc__, name


def test_help_shows_a_verb_as_the_method_that_it_is() -> None:
    assert str(inspect.signature(Client.model)) == "(self, /, reference: 'str') -> 'ModelRecord'"
    assert str(inspect.signature(Client.iter_jobs)).endswith("-> 'Iterator[JobRecord]'")
    assert str(inspect.signature(AsyncClient.iter_jobs)).endswith("-> 'AsyncIterator[JobRecord]'")
    assert "latest" in (Client.model.__doc__ or "")


async def test_a_verb_asks_and_reads_as_the_ordinary_clients(
    awaited: AsyncClient, api: Any, shapes: Any
) -> None:
    api.on("POST", "/tensor/run", {"output": [0.25], "model_id": shapes.model_id})
    answer = await awaited.run("churn", {"age": 41})
    assert b'"model":"churn"' in api.requests[-1].content.replace(b" ", b"")
    assert (answer.output, answer.model_id) == ([0.25], shapes.model_id)
    assert api.requests[-1].headers["Authorization"] == "Bearer tt_a_key"
    assert "tt_a_key" not in repr(awaited)


async def test_a_misspelt_name_is_answered_with_the_nearest(
    awaited: AsyncClient, api: Any, shapes: Any
) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    with pytest.raises(errors.NotFound, match="Did you mean 'churn'"):
        await awaited.model("churm")


async def test_a_busy_backend_is_asked_again(awaited: AsyncClient, api: Any, shapes: Any) -> None:
    api.on("GET", "/health", shapes.problem(503, "Starting.", **{"Retry-After": "0"}), {"status": "ok"})
    assert (await awaited.health())["status"] == "ok"
    api.on("POST", f"/runs/{shapes.run_id}/metrics", shapes.problem(503, "Busy."), {"state": "running"})
    with pytest.raises(errors.Unavailable):
        await awaited.add_points(shapes.run_id)


async def test_a_broken_connection_is_an_error_of_ours(shapes: Any) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with AsyncClient(shapes.url, transport=httpx.MockTransport(refuse), patience=0.0) as client:
        with pytest.raises(errors.NotReachable, match="tt serve"):
            await client.health()


async def test_every_page_is_gone_through(awaited: AsyncClient, api: Any, shapes: Any) -> None:
    pages = [
        {"jobs": [shapes.job()] * 2, "next_cursor": "more"},
        {"jobs": [shapes.job()], "next_cursor": None},
    ]
    api.on("GET", "/jobs", *pages)
    assert len([job async for job in awaited.iter_jobs(kind="score")]) == 3
    assert [dict(request.url.params) for request in api.asked("/jobs")] == [
        {"kind": "score", "limit": "200"},
        {"kind": "score", "limit": "200", "cursor": "more"},
    ]


async def test_a_body_is_streamed_up_and_results_down(awaited: AsyncClient, api: Any, shapes: Any) -> None:
    api.on("POST", "/jobs", {"job_id": shapes.job_id})
    api.on("GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="row,score\n0,0.1\n"))
    job_id = await awaited.start_job("churn", lambda: iter([b"age\n", b"41\n"]), idempotency_key="k")
    assert api.requests[-1].content == b"age\n41\n"
    async with awaited.results_csv(job_id) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"row,score\n0,0.1\n"
