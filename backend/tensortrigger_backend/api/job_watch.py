"""Native API: jobs watched live, and the metrics of those that train."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.event_streams import (
    EventStream,
    JobSource,
    RunSource,
    events,
    resumed_after,
    wants_events,
)
from tensortrigger_backend.api.feeds import Feeds
from tensortrigger_backend.api.job_progress import JobProgress, log_json
from tensortrigger_backend.api.native_jobs import describe
from tensortrigger_backend.api.native_runs import MAX_READ, After, OfKind, ReadLimit, encoded_points
from tensortrigger_backend.api.shapes import PROBLEMS, EventsAnswer, PointsAnswer
from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.domain.runs import PointKind, Run
from tensortrigger_backend.services.core import Core

router = APIRouter(tags=["jobs"], responses=PROBLEMS)

MAX_LINES = 1000
"""Lines of a log in one answer; so many are kept before a job's end."""


@router.get(
    "/jobs/{job_id}/events",
    responses={200: {"model": EventsAnswer, "content": {"text/event-stream": {}}}},
)
async def job_events(
    request: Request, core: CoreOf, caller: Caller, job_id: str, after: After = 0, kind: OfKind = None
) -> Response:
    """What happens to a job, until its end, where the stream closes.

    Events of a job that scores: `log`, each line of `/jobs/{job_id}/log` once; `partitions`, those that moved, as
    `/jobs/{job_id}/partitions` shows them; `job`, the job whenever it moved, at most four times a second, and last of
    all at its end. Their ids are numbers of the log: whoever comes back with `Last-Event-ID` misses no line.

    A training sends its job on each change of state and once an epoch, between the events of its run, whose points
    have the ids: see `/runs/{run_id}/metrics`.

    Who does not accept `text/event-stream` gets the job as it is now, with the lines of its log, or the points of its
    run, after number `after`.
    """
    after = resumed_after(request, after)
    if not wants_events(request):
        return await run_in_threadpool(_so_far, core, caller, job_id, after, kind)

    def look() -> Mapping[str, Any]:
        return describe(core.scoring.find(caller, job_id))

    job = await run_in_threadpool(look)
    feeds: Feeds = request.app.state.feeds
    feeds.must_have_room()
    run = await run_in_threadpool(_run_of, core, caller, job_id)
    if run is not None:
        return EventStream(
            events(feeds, RunSource(feeds.of_run(run), after, kind), JobSource(feeds.of_job(job, look)))
        )

    def inside() -> JobProgress:
        return JobProgress(
            partial(core.job_details.partitions, caller, job_id),
            partial(core.job_details.log, caller, job_id),
        )

    return EventStream(events(feeds, None, JobSource(feeds.of_job(job, look, inside), after)))


@router.get(
    "/jobs/{job_id}/metrics",
    responses={200: {"model": PointsAnswer, "content": {"text/event-stream": {}}}},
)
async def job_metrics(
    request: Request,
    core: CoreOf,
    caller: Caller,
    job_id: str,
    after: After = 0,
    limit: ReadLimit = MAX_READ,
    kind: OfKind = None,
) -> Response:
    """A training's points, as `/runs/{run_id}/metrics` gives them; a scoring job has none."""
    after = resumed_after(request, after)
    await run_in_threadpool(core.scoring.find, caller, job_id)
    run = await run_in_threadpool(_run_of, core, caller, job_id)
    if run is None:
        nothing: dict[str, Any] = {
            "http_code": 200,
            "run": None,
            "points": [],
            "last_seq": 0,
            "next_after": None,
        }
        return Response(msgspec.json.encode(nothing), media_type="application/json")
    if not wants_events(request):
        return await run_in_threadpool(
            lambda: encoded_points(core.runs.points_after(caller.owner, job_id, after, limit, kind))
        )
    feeds: Feeds = request.app.state.feeds
    feeds.must_have_room()
    return EventStream(events(feeds, RunSource(feeds.of_run(run), after, kind)))


def _so_far(core: Core, caller: Principal, job_id: str, after: int, kind: PointKind | None) -> Response:
    # The job first: when it has ended, what is read after it holds everything.
    job = describe(core.scoring.find(caller, job_id))
    run = _run_of(core, caller, job_id)
    if run is not None:
        read = core.runs.points_after(caller.owner, job_id, after, MAX_READ, kind)
        return encoded_points(read, job=job)
    lines = core.job_details.log(caller, job_id, after, MAX_LINES + 1)
    told = lines[:MAX_LINES]
    last = told[-1].number if told else after
    members = {
        "http_code": 200,
        "job": job,
        "log": [log_json(line) for line in told],
        "last_seq": last,
        "next_after": last if len(lines) > MAX_LINES else None,
    }
    return Response(msgspec.json.encode(members), media_type="application/json")


def _run_of(core: Core, caller: Principal, job_id: str) -> Run | None:
    """The run of a training job; None for a job that scores, or whose run was deleted."""
    caller.must(Scope.READ)
    try:
        return core.runs.find(caller.owner, job_id)
    except NotFound:
        return None
