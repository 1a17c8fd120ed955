"""Every error as RFC 9457 problem details, beside the native API's ``http_code`` and ``message``."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tensortrigger_backend.domain.errors import (
    Conflict,
    Fault,
    Forbidden,
    InvalidInput,
    InvalidJobState,
    ModelRefused,
    NotFound,
    NotInstalled,
    Overrun,
    PayloadTooLarge,
    TensorTriggerError,
    Unauthenticated,
    Unavailable,
    Unproven,
    UnsupportedMedia,
    WrongOffset,
)

log = structlog.get_logger(__name__)

STATUS: dict[type[TensorTriggerError], int] = {
    InvalidInput: 400,
    ModelRefused: 400,
    InvalidJobState: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    WrongOffset: 409,
    PayloadTooLarge: 413,
    UnsupportedMedia: 415,
    NotInstalled: 501,
    Unavailable: 503,
    Overrun: 503,
    Unproven: 503,
}

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    detail: str,
    instance: str,
    kind: str = "about:blank",
    faults: tuple[Fault, ...] = (),
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    """The answer for one error.

    Args:
        kind: ``type`` of RFC 9457.
        instance: the path that was asked for.
        more: members beside those of every problem.
    """
    members: dict[str, Any] = {
        **more,
        "type": kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "http_code": status,
        "message": detail,
    }
    if faults:
        members["errors"] = [fault.to_dict() for fault in faults]
    return Response(msgspec.json.encode(members), status, headers, MEDIA_TYPE)


def answer_error(error: TensorTriggerError, instance: str) -> Response:
    """The answer for an error of ours."""
    status = STATUS[type(error)]
    headers = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="tensortrigger"'
    name = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(error).__name__)
    more = {"offset": error.offset} if isinstance(error, WrongOffset) else {}
    kind = f"urn:tensortrigger:{name[1:]}"
    return problem(status, error.detail, instance, kind, error.faults, headers, **more)


def install(app: FastAPI) -> None:
    """Answer the framework's own errors in the same form, and never with a traceback."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, TensorTriggerError)
        return answer_error(error, request.url.path)

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers) if error.headers else None
        detail = {
            404: f"There is no route {request.url.path[:200]}.",
            405: f"{request.method} is not allowed on {request.url.path[:200]}.",
        }.get(error.status_code, str(error.detail))
        return problem(error.status_code, detail, request.url.path, headers=headers)

    async def parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = tuple(
            Fault(tuple(entry["loc"]), entry["type"], f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}.")
            for entry in error.errors()
        )
        return answer_error(InvalidInput.of(*faults), request.url.path)

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("request.failed", path=request.url.path, exc_info=error)
        return problem(500, "The server failed on this request; its log says why.", request.url.path)

    async def gone(request: Request, error: Exception) -> Response:
        assert isinstance(error, ClientDisconnect)
        log.info("request.broken_off", path=request.url.path)
        return problem(400, "The connection broke before the request was whole.", request.url.path)

    app.add_exception_handler(TensorTriggerError, ours)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, parameters)
    app.add_exception_handler(Exception, unexpected)
