"""Health, readiness, metrics and tickets."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from tensortrigger_backend import __version__
from tensortrigger_backend.api.answers import timestamp
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.reading import json_object, known_members, member, text_member
from tensortrigger_backend.api.shapes import PROBLEMS, MessageAnswer, TicketRequest, takes
from tensortrigger_backend.domain.access import Scope
from tensortrigger_backend.domain.errors import Fault, InvalidInput, Unavailable

router = APIRouter(tags=["operations"], responses=PROBLEMS)


@router.get("/health_check", responses={200: {"model": MessageAnswer}})
async def health_check() -> Response:
    """Whether the service runs. No key needed."""
    return JSONResponse({"http_code": 200, "message": "Service running"})


@router.get("/health")
async def health(core: CoreOf) -> Response:
    """Whether the event loop is alive, which version answers, and how far guests are held in. No key needed."""
    # On the loop alone: who looks after this process ends it when it waits here for threads that are busy.
    sandbox = core.sandbox().to_dict()
    answer = {"http_code": 200, "status": "ok", "version": __version__, "sandbox": sandbox}
    return JSONResponse(answer)


@router.get("/ready")
async def ready(request: Request) -> Response:
    """200 when requests are welcome, 503 while the server starts or drains. No key needed."""
    if request.app.state.draining():
        return JSONResponse(
            {"http_code": 503, "ready": False, "message": "Draining"}, 503, {"Retry-After": "2"}
        )
    return JSONResponse({"http_code": 200, "ready": True})


@router.get("/metrics", response_class=Response)
def metrics(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Counters in Prometheus' text format."""
    caller.must(Scope.READ)
    recorder = request.app.state.metrics
    try:
        recorder.waiting(core.waiting())
    except Unavailable:
        # The process's own counters are told all the same.
        recorder.waiting_unknown()
    return Response(recorder.exposed(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/tickets", status_code=201, openapi_extra=takes(TicketRequest))
async def tickets(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Mint a single-use, short-lived ticket to publish to one name; send it as `Authorization: Bearer`."""
    body = await json_object(request, request.app.state.settings.max_json)
    known_members(body, "model", "expires_in")
    member(body, "model")
    name = text_member(body, "model") or ""
    lifetime = body.get("expires_in", 300)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float):
        raise InvalidInput.of(
            Fault(("expires_in",), "type", "expires_in must be a number of seconds.", "number")
        )
    token, record = await asyncio.to_thread(core.gatekeeper.mint_ticket, caller, name, lifetime)
    return JSONResponse(
        {"http_code": 201, "ticket": token, "model": record.model_name, "expires": timestamp(record.expires)},
        201,
    )
