"""Reading Server-Sent Events as they come in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 4 << 20
"""Bytes; more is no event of ours."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event whose data is a JSON object."""

    kind: str
    members: dict[str, Any]


async def events(blocks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The events of a stream; comments and what is no JSON object are passed over.

    Lines end at line feeds only: JSON text may hold the other characters at which Python splits lines.

    Raises:
        ValueError: a line without end.
    """
    kind, data, rest = "message", b"", b""
    async for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"A line of the event stream is over {LONGEST_LINE} bytes.")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if name == b"event":
                kind = value.decode(errors="replace")
            elif name == b"data":
                data = data + b"\n" + value if data else value
            elif not name and not value and line.strip() == b"":
                if members := _members(data):
                    yield Event(kind, members)
                kind, data = "message", b""


def _members(data: bytes) -> dict[str, Any] | None:
    try:
        members = json.loads(data)
    except ValueError:
        return None
    return members if isinstance(members, dict) else None
