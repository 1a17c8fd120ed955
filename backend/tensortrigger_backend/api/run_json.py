"""Runs and points as JSON: how a sender's message is read, and how a run is written."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Request

from tensortrigger_backend.api.answers import timestamp
from tensortrigger_backend.api.reading import stream
from tensortrigger_backend.domain.errors import Fault, InvalidInput, UnsupportedMedia
from tensortrigger_backend.domain.runs import Run


async def json_bytes(request: Request, limit: int) -> bytes:
    """The bytes of a JSON body, not read yet.

    Raises:
        UnsupportedMedia: the content type is not JSON; see ``reading.sized_json_object`` for why it must be.
        PayloadTooLarge: more than ``limit`` bytes.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMedia(f"Send Content-Type: application/json, not {media_type[:80] or 'none'!r}.")
    body = bytearray()
    async for chunk in stream(request, limit):
        body += chunk
    return bytes(body)


def decoded(body: bytes) -> Any:
    """Any JSON value: an object, or an array of points. Raises InvalidInput."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        code, message = "json_depth", "The JSON is nested too deep."
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        code, message = "json", f"The body is not valid JSON: {error}."
    raise InvalidInput.of(Fault(("body",), code, message, "an object with points, or an array of points"))


def describe_run(run: Run) -> dict[str, Any]:
    """The Run object of the native API."""
    return {
        **run.described(),
        "created": timestamp(run.created),
        "last_updated": timestamp(run.last_updated),
        "finished": timestamp(run.finished) if run.finished is not None else None,
    }
