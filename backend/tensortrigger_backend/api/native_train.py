"""Native API: train a published version on points, to a new version."""

from __future__ import annotations

import asyncio
import hashlib

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.native_jobs import created
from tensortrigger_backend.api.reading import ENVELOPE, idempotency, json_object, known_members, text_member
from tensortrigger_backend.api.shapes import PROBLEMS, JobCreated, TrainRequest, takes

router = APIRouter(tags=["train"], responses=PROBLEMS)


@router.patch(
    "/tensor/train",
    status_code=201,
    openapi_extra=takes(TrainRequest),
    responses={201: {"model": JobCreated}},
)
async def train(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Train a version in the background; it becomes a new version of its name, and itself stays as it is.

    Loss, optimizer and metrics are those of the published file, else inferred from the outputs; the job says
    which. Watch it at `/jobs/{job_id}/metrics`.
    """
    body = await json_object(request, request.app.state.settings.max_content + ENVELOPE)
    known_members(body, *TrainRequest.model_fields)
    model_id, reference = text_member(body, "model_id"), text_member(body, "model")
    key = None
    if "idempotency-key" in request.headers:
        said = await asyncio.to_thread(lambda: hashlib.sha256(msgspec.json.encode(body, order="sorted")))
        key = idempotency(request, said.hexdigest())
    return created(*await asyncio.to_thread(core.training.submit, caller, model_id, reference, body, key))
