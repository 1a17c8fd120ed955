"""Do watchers share one reading, and does a stream tell all that happens to a run and its job?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.api import event_streams, feeds
from tensortrigger_backend.api.event_streams import JobSource, RunSource, events
from tensortrigger_backend.api.feeds import Feeds, RunFeed
from tensortrigger_backend.domain.errors import NotFound, Unavailable
from tensortrigger_backend.domain.run_messages import RunPlan
from tensortrigger_backend.domain.runs import Batch, Point, PointKind, Run, RunState
from tensortrigger_backend.ports.runs import RunPoints
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.runs import Runs


class CountedStore(SqlRunStore):
    """A store that counts how often points are read, and can be out of reach."""

    reads = 0
    away = False

    def points(self, run_id: str, owner: str, after: int, limit: int, kind: PointKind | None) -> RunPoints:
        self.reads += 1
        if self.away:
            raise Unavailable("The database did not answer.")
        return super().points(run_id, owner, after, limit, kind)


@dataclass
class Stage:
    """Runs on a clock that the test moves, and the feeds that follow them."""

    store: CountedStore
    now: float = 1000.0
    draining: bool = False

    def __post_init__(self) -> None:
        self.runs = Runs(self.store, lambda: self.now, Notices())
        self.feeds = Feeds(self.runs, lambda: self.draining)

    def begin(self) -> Run:
        return self.runs.start("ann", RunPlan("Watched"))[0]

    def tell(self, run: Run, first: int, count: int, state: RunState | None = None) -> None:
        points = [
            Point(0, PointKind.BATCH, n + 1, 1, 1.0, {"loss": 1.0}) for n in range(first, first + count)
        ]
        self.runs.record("ann", run.run_id, Batch(points, first, state))

    def watch(self, run: Run, after: int = 0) -> AsyncGenerator[bytes, None]:
        return events(self.feeds, RunSource(self.feeds.of_run(run), after, None))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path / 'tt.db'}")
    database.migrate()
    yield Stage(CountedStore(database))
    database.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFeed, "interval", 0.1)
    monkeypatch.setattr(feeds.JobFeed, "interval", 0.05)


def seqs(block: bytes) -> list[int]:
    return [int(line[4:]) for line in block.split(b"\n") if line.startswith(b"id: ")]


def states(block: bytes, event: str = "run") -> list[str]:
    found = block.decode().split("\n\n")
    lines = [entry.partition("\ndata: ") for entry in found if entry.startswith(f"event: {event}\n")]
    return [json.loads(data)["state"] for _, _, data in lines]


async def all_of(stream: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([block async for block in stream])


async def until_idle(stage: Stage) -> None:
    """What streams held is let go a moment after they end."""
    async with asyncio.timeout(5):
        while stage.feeds._feeds:
            await asyncio.sleep(0.01)


async def test_fifty_watchers_cost_as_many_readings_as_one(stage: Stage) -> None:
    run = stage.begin()
    watchers = [asyncio.create_task(all_of(stage.watch(run))) for _ in range(50)]
    await asyncio.sleep(0.15)
    before = stage.store.reads
    for first in range(0, 100, 20):
        stage.tell(run, first, 20)
        await asyncio.sleep(0.05)
    stage.tell(run, 100, 1, RunState.SUCCEEDED)
    for told in await asyncio.gather(*watchers):
        assert seqs(told) == list(range(1, 102))
        assert states(told) == ["running", "succeeded"]
    assert stage.store.reads - before < 30
    await until_idle(stage)


async def test_a_watcher_behind_what_is_kept_reads_for_itself(stage: Stage, monkeypatch: Any) -> None:
    monkeypatch.setattr(feeds, "TAIL", 10)
    monkeypatch.setattr(feeds, "READ", 7)
    run = stage.begin()
    slow = stage.watch(run)
    assert states(await anext(slow)) == ["running"]
    quick = asyncio.create_task(all_of(stage.watch(run)))
    stage.tell(run, 0, 100)
    stage.tell(run, 100, 1, RunState.FAILED)
    assert seqs(await quick) == list(range(1, 102))
    assert seqs(await all_of(slow)) == list(range(1, 102))


async def test_nothing_follows_a_run_that_nobody_watches(stage: Stage) -> None:
    run = stage.begin()
    stream = stage.watch(run)
    await anext(stream)
    await stream.aclose()
    await until_idle(stage)
    before = stage.store.reads
    stage.tell(run, 0, 3)
    await asyncio.sleep(0.3)
    assert stage.store.reads == before
    # Whoever comes back sees it all.
    stage.tell(run, 3, 1, RunState.SUCCEEDED)
    assert seqs(await all_of(stage.watch(run))) == [1, 2, 3, 4]


async def test_a_silent_stream_is_kept_alive_and_told_when_its_run_is_lost(
    stage: Stage, monkeypatch: Any
) -> None:
    monkeypatch.setattr(event_streams, "KEEP_ALIVE", 0.2)
    run = stage.begin()
    stream = stage.watch(run)
    assert states(await anext(stream)) == ["running"]
    for _ in range(3):
        assert await anext(stream) == b": keep-alive\n\n"
    stage.now += 61
    assert states(await anext(stream)) == ["lost"]
    stage.runs.record("ann", run.run_id, Batch())
    assert states(await anext(stream)) == ["running"]
    stage.tell(run, 0, 1, RunState.SUCCEEDED)
    assert states(await all_of(stream)) == ["succeeded"]


async def test_a_database_that_comes_back_loses_no_point(stage: Stage) -> None:
    run = stage.begin()
    stream = stage.watch(run)
    await anext(stream)
    stage.store.away = True
    stage.tell(run, 0, 5)
    await asyncio.sleep(0.3)
    stage.store.away = False
    stage.tell(run, 5, 1, RunState.SUCCEEDED)
    assert seqs(await all_of(stream)) == [1, 2, 3, 4, 5, 6]


async def test_a_stream_ends_when_the_server_drains_or_the_run_is_removed(stage: Stage) -> None:
    first, second = stage.begin(), stage.begin()
    removed, drained = stage.watch(first), stage.watch(second)
    assert states(await anext(removed)) == states(await anext(drained)) == ["running"]
    stage.runs.remove("ann", first.run_id)
    assert await all_of(removed) == b""
    stage.draining = True
    async with asyncio.timeout(2):
        assert await all_of(drained) == b""


async def test_of_too_many_watchers_the_next_is_told_to_come_later(stage: Stage, monkeypatch: Any) -> None:
    monkeypatch.setattr(feeds, "MAX_WATCHERS", 1)
    stage.feeds.must_have_room()
    stream = stage.watch(stage.begin())
    await anext(stream)
    with pytest.raises(Unavailable):
        stage.feeds.must_have_room()
    await stream.aclose()
    stage.feeds.must_have_room()


@dataclass
class Training:
    """A job as its API object, moved by the test."""

    job_id: str
    state: str = "running"
    epochs_done: int = 0
    seconds_left: float = 9.0
    gone: bool = False

    def look(self) -> dict[str, Any]:
        if self.gone:
            raise NotFound("There is no such job.")
        progress = {"epochs_done": self.epochs_done, "seconds_left": self.seconds_left}
        return {"job_id": self.job_id, "state": self.state, "progress": progress}


def both(stage: Stage, job: Training) -> tuple[Run, AsyncGenerator[bytes, None]]:
    run = stage.runs.open_for_job("ann", job.job_id, "Churn", "churn", "m1", 3, 10, {})
    source = JobSource(stage.feeds.of_job(job.look(), job.look))
    return run, events(stage.feeds, RunSource(stage.feeds.of_run(run), 0, None), source)


async def test_a_trainings_stream_tells_its_job_once_an_epoch_and_its_points_between(stage: Stage) -> None:
    job = Training("a" * 32)
    run, stream = both(stage, job)
    gathering = asyncio.create_task(all_of(stream))
    for epoch in range(3):
        stage.tell(run, 10 * epoch, 10)
        for _ in range(3):
            job.seconds_left -= 1  # moves all the time, and is worth no event
            await asyncio.sleep(0.08)
        job.epochs_done = epoch + 1
        await asyncio.sleep(0.15)
    stage.runs.record("ann", job.job_id, Batch(state=RunState.SUCCEEDED))
    # The trained model is stored after its run has ended: the stream waits for the job.
    await asyncio.sleep(0.3)
    assert not gathering.done()
    job.state = "succeeded"
    told = await asyncio.wait_for(gathering, 5)
    assert seqs(told) == list(range(1, 31))
    assert states(told) == ["running", "succeeded"]
    assert states(told, "job") == ["running"] * 4 + ["succeeded"]
    assert told.rstrip().split(b"\n\n")[-1].startswith(b"event: job\n")


async def test_a_stream_does_not_wait_for_ever_for_a_run_whose_trainer_died(
    stage: Stage, monkeypatch: Any
) -> None:
    monkeypatch.setattr(event_streams, "STRAGGLING", 0.3)
    job = Training("b" * 32)
    _, stream = both(stage, job)
    await anext(stream)
    job.state = "failed"
    async with asyncio.timeout(5):
        assert states(await all_of(stream), "job") == ["failed"]


async def test_a_job_that_is_gone_ends_its_stream(stage: Stage) -> None:
    job = Training("c" * 32)
    stream = events(stage.feeds, None, JobSource(stage.feeds.of_job(job.look(), job.look)))
    assert states(await anext(stream), "job") == ["running"]
    job.gone = True
    async with asyncio.timeout(5):
        assert await all_of(stream) == b""
