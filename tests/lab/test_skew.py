"""A client tells, once, that the backend is of a version which need not fit."""

from __future__ import annotations

import warnings
from typing import Any

import httpx
import pytest

from tensortrigger_lab import skew
from tensortrigger_lab.async_client import AsyncClient
from tensortrigger_lab.callbacks.fit import Place
from tensortrigger_lab.callbacks.stream import Run, Stream
from tensortrigger_lab.client import Client
from tensortrigger_lab.errors import NotFound, VersionSkew


@pytest.mark.parametrize(
    ("own", "theirs", "told"),
    [
        ("0.1.0", "0.1.7", None),
        ("0.1.0", "0.2.0", "update this client"),
        ("0.2.0", "0.1.9", "update the backend"),
        ("1.4.0", "1.9.2", None),
        ("1.9.0", "2.0.0rc1", "update this client"),
        ("2.0.0", "0.9.0", "update the backend"),
        ("0.9.0", "0.10.0", "update this client"),
        ("0+source", "0.1.0", None),
        ("0.1.0", "unknown", None),
    ],
)
def test_versions_fit_by_major_and_before_1_by_minor_number(own: str, theirs: str, told: str | None) -> None:
    said = skew.advice(own, theirs)
    assert said is None if told is None else told in (said or "")
    if said:
        assert own in said
        assert theirs in said


def newer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={}, headers={"x-tensortrigger-version": "99.0.0"})


@pytest.fixture(autouse=True)
def released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew, "version", lambda: "0.1.0")


def test_it_is_told_once_a_client(shapes: Any) -> None:
    for _ in range(2):
        with Client(shapes.url, transport=httpx.MockTransport(newer)) as client:
            with pytest.warns(VersionSkew, match=r"0\.1\.0.*99\.0\.0"):
                client.health()
            client.health()


async def test_the_async_client_tells_it_too(shapes: Any) -> None:
    async with AsyncClient(shapes.url, transport=httpx.MockTransport(newer)) as client:
        with pytest.warns(VersionSkew):
            await client.health()


def test_it_is_told_with_an_error_too(shapes: Any) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        return shapes.problem(404, "Nothing here.", **{"x-tensortrigger-version": "99.0.0"})

    client = Client(shapes.url, transport=httpx.MockTransport(refuse))
    with client, pytest.warns(VersionSkew), pytest.raises(NotFound, match="Nothing here"):
        client.health()


def test_a_backend_that_does_not_tell_its_version_is_not_judged(shapes: Any) -> None:
    client = Client(shapes.url, transport=httpx.MockTransport(lambda _: httpx.Response(200, json={})))
    with client, warnings.catch_warnings():
        warnings.simplefilter("error")
        client.health()


def test_the_user_agent_names_the_clients_version(client: Client, api: Any) -> None:
    api.on("GET", "/health", {})
    client.health()
    assert api.requests[-1].headers["User-Agent"].startswith("tensortrigger-lab/")


def test_behind_a_notebooks_back_nothing_is_written_and_the_next_call_warns(shapes: Any) -> None:
    with Client(shapes.url, transport=httpx.MockTransport(newer)) as client:
        assert client.skew is None
        with warnings.catch_warnings(), skew.unwarned():
            warnings.simplefilter("error")
            client.health()
        assert "99.0.0" in (client.skew or "")
        with pytest.warns(VersionSkew):
            client.health()


@pytest.mark.filterwarnings("error")
def test_the_thread_that_sends_metrics_warns_of_nothing(shapes: Any, api: Any) -> None:
    run = {"run_id": shapes.run_id, "run": shapes.run(), "last_seq": 0, "state": "succeeded"}
    answer = httpx.Response(200, json=run, headers={"x-tensortrigger-version": "99.0.0"})
    api.on("POST", "/runs", answer)
    api.on("POST", f"/runs/{shapes.run_id}/metrics", answer)
    with Client(shapes.url, transport=httpx.MockTransport(api), patience=0.0) as client:
        stream = Stream(Run("first try"), lambda: client, Place())
        stream.start()
        stream.finish("succeeded")
        # A warning would have been an error there, and the end would never have arrived.
        assert api.body(f"/runs/{shapes.run_id}/metrics")["state"] == "succeeded"
        assert client.skew
