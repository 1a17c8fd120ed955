"""A run is followed over as many connections as it takes, by either client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tensortrigger_lab import events
from tensortrigger_lab.async_client import AsyncClient
from tensortrigger_lab.client import Client
from tensortrigger_lab.errors import NotReachable, Unavailable
from tensortrigger_lab.wire import JobRecord, PointRecord, RunRecord


class Backend:
    """Streams a run of ten points, and hangs up after every third."""

    def __init__(self, shapes: Any, *, broken: bool) -> None:
        self.shapes = shapes
        self.broken = broken
        self.resumed: list[str] = []

    def pieces(self, request: httpx.Request) -> Iterator[bytes]:
        after = int(request.headers["Last-Event-ID"])
        self.resumed.append(str(after))
        yield self._event("run", self.shapes.run("running"))
        # One point too many: a backend may repeat what it cannot know to have arrived.
        for seq in range(max(1, after), min(after + 3, 10) + 1):
            yield self._event("metric", self.shapes.point(seq), seq)
        if after + 3 >= 10:
            yield self._event("run", self.shapes.run("succeeded", last_seq=10))
        elif self.broken:
            raise httpx.ReadError("reset")

    def _event(self, kind: str, members: Any, seq: int | None = None) -> bytes:
        number = "" if seq is None else f"id: {seq}\n"
        return f"{number}event: {kind}\ndata: {json.dumps(members)}\n\n".encode()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept"] == "text/event-stream"
        return httpx.Response(200, content=self.pieces(request))

    async def asynchronously(self, request: httpx.Request) -> httpx.Response:
        async def content() -> AsyncIterator[bytes]:
            for piece in self.pieces(request):
                yield piece

        return httpx.Response(200, content=content())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST_PAUSE", 0.0)


@pytest.mark.parametrize("broken", [False, True])
def test_a_stream_that_breaks_off_goes_on_without_a_gap_or_a_repeat(shapes: Any, broken: bool) -> None:
    backend = Backend(shapes, broken=broken)
    with Client(shapes.url, transport=httpx.MockTransport(backend)) as client:
        told = list(client.follow(shapes.run_id))
    assert [event.seq for event in told if isinstance(event, PointRecord)] == list(range(1, 11))
    assert [event.state for event in told if isinstance(event, RunRecord)] == ["running", "succeeded"]
    assert backend.resumed == ["0", "3", "6", "9"]


@pytest.mark.parametrize("broken", [False, True])
async def test_the_async_client_follows_alike(shapes: Any, broken: bool) -> None:
    backend = Backend(shapes, broken=broken)
    transport = httpx.MockTransport(backend.asynchronously)
    async with AsyncClient(shapes.url, transport=transport) as client:
        told = [event async for event in client.follow(shapes.run_id, after=5)]
    assert [event.seq for event in told if isinstance(event, PointRecord)] == list(range(6, 11))
    assert backend.resumed == ["5", "8"]


def test_a_backend_that_stays_away_ends_it(shapes: Any) -> None:
    backend = Backend(shapes, broken=True)

    def once(request: httpx.Request) -> httpx.Response:
        if backend.resumed:
            raise httpx.ConnectError("refused")
        return backend(request)

    client = Client(shapes.url, transport=httpx.MockTransport(once), patience=0.0)
    with client, pytest.raises(NotReachable, match="tt serve"):
        list(client.follow(shapes.run_id))


def test_a_refusal_ends_it(shapes: Any, client: Client, api: Any) -> None:
    api.on("GET", f"/runs/{shapes.run_id}/metrics", shapes.problem(503, "Too many streams."))
    with pytest.raises(Unavailable, match="Too many streams"):
        next(iter(client.follow(shapes.run_id)))


def test_a_job_is_followed_to_its_end(shapes: Any, client: Client, api: Any) -> None:
    states = [shapes.job("running"), shapes.job("succeeded")]
    text = "".join(f"event: job\ndata: {json.dumps(job)}\n\n" for job in states)
    api.on("GET", f"/jobs/{shapes.job_id}/events", httpx.Response(200, text=text))
    told = list(client.follow_job(shapes.job_id))
    assert [event.state for event in told if isinstance(event, JobRecord)] == ["running", "succeeded"]
