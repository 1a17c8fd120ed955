"""Native API: the inside of a job, its end, and the secret of the messages that tell of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from starlette.responses import Response

from tensortrigger_backend.api.answers import Answered, PageLimit
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.job_progress import log_json, partition_json
from tensortrigger_backend.api.shapes import PROBLEMS
from tensortrigger_backend.domain.jobs import INTAKE, PartitionState

router = APIRouter(tags=["jobs"], responses=PROBLEMS)

FIRST = INTAKE - 1


class PartitionsAnswer(Answered):
    """Partitions of a job, in order."""

    partitions: list[dict[str, Any]]
    next_after: int | None


class LogAnswer(Answered):
    """Lines of a job's log, oldest first."""

    log: list[dict[str, Any]]
    next_after: int | None


class SecretAnswer(Answered):
    """What webhooks are signed with."""

    secret: str


class DeletedAnswer(Answered):
    """A job that was deleted."""

    message: str
    job_id: str


# Before /jobs/{job_id}, which would take it for a job.
@router.get("/jobs/webhook_secret", responses={200: {"model": SecretAnswer}})
def webhook_secret(core: CoreOf, caller: Caller) -> Response:
    """The secret with which your webhooks are signed; see docs/webhooks.md."""
    secret = core.webhooks.secret(caller)
    return JSONResponse({"http_code": 200, "secret": secret}, headers={"Cache-Control": "no-store"})


@router.get("/jobs/{job_id}/partitions", responses={200: {"model": PartitionsAnswer}})
def partitions(
    core: CoreOf,
    caller: Caller,
    job_id: str,
    after: Annotated[int, Query(ge=FIRST, le=1 << 31)] = FIRST,
    limit: PageLimit = 100,
    state: Annotated[list[PartitionState] | None, Query()] = None,
) -> Response:
    """The partitions that the job is cut into: who holds them, how far they are, why an attempt failed.

    Number -1 fetches and cuts the rows of a job that reads them from elsewhere. `state` may stand several times.
    """
    found = core.job_details.partitions(caller, job_id, after, limit + 1, state or ())
    following = found[limit - 1].slice.number if len(found) > limit else None
    members = [partition_json(status) for status in found[:limit]]
    return JSONResponse({"http_code": 200, "partitions": members, "next_after": following})


@router.get("/jobs/{job_id}/log", responses={200: {"model": LogAnswer}})
def log(
    core: CoreOf,
    caller: Caller,
    job_id: str,
    after: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
    limit: PageLimit = 100,
) -> Response:
    """What happened to the job, oldest first. The numbers count up, with gaps."""
    found = core.job_details.log(caller, job_id, after, limit + 1)
    following = found[limit - 1].number if len(found) > limit else None
    members = [log_json(entry) for entry in found[:limit]]
    return JSONResponse({"http_code": 200, "log": members, "next_after": following})


@router.delete("/jobs/{job_id}", responses={200: {"model": DeletedAnswer}})
def delete(core: CoreOf, caller: Caller, job_id: str) -> Response:
    """Delete a job that has ended, with its upload, results and log; one that has not is to be cancelled first.

    The version that a training made stays, and so does its run.
    """
    core.retention.delete(caller, job_id)
    return JSONResponse({"http_code": 200, "message": "Job deleted", "job_id": job_id})
