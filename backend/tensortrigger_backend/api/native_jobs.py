"""Native API: score rows in the background."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from tensortrigger_backend.api.answers import PageLimit, timestamp
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.feed_ahead import feed_ahead
from tensortrigger_backend.api.in_thread import in_thread
from tensortrigger_backend.api.job_orders import (
    JobOrder,
    is_json,
    order_elsewhere,
    order_of_members,
    order_of_query,
)
from tensortrigger_backend.api.job_shapes import (
    ROWS_PARAMETERS,
    FetchRequest,
    ScoreRequest,
    SourcesAnswer,
    UploadInvitation,
    rows_or,
)
from tensortrigger_backend.api.reading import (
    ENVELOPE,
    base64_member,
    idempotency,
    json_object,
    no_parameters,
    stream,
)
from tensortrigger_backend.api.shapes import PROBLEMS, JobAnswer, JobCreated, JobsAnswer, takes
from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.intake import Intake, feed_all

router = APIRouter(tags=["jobs"], responses=PROBLEMS)


@router.post(
    "/tensor/run/async",
    status_code=201,
    openapi_extra=takes(ScoreRequest),
    responses={201: {"model": JobCreated}},
)
async def score(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Score rows that travel as base64: a CSV, or what the data URL's media type says. Columns go by name."""
    limits = request.app.state.settings
    body = await json_object(request, limits.max_content + ENVELOPE)
    order = order_of_members(body)
    content = base64_member(body, "input_data", limits.max_content)
    key = idempotency(request, *order.told())

    def take() -> tuple[Job, bool]:
        intake = core.scoring.intake(caller, order.model_id, order.model, order.options, order.row_format)
        try:
            feed_all(intake, content)
            return core.scoring.submit(intake, key, order.priority)
        finally:
            intake.abort()

    return created(*await in_thread(core.upload_threads, take))


@router.post(
    "/jobs",
    status_code=201,
    openapi_extra={**rows_or(FetchRequest), "parameters": ROWS_PARAMETERS},
    responses={201: {"model": JobCreated}},
)
async def submit(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Score rows that are streamed as the body, whose memory does not grow with them; or, with a JSON body, rows
    that a worker fetches from a configured source or from an upload by URL."""
    if is_json(request):
        no_parameters(request)
        members = await json_object(request, ENVELOPE)
        order = order_elsewhere(members, caller.owner)
        key = idempotency(request, *order.told())
        return created(*await asyncio.to_thread(_fetch, core, caller, order, key))
    order = order_of_query(request)
    key = idempotency(request, *order.told())
    intake = await asyncio.to_thread(
        core.scoring.intake,
        caller,
        order.model_id,
        order.model,
        order.options,
        order.row_format,
        idempotent=key is not None,
    )
    try:
        return created(*await _stream_in(request, core, intake, key, order.priority))
    finally:
        await in_thread(core.upload_threads, intake.abort)


@router.post("/jobs/uploads", status_code=201, responses={201: {"model": UploadInvitation}})
def invite(core: CoreOf, caller: Caller) -> Response:
    """Leave to PUT rows straight into the storage; then POST /jobs with the `upload_id`."""
    upload = core.scoring.invite(caller)
    members = {
        "http_code": 201,
        "upload_id": upload.upload_id,
        "url": upload.url,
        "method": "PUT",
        "expires": timestamp(upload.expires),
    }
    return JSONResponse(members, 201)


@router.get("/jobs/sources", responses={200: {"model": SourcesAnswer}})
def sources(core: CoreOf, caller: Caller) -> Response:
    """Names of the places from which jobs may read files."""
    return JSONResponse({"http_code": 200, "sources": core.scoring.sources(caller)})


@router.get("/jobs", responses={200: {"model": JobsAnswer}})
def jobs(
    core: CoreOf,
    caller: Caller,
    limit: PageLimit = 100,
    cursor: str | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
) -> Response:
    """Your jobs, newest first."""
    page = core.scoring.page(caller, limit, cursor, kind, state)
    found = [describe(job) for job in page.items]
    return JSONResponse({"http_code": 200, "jobs": found, "next_cursor": page.next_cursor})


@router.get("/jobs/{job_id}", responses={200: {"model": JobAnswer}})
@router.get("/jobs/{job_id}/metadata", responses={200: {"model": JobAnswer}})
def job(core: CoreOf, caller: Caller, job_id: str) -> Response:
    """One job and its progress."""
    return _job(core.scoring.find(caller, job_id))


@router.post("/jobs/{job_id}/cancel", responses={200: {"model": JobAnswer}})
def cancel(core: CoreOf, caller: Caller, job_id: str) -> Response:
    """Cancel a job unless it has ended; safe to repeat."""
    ordered = core.training if _trains(core, caller, job_id) else core.scoring
    return _job(ordered.cancel(caller, job_id))


@router.post("/jobs/{job_id}/retry", responses={200: {"model": JobAnswer}})
def retry(core: CoreOf, caller: Caller, job_id: str) -> Response:
    """Try the failed partitions of a failed job again, or let a training go on; safe to repeat."""
    ordered = core.training if _trains(core, caller, job_id) else core.scoring
    return _job(ordered.retry(caller, job_id))


def describe(job: Job) -> dict[str, Any]:
    """The Job object of the native API."""
    options = job.options
    members = {**job.described(), "priority": job.priority, "webhook": options.webhook}
    if job.kind is JobKind.SCORE:
        members |= {"row_format": str(options.row_format), "keep": list(options.keep)}
    return {
        **members,
        "created": timestamp(job.created),
        "last_updated": timestamp(job.last_updated),
        "started": timestamp(job.started) if job.started else None,
        "finished": timestamp(job.finished) if job.finished else None,
    }


def created(job: Job, new: bool) -> Response:
    """The answer to whoever ordered a job."""
    return JSONResponse(
        {
            "http_code": 201,
            "message": "Job created" if new else "Job was created before",
            "job_id": job.job_id,
        },
        201,
        {"Location": f"/jobs/{job.job_id}"},
    )


async def _stream_in(
    request: Request, core: Core, intake: Intake, key: Idempotency | None, priority: int
) -> tuple[Job, bool]:
    threads = core.upload_threads
    await feed_ahead(threads, stream(request, request.app.state.settings.max_upload), intake.feed)
    await in_thread(threads, intake.finish)
    return await in_thread(threads, core.scoring.submit, intake, key, priority)


def _fetch(core: Core, caller: Principal, order: JobOrder, key: Idempotency | None) -> tuple[Job, bool]:
    return core.scoring.fetch(caller, order.model_id, order.model, order.options, key, order.priority)


def _trains(core: Core, caller: Principal, job_id: str) -> bool:
    return core.scoring.find(caller, job_id).kind is JobKind.TRAIN


def _job(job: Job) -> Response:
    return JSONResponse({"http_code": 200, "job": describe(job)})
