"""Native API: bring a large model over as raw bytes, in pieces, and on from where it broke off."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.in_thread import in_thread
from tensortrigger_backend.api.reading import idempotency, json_object, known_members
from tensortrigger_backend.api.shapes import PROBLEMS, MessageAnswer, NewUpload, UploadAnswer, takes
from tensortrigger_backend.domain.errors import PayloadTooLarge
from tensortrigger_backend.domain.uploads import Upload
from tensortrigger_backend.services.uploads import Intake

router = APIRouter(tags=["models"], responses=PROBLEMS)

STEP = 1 << 20
"""Bytes that are taken from the connection before they are written."""

RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/models/uploads",
    status_code=201,
    openapi_extra=takes(NewUpload),
    responses={201: {"model": UploadAnswer}},
)
async def begin_upload(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Begin an upload: send its bytes by PUT, then publish with `upload_id` instead of `model_content`.

    What was uploaded and not published is removed after 24 hours.
    """
    body = await json_object(request, request.app.state.settings.max_json)
    known_members(body, "size", "sha256")
    key = idempotency(request, str(body.get("size")), str(body.get("sha256")))
    upload = await asyncio.to_thread(core.uploads.begin, caller, body.get("size"), body.get("sha256"), key)
    return _answer(upload, 201, {"Location": f"/models/uploads/{upload.upload_id}"})


@router.put("/models/uploads/{upload_id}", openapi_extra=RAW_BODY, responses={200: {"model": UploadAnswer}})
async def put_upload(
    request: Request,
    core: CoreOf,
    caller: Caller,
    upload_id: str,
    offset: Annotated[int, Query(ge=0, lt=2**62, description="Where the bytes go: the upload's end.")],
) -> Response:
    """Go on with an upload. What arrives is kept even if the connection breaks: ask by GET where to go on.

    409 with the right `offset` when the bytes do not begin where the upload ends.
    """
    intake = await asyncio.to_thread(core.uploads.intake, caller, upload_id, offset)
    announced = request.headers.get("content-length", "")
    room = intake.upload.room(request.app.state.settings.max_model)
    if announced.isdigit() and int(announced) > room:
        raise intake.upload.overflow(request.app.state.settings.max_model)
    try:
        try:
            await _take(request, core.upload_threads, intake)
        except (ClientDisconnect, PayloadTooLarge):
            await in_thread(core.upload_threads, intake.keep)
            raise
        return _answer(await in_thread(core.upload_threads, intake.keep))
    finally:
        await in_thread(core.upload_threads, intake.abort)


@router.get("/models/uploads/{upload_id}", responses={200: {"model": UploadAnswer}})
def upload(core: CoreOf, caller: Caller, upload_id: str) -> Response:
    """How far an upload has come."""
    return _answer(core.uploads.find(caller, upload_id))


@router.delete("/models/uploads/{upload_id}", responses={200: {"model": MessageAnswer}})
def delete_upload(core: CoreOf, caller: Caller, upload_id: str) -> Response:
    """Give an upload up. A version that was made of it stays."""
    core.uploads.remove(caller, upload_id)
    return JSONResponse({"http_code": 200, "message": "Upload deleted"})


async def _take(request: Request, threads: Executor, intake: Intake) -> None:
    """Feed the body in, also the last bytes before a connection breaks."""
    block = bytearray()
    try:
        async for chunk in request.stream():
            block += chunk
            if len(block) >= STEP:
                taken, block = bytes(block), bytearray()
                await in_thread(threads, intake.feed, taken)
    finally:
        if block:
            await in_thread(threads, intake.feed, bytes(block))


def _answer(upload: Upload, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    members = {
        "http_code": status,
        "upload_id": upload.upload_id,
        "offset": upload.offset,
        "size": upload.size,
        "sha256": upload.sha256,
    }
    return JSONResponse(members, status, headers)
