"""Native API: training runs that report from outside, watched live."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tensortrigger_backend.api.answers import PageLimit
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.event_streams import (
    EventStream,
    RunSource,
    events,
    resumed_after,
    wants_events,
)
from tensortrigger_backend.api.feeds import Feeds
from tensortrigger_backend.api.reading import idempotency, json_object, json_value
from tensortrigger_backend.api.run_json import describe_run
from tensortrigger_backend.api.shapes import (
    PROBLEMS,
    MessageAnswer,
    NewRun,
    PointsAnswer,
    RecordAnswer,
    RunCreated,
    RunMessage,
    RunsAnswer,
    WatchedRunAnswer,
    takes,
)
from tensortrigger_backend.domain.access import Scope
from tensortrigger_backend.domain.run_messages import MAX_COUNT, read_batch, read_plan
from tensortrigger_backend.domain.runs import PointKind, Run, RunState
from tensortrigger_backend.ports.runs import RunPoints

router = APIRouter(tags=["runs"], responses=PROBLEMS)

MAX_PLAN: Final = 256 << 10
MAX_MESSAGE: Final = 8 << 20
"""Bytes of one message: 5,000 points of many metrics."""
MAX_READ: Final = 10_000
"""Points of one answer."""

After = Annotated[int, Query(ge=0, le=MAX_COUNT, description="Only points with a higher seq.")]
ReadLimit = Annotated[int, Query(ge=1, le=MAX_READ)]
OfKind = Annotated[PointKind | None, Query(description="Only points of this kind.")]


@router.post(
    "/runs",
    status_code=201,
    openapi_extra=takes(NewRun),
    responses={201: {"model": RunCreated}},
)
async def start(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Announce a run. Needs the scope `publish`, as does telling of it; watching needs `read`."""
    caller.must(Scope.PUBLISH)
    plan = read_plan(await json_object(request, MAX_PLAN))
    told = msgspec.json.encode(plan, order="deterministic").decode()
    run, new = await run_in_threadpool(core.runs.start, caller.owner, plan, idempotency(request, told))
    return _json(
        {
            "http_code": 201,
            "message": "Run created" if new else "Run was created before",
            "run_id": run.run_id,
            "run": describe_run(run),
        },
        201,
        {"Location": f"/runs/{run.run_id}"},
    )


@router.post(
    "/runs/{run_id}/metrics",
    openapi_extra=takes(RunMessage),
    responses={200: {"model": RecordAnswer}},
)
async def record(request: Request, core: CoreOf, caller: Caller, run_id: str) -> Response:
    """Tell points, an end, or a sign of life. With `first` a message may be sent again."""
    caller.must(Scope.PUBLISH)
    message, _ = await json_value(request, MAX_MESSAGE)

    def take() -> Run:
        return core.runs.record(caller.owner, run_id, read_batch(message, core.runs.now()))

    run = await run_in_threadpool(take)
    return _json({"http_code": 200, "run_id": run_id, "last_seq": run.last_seq, "state": str(run.state)})


@router.get("/runs", responses={200: {"model": RunsAnswer}})
def runs(
    core: CoreOf,
    caller: Caller,
    limit: PageLimit = 100,
    cursor: str | None = None,
    model: str | None = None,
    state: RunState | None = None,
) -> Response:
    """Your runs, newest first."""
    caller.must(Scope.READ)
    page = core.runs.page(caller.owner, limit, cursor, model, state)
    found = [describe_run(run) for run in page.items]
    return _json({"http_code": 200, "runs": found, "next_cursor": page.next_cursor})


@router.get("/runs/{run_id}", responses={200: {"model": WatchedRunAnswer}})
def run(core: CoreOf, caller: Caller, run_id: str) -> Response:
    """One run as it stands."""
    caller.must(Scope.READ)
    return _json({"http_code": 200, "run": describe_run(core.runs.find(caller.owner, run_id))})


@router.delete("/runs/{run_id}", responses={200: {"model": MessageAnswer}})
def remove(core: CoreOf, caller: Caller, run_id: str) -> Response:
    """Forget a run and its points. 409 while a training of this backend writes it."""
    caller.must(Scope.PUBLISH)
    core.runs.remove(caller.owner, run_id)
    return _json({"http_code": 200, "message": "Run deleted", "run_id": run_id})


@router.get(
    "/runs/{run_id}/metrics",
    responses={200: {"model": PointsAnswer, "content": {"text/event-stream": {}}}},
)
async def points(
    request: Request,
    core: CoreOf,
    caller: Caller,
    run_id: str,
    after: After = 0,
    limit: ReadLimit = MAX_READ,
    kind: OfKind = None,
) -> Response:
    """Points in order; with `Accept: text/event-stream` those to come too, as they come.

    Events: `metric` with a point, whose `seq` is the event's id, and `run` with the run at the start, on each
    change of its state and at the end, where the stream closes. `Last-Event-ID` or `after` resumes.
    """
    caller.must(Scope.READ)
    if not wants_events(request):
        return await run_in_threadpool(
            lambda: encoded_points(core.runs.points_after(caller.owner, run_id, after, limit, kind))
        )
    feeds: Feeds = request.app.state.feeds
    feeds.must_have_room()
    after = resumed_after(request, after)
    found = await run_in_threadpool(core.runs.find, caller.owner, run_id)
    return EventStream(events(feeds, RunSource(feeds.of_run(found), after, kind)))


def encoded_points(read: RunPoints, **members: object) -> Response:
    """A page of points with the run, and what else is to be told with it."""
    return _json(
        {
            "http_code": 200,
            **members,
            "run": describe_run(read.run),
            "points": read.points,
            "last_seq": read.run.last_seq,
            "next_after": read.next_after,
        }
    )


def _json(members: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(members), status, headers, "application/json")
