"""Native API: score CSV files in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response, StreamingResponse

from tensortrigger_backend.api.answers import PageLimit, blocks, data_url, timestamp
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.reading import (
    ENVELOPE,
    base64_member,
    idempotency,
    json_object,
    known_members,
    stream,
    text_member,
)
from tensortrigger_backend.api.results import as_csv, as_json, as_ndjson
from tensortrigger_backend.api.shapes import (
    PROBLEMS,
    JobAnswer,
    JobCreated,
    JobsAnswer,
    RejectsAnswer,
    ResultsAnswer,
    ScoreRequest,
    takes,
)
from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.errors import UnsupportedMedia
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.scoring import CsvIntake

router = APIRouter(tags=["jobs"], responses=PROBLEMS)

INTAKE_STEP = 1 << 20
"""Bytes of a streamed CSV that are cut and stored at a time."""


@router.post(
    "/tensor/run/async",
    status_code=201,
    openapi_extra=takes(ScoreRequest),
    responses={201: {"model": JobCreated}},
)
async def score(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Score a CSV that travels as base64; columns are matched by name."""
    limits = request.app.state.settings
    body = await json_object(request, limits.max_content + ENVELOPE)
    known_members(body, "model_id", "model", "input_data")
    content = base64_member(body, "input_data", limits.max_content)
    model_id, reference = text_member(body, "model_id"), text_member(body, "model")
    key = idempotency(request, str(model_id), str(reference))

    def take() -> tuple[Job, bool]:
        intake = core.scoring.intake(caller, model_id, reference)
        try:
            for block in content:
                intake.feed(block)
            intake.finish()
            return core.scoring.submit(intake, key)
        finally:
            intake.abort()

    return created(*await asyncio.to_thread(take))


@router.post(
    "/jobs",
    status_code=201,
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    },
    responses={201: {"model": JobCreated}},
)
async def submit(
    request: Request,
    core: CoreOf,
    caller: Caller,
    model: Annotated[str | None, Query(description="`name` or `name/3`.")] = None,
    model_id: str | None = None,
) -> Response:
    """Score a CSV that is streamed as the body; memory does not grow with it."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise UnsupportedMedia(f"Send Content-Type: text/csv, not {media_type[:80] or 'none'!r}.")
    key = idempotency(request, str(model_id), str(model))
    intake = await asyncio.to_thread(core.scoring.intake, caller, model_id, model)
    try:
        return created(*await _stream_in(request, core, intake, key))
    finally:
        await asyncio.to_thread(intake.abort)


async def _stream_in(
    request: Request, core: Core, intake: CsvIntake, key: Idempotency | None
) -> tuple[Job, bool]:
    block = bytearray()
    async for chunk in stream(request, request.app.state.settings.max_upload):
        block += chunk
        if len(block) >= INTAKE_STEP:
            await asyncio.to_thread(intake.feed, bytes(block))
            block.clear()
    if block:
        await asyncio.to_thread(intake.feed, bytes(block))
    await asyncio.to_thread(intake.finish)
    return await asyncio.to_thread(core.scoring.submit, intake, key)


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


@router.get("/jobs/{job_id}/content")
def job_content(core: CoreOf, caller: Caller, job_id: str) -> Response:
    """The uploaded CSV; of a training its points, as NumPy's `.npz`."""
    media_type = "application/zip" if _trains(core, caller, job_id) else "text/csv"
    return data_url(blocks(core.scoring.upload(caller, job_id)), media_type, "job")


@router.get("/jobs/{job_id}/results", responses={200: {"model": ResultsAnswer}})
@router.get("/job/{job_id}/results", responses={200: {"model": ResultsAnswer}})
def results(request: Request, core: CoreOf, caller: Caller, job_id: str) -> Response:
    """Outputs in row order as JSON, null for rejected rows; or, by `Accept`, streamed CSV or NDJSON rows."""
    parts = core.scoring.results(caller, job_id)
    accept = request.headers.get("accept", "")
    body: Iterator[bytes]
    if "text/csv" in accept:
        body, media_type = as_csv(core.scoring.find(caller, job_id), parts), "text/csv"
    elif "application/x-ndjson" in accept:
        body, media_type = as_ndjson(parts), "application/x-ndjson"
    else:
        body, media_type = as_json(parts), "application/json"
    return StreamingResponse(body, media_type=media_type)


@router.get("/jobs/{job_id}/rejects", responses={200: {"model": RejectsAnswer}})
def rejects(
    core: CoreOf, caller: Caller, job_id: str, limit: PageLimit = 100, cursor: str | None = None
) -> Response:
    """Rows that could not be scored: line, field and reason."""
    page = core.scoring.rejects(caller, job_id, limit, cursor)
    found = [reject.to_dict() for reject in page.items]
    return JSONResponse({"http_code": 200, "rejects": found, "next_cursor": page.next_cursor})


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
    return {
        **job.described(),
        "created": timestamp(job.created),
        "last_updated": timestamp(job.last_updated),
        "started": timestamp(job.started) if job.started else None,
        "finished": timestamp(job.finished) if job.finished else None,
    }


def _trains(core: Core, caller: Principal, job_id: str) -> bool:
    return core.scoring.find(caller, job_id).kind is JobKind.TRAIN


def _job(job: Job) -> Response:
    return JSONResponse({"http_code": 200, "job": describe(job)})


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
