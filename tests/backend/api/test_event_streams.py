"""Do events come while they happen, each once, and do streams end when they should?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest

ACCEPT = {"accept": "text/event-stream"}


def parsed(lines: Iterator[str]) -> Iterator[tuple[str, str | None, Any]]:
    """(event, id, data) of each event as soon as its last line is in; comments have the event ``comment``."""
    event: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield "comment", None, line
        elif line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event["event"], event.get("id"), json.loads(event["data"])
            event = {}


@contextlib.contextmanager
def watching(server: Any, path: str, **headers: str) -> Iterator[Iterator[tuple[str, str | None, Any]]]:
    """The events of a stream, on a connection of its own."""
    with (
        httpx.Client(base_url=server.url, timeout=60) as client,
        client.stream("GET", path, headers={**ACCEPT, **headers}) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield parsed(answer.iter_lines())


def start(server: Any) -> str:
    run_id: str = server.client.post("/runs", json={"name": "Watched"}).json()["run_id"]
    return run_id


def points(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"step": number + 1, "epoch": 1, "metrics": {"loss": 1.0}, **more}
        for number in range(first, first + count)
    ]


def tell(server: Any, run_id: str, message: Any) -> None:
    assert server.client.post(f"/runs/{run_id}/metrics", json=message).status_code == 200


def test_points_arrive_while_the_sender_is_still_sending(server: Any) -> None:
    run_id = start(server)
    with watching(server, f"/runs/{run_id}/metrics") as events:
        kind, event_id, run = next(events)
        assert (kind, event_id, run["state"], run["run_id"]) == ("run", None, "running", run_id)
        delays = []
        for number in range(20):
            sent = time.perf_counter()
            tell(server, run_id, {"points": points(number, 1), "first": number})
            # The next point is sent only after this one has come: nothing waits for an end.
            kind, event_id, point = next(events)
            delays.append(time.perf_counter() - sent)
            assert (kind, event_id, point["seq"], point["step"]) == (
                "metric",
                str(number + 1),
                number + 1,
                number + 1,
            )
        print(f"from sending to seeing: {sorted(delays)[10] * 1e3:.0f} ms")
        assert sorted(delays)[10] < 0.5
        tell(server, run_id, {"points": points(20, 2), "first": 20, "state": "failed", "error": "diverged"})
        rest = list(events)
    assert [event for event, _, _ in rest] == ["metric", "metric", "run"]
    assert (rest[-1][2]["state"], rest[-1][2]["error"], rest[-1][2]["last_seq"]) == ("failed", "diverged", 22)


def test_a_stream_resumes_without_a_gap_or_a_repeat(server: Any) -> None:
    run_id = start(server)
    tell(server, run_id, points(0, 10))
    seen: list[int] = []
    with watching(server, f"/runs/{run_id}/metrics?after=2") as events:
        for event, event_id, _ in events:
            if event == "metric":
                seen.append(int(event_id or 0))
            if len(seen) == 5:
                break
    assert seen == [3, 4, 5, 6, 7]
    tell(server, run_id, {"points": points(10, 5), "state": "succeeded"})
    # A browser reconnects with the first address and the id of the last event: the id counts.
    with watching(server, f"/runs/{run_id}/metrics?after=2", **{"last-event-id": "7"}) as events:
        seen += [int(event_id) for _, event_id, _ in events if event_id]
    assert seen == list(range(3, 16))
    wrong = server.client.get(f"/runs/{run_id}/metrics", headers={**ACCEPT, "last-event-id": "x"})
    assert wrong.status_code == 400


def test_a_watcher_far_behind_gets_every_point_in_order(server: Any) -> None:
    run_id = start(server)
    for first in range(0, 15_000, 5_000):
        tell(server, run_id, {"points": points(first, 5_000), "first": first})
    with watching(server, f"/runs/{run_id}/metrics") as late:
        assert next(late)[0] == "run"
        tell(server, run_id, {"points": points(15_000, 5_000), "first": 15_000, "state": "succeeded"})
        seen = [int(event_id) for _, event_id, _ in late if event_id]
    assert seen == list(range(1, 20_001))


def test_only_one_kind_may_be_watched(server: Any) -> None:
    run_id = start(server)
    with watching(server, f"/runs/{run_id}/metrics?kind=epoch") as events:
        next(events)
        tell(server, run_id, points(0, 50))
        tell(server, run_id, points(50, 1, kind="epoch"))
        assert next(events)[1] == "51"
        tell(server, run_id, {"points": points(51, 1), "state": "cancelled"})
        assert [event for event, _, _ in events] == ["run"]


def test_an_ended_run_is_told_whole_and_the_stream_closes(server: Any) -> None:
    run_id = start(server)
    tell(server, run_id, {"points": points(0, 3), "state": "succeeded"})
    with watching(server, f"/runs/{run_id}/metrics") as events:
        assert [event for event, _, _ in events] == ["run", "metric", "metric", "metric", "run"]
    with watching(server, f"/runs/{run_id}/metrics?after=999") as events:
        assert [event for event, _, _ in events] == ["run", "run"]


def test_a_stream_ends_when_its_run_is_deleted(server: Any) -> None:
    run_id = start(server)
    with watching(server, f"/runs/{run_id}/metrics") as events:
        next(events)
        server.client.delete(f"/runs/{run_id}")
        assert list(events) == []


async def watch(client: httpx.AsyncClient, run_id: str, joined: asyncio.Semaphore) -> list[int]:
    seen = []
    async with client.stream("GET", f"/runs/{run_id}/metrics", headers=ACCEPT) as answer:
        async for line in answer.aiter_lines():
            if line == "event: run" and not seen:
                joined.release()
            if line.startswith("id: "):
                seen.append(int(line[4:]))
    return seen


async def test_a_hundred_watchers_hold_no_thread_each_and_see_the_same(server: Any) -> None:
    run_id = await asyncio.to_thread(start, server)
    process = psutil.Process(server.process.pid)
    joined = asyncio.Semaphore(0)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        watchers = [asyncio.create_task(watch(client, run_id, joined)) for _ in range(100)]
        for _ in watchers:
            await joined.acquire()
        threads = process.num_threads()
        # Meanwhile others are served at once.
        started = time.perf_counter()
        assert (await asyncio.to_thread(server.client.get, "/runs")).is_success
        assert time.perf_counter() - started < 2
        for first in range(0, 100, 10):
            last = {"state": "succeeded"} if first == 90 else {}
            await asyncio.to_thread(
                tell, server, run_id, {"points": points(first, 10), "first": first, **last}
            )
        assert await asyncio.gather(*watchers) == [list(range(1, 101))] * 100
    assert threads < 70


def test_a_client_that_leaves_frees_its_connection(server: Any) -> None:
    run_id = start(server)
    process = psutil.Process(server.process.pid)
    before = process.num_fds()
    for _ in range(10):
        with watching(server, f"/runs/{run_id}/metrics") as events:
            next(events)
    until = time.monotonic() + 10
    while process.num_fds() > before + 3:
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_end_when_the_server_drains(start_server: Callable[..., Any], number: signal.Signals) -> None:
    draining = start_server(log_level="warning")
    run_id = start(draining)
    tell(draining, run_id, points(0, 1))
    with watching(draining, f"/runs/{run_id}/metrics") as events:
        assert [next(events)[0], next(events)[0]] == ["run", "metric"]
        draining.client.close()
        asked = time.monotonic()
        draining.process.send_signal(number)
        assert list(events) == []
        assert time.monotonic() - asked < 5
    assert draining._reap() == 0
    assert time.monotonic() - asked < 15


def test_another_server_on_the_same_database_is_heard_too(start_server: Callable[..., Any]) -> None:
    one = start_server(log_level="warning")
    other = start_server(data_dir=one.data_dir, log_level="warning")
    run_id = start(one)
    with watching(one, f"/runs/{run_id}/metrics") as events:
        next(events)
        time.sleep(0.3)
        tell(other, run_id, points(0, 3))
        sent = time.monotonic()
        assert [next(events)[1] for _ in range(3)] == ["1", "2", "3"]
        assert time.monotonic() - sent < 5
        tell(other, run_id, {"points": [], "state": "succeeded"})
        assert [event for event, _, _ in events] == ["run"]
    one.stop()
    other.stop()


def test_a_scoring_job_is_watched_to_its_end(server: Any, churn: Any) -> None:
    content = b"tenure,charges,calls\n" + b"1,2,3\n" * 20_000
    answer = server.client.post(
        "/jobs", params={"model": "churn"}, content=content, headers={"content-type": "text/csv"}
    )
    job_id = answer.json()["job_id"]
    began = time.monotonic()
    with watching(server, f"/jobs/{job_id}/events") as events:
        told = list(events)
    assert {event for event, _, _ in told} == {"job", "partitions", "log"}
    jobs = [data for event, _, data in told if event == "job"]
    assert told[-1][2] == jobs[-1]
    assert len(jobs) <= 2 + (time.monotonic() - began) * 4
    rows = [job["progress"]["rows_done"] for job in jobs]
    assert rows == sorted(rows)
    assert (jobs[-1]["state"], rows[-1]) == ("succeeded", 20_000)
    assert jobs[-1] == server.client.get(f"/jobs/{job_id}").json()["job"]
    with watching(server, f"/jobs/{job_id}/events") as events:
        again = list(events)
    assert [data["state"] for event, _, data in again if event == "job"] == ["succeeded"]
    metrics = server.client.get(f"/jobs/{job_id}/metrics").json()
    assert metrics == {"http_code": 200, "run": None, "points": [], "last_seq": 0, "next_after": None}
    for route in ("events", "metrics"):
        assert server.client.get(f"/jobs/nothing/{route}", headers=ACCEPT).status_code == 404


def test_a_cancelled_job_ends_its_stream(server: Any, churn: Any) -> None:
    content = b"tenure,charges,calls\n" + b"1,2,3\n" * 200_000
    answer = server.client.post(
        "/jobs", params={"model": "churn"}, content=content, headers={"content-type": "text/csv"}
    )
    job_id = answer.json()["job_id"]
    with watching(server, f"/jobs/{job_id}/events") as events:
        assert next(data for event, _, data in events if event == "job")["state"] in ("queued", "running")
        threading.Timer(0.2, lambda: httpx.post(f"{server.url}/jobs/{job_id}/cancel")).start()
        assert list(events)[-1][2]["state"] == "cancelled"
