"""What the answers of several routes share: times, pages and data URLs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, BinaryIO

from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

PageLimit = Annotated[int, Query(ge=1, le=200)]


class Answered(BaseModel):
    """The part of every answer."""

    http_code: int


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """A blob's bytes in blocks of a multiple of three, so that each can be base64-encoded on its own."""
    with stream:
        while block := stream.read(3 << 18):
            yield block


def data_url(content: Iterator[bytes], media_type: str, name: str) -> Response:
    """``{http_code, <name>: data URL}``, encoded block by block, so that memory does not grow with it.

    Args:
        content: all but the last a multiple of three bytes long.
    """

    def body() -> Iterator[bytes]:
        yield f'{{"http_code":200,"{name}":"data:{media_type};base64,'.encode()
        for block in content:
            yield base64.b64encode(block)
        yield b'"}'

    return StreamingResponse(body(), media_type="application/json")
