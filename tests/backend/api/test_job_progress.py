"""Does a stream tell what happens inside a job: each line of its log once, and its partitions as they move?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.api import feeds, job_progress
from tensortrigger_backend.api.event_streams import JobSource, events
from tensortrigger_backend.api.feeds import Feeds
from tensortrigger_backend.api.job_progress import JobProgress
from tensortrigger_backend.api.native_jobs import describe
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.jobs import Claim, Job, JobState, Part, Slice, WakeUp
from tensortrigger_backend.services.job_details import JobDetails
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.runs import Runs

ANN = Principal("ann", EVERYTHING)


class Stage:
    """A job on a real store, watched through a feed."""

    def __init__(self, database: Database) -> None:
        self.jobs = SqlJobStore(database)
        self.feeds = Feeds(Runs(SqlRunStore(database), lambda: 1.0, Notices()), lambda: False)
        self.now = 10.0

    def add(self, partitions: int) -> None:
        slices = [Slice(n, n * 100, 100, n * 10, 10, 2 + n * 10) for n in range(partitions)]
        job = Job("j1", "ann", "m1", JobState.QUEUED, "u", 1, ("a",), 10 * partitions, 1.0, 1.0)
        self.jobs.add(job, slices)

    def claim(self, number: int) -> Claim:
        claim = self.jobs.claim(WakeUp("j1", number), "w1", self.now, 60.0)
        assert claim is not None
        return claim

    def commit(self, claim: Claim) -> None:
        key = f"jobs/j1/parts/{claim.slice.number}"
        assert self.jobs.commit(claim, Part(key, None, claim.slice.rows, 0), self.now)

    def note(self, text: str) -> None:
        self.jobs.note("j1", "info", text, None, self.now)

    def watch(self, after: int = 0) -> AsyncGenerator[bytes, None]:
        details = JobDetails(self.jobs)

        def inside() -> JobProgress:
            return JobProgress(partial(details.partitions, ANN, "j1"), partial(details.log, ANN, "j1"))

        def look() -> dict[str, Any]:
            return describe(self.jobs.get("j1", "ann"))

        return events(self.feeds, None, JobSource(self.feeds.of_job(look(), look, inside), after))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(feeds.JobFeed, "interval", 0.02)
    database = Database(f"sqlite:///{tmp_path / 'tt.db'}")
    database.migrate()
    yield Stage(database)
    database.close()


Event = tuple[str, int | None, Any]


def parsed(block: bytes) -> list[Event]:
    """(event, id, data) of each."""
    found = []
    for entry in block.decode().split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in entry.split("\n") if line)
        if "event" in lines:
            number = int(lines["id"]) if "id" in lines else None
            found.append((lines["event"], number, json.loads(lines["data"])))
    return found


async def told_until(stream: AsyncGenerator[bytes, None], last: Any) -> list[Event]:
    """Events up to the first for which ``last`` holds."""
    found: list[Event] = []
    async with asyncio.timeout(10):
        async for block in stream:
            found += parsed(block)
            if any(last(*event) for event in found):
                return found
    raise AssertionError(found)


async def all_of(stream: AsyncGenerator[bytes, None]) -> list[Event]:
    async with asyncio.timeout(10):
        return parsed(b"".join([block async for block in stream]))


async def next_partition(stream: AsyncGenerator[bytes, None]) -> dict[str, Any]:
    """The one that moved next."""
    told = await told_until(stream, lambda event, *_: event == "partitions")
    (moved,) = next(data["partitions"] for event, _, data in told if event == "partitions")
    found: dict[str, Any] = moved
    return found


def lines(told: list[Event]) -> list[str]:
    return [data["message"] for event, _, data in told if event == "log"]


async def test_partitions_are_told_as_they_move(stage: Stage) -> None:
    stage.add(3)
    stream = stage.watch()
    (first,) = parsed(await anext(stream))
    assert (first[0], first[2]["state"]) == ("job", "queued")
    claim = stage.claim(0)
    moved = await next_partition(stream)
    assert (moved["partition"], moved["state"], moved["rows"], moved["worker"]) == (0, "claimed", 10, "w1")
    stage.jobs.renew(claim, stage.now, 60.0, rows_done=7)
    moved = await next_partition(stream)
    assert (moved["rows_done"], moved["state"]) == (7, "claimed")
    stage.commit(claim)
    moved = await next_partition(stream)
    assert (moved["rows_done"], moved["state"]) == (10, "done")
    await stream.aclose()


async def test_every_event_has_an_id_and_the_job_ends_the_stream(stage: Stage) -> None:
    stage.add(2)
    stage.note("began")
    gathering = asyncio.create_task(all_of(stage.watch()))
    for number in range(2):
        claim = stage.claim(number)
        await asyncio.sleep(0.1)
        stage.commit(claim)
        stage.note(f"did {number}")
        await asyncio.sleep(0.1)
    stage.note("the end")
    stage.jobs.finish("j1", stage.now)
    told = await gathering
    assert all(number is not None for _, number, _ in told)
    ids = [number for _, number, _ in told if number is not None]
    assert ids == sorted(ids)
    ours = [line for line in lines(told) if line in ("began", "did 0", "did 1", "the end")]
    assert ours == ["began", "did 0", "did 1", "the end"]
    assert told[-1][0] == "job"
    assert told[-1][2]["state"] == "succeeded"
    assert [data["state"] for event, _, data in told if event == "job"].count("succeeded") == 1


async def test_whoever_comes_back_misses_no_line_and_sees_none_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_progress, "READ", 7)
    monkeypatch.setattr(job_progress, "TAIL", 10)
    stage.add(1)
    for number in range(40):
        stage.note(f"line {number}")
    stream = stage.watch()
    seen, last = [], 0
    async for block in stream:
        for event, number, data in parsed(block):
            last = number if number is not None else last
            if event == "log":
                seen.append(data["message"])
        if len(seen) > 15:
            break
    await stream.aclose()
    for number in range(40, 50):
        stage.note(f"line {number}")
    stage.jobs.cancel("j1", "ann", stage.now)
    seen += lines(await all_of(stage.watch(after=last)))
    assert [line for line in seen if line.startswith("line")] == [f"line {number}" for number in range(50)]
    assert len(set(seen)) == len(seen)


async def test_a_watcher_far_behind_and_one_that_is_not_see_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_progress, "TAIL", 5)
    stage.add(1)
    quick = stage.watch()
    await anext(quick)
    for number in range(30):
        stage.note(f"line {number}")
    gathering = asyncio.create_task(all_of(quick))
    await asyncio.sleep(0.2)
    late = asyncio.create_task(all_of(stage.watch()))
    await asyncio.sleep(0.1)
    stage.jobs.cancel("j1", "ann", stage.now)
    assert lines(await gathering) == lines(await late)


async def test_of_a_job_that_has_ended_all_is_told_and_the_stream_closes(stage: Stage) -> None:
    stage.add(2)
    claim = stage.claim(0)
    stage.note("said before")
    stage.commit(claim)
    stage.jobs.cancel("j1", "ann", stage.now)
    told = await all_of(stage.watch())
    assert "said before" in lines(told)
    assert [data["state"] for event, _, data in told if event == "job"] == ["cancelled"]
    assert told[-1][0] == "job"


async def test_of_a_job_with_many_partitions_those_in_work_are_looked_at(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_progress, "WINDOW", 10)
    stage.add(65)
    for number in range(62):
        stage.commit(stage.claim(number))
    stream = stage.watch()
    claim = stage.claim(62)

    def in_work(event: str, _number: int | None, data: Any) -> bool:
        return event == "partitions" and data["partitions"][-1]["partition"] == 62

    told = await told_until(stream, in_work)
    # How many are done the job says; a newcomer is told of those in work.
    assert [
        one["partition"] for event, _, data in told if event == "partitions" for one in data["partitions"]
    ] == [62]
    stage.commit(claim)
    await told_until(
        stream, lambda event, _, data: event == "partitions" and data["partitions"][0]["state"] == "done"
    )
    await stream.aclose()


async def test_progress_grows_while_a_long_partition_is_in_work(stage: Stage) -> None:
    stage.add(2)
    claim = stage.claim(0)
    progress = describe(stage.jobs.get("j1", "ann"))["progress"]
    assert (progress["rows_done"], progress["rows_per_second"], progress["seconds_left"]) == (0, None, None)
    stage.jobs.renew(claim, stage.now + 2, 60.0, rows_done=4)
    progress = describe(stage.jobs.get("j1", "ann"))["progress"]
    assert (progress["rows_done"], progress["rows_per_second"], progress["seconds_left"]) == (4, 2.0, 8.0)
    stage.jobs.renew(claim, stage.now + 3, 60.0, rows_done=6)
    assert describe(stage.jobs.get("j1", "ann"))["progress"]["rows_done"] == 6
    stage.now += 5
    stage.commit(claim)
    again = stage.claim(1)
    stage.jobs.renew(again, stage.now + 2, 60.0, rows_done=5)
    job = stage.jobs.get("j1", "ann")
    # What is committed counts as such; what is in work may have to be done again.
    assert (job.rows_done, job.rows_in_work) == (10, 5)
    progress = describe(job)["progress"]
    assert (progress["rows_done"], progress["rows_per_second"], progress["seconds_left"]) == (15, 2.0, 2.5)
    stage.jobs.cancel("j1", "ann", stage.now)
    assert describe(stage.jobs.get("j1", "ann"))["progress"]["rows_done"] == 10
