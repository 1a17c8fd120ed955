"""A stream of server-sent events: how its bytes are read, and where a broken one goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from tensortrigger_lab.errors import UnexpectedAnswer
from tensortrigger_lab.request import Request
from tensortrigger_lab.strict_json import loads
from tensortrigger_lab.wire import JobRecord, PointRecord, RunRecord, WireError

Event: TypeAlias = PointRecord | RunRecord | JobRecord
READERS: dict[str, Callable[[Any], Event]] = {
    "metric": PointRecord.read,
    "run": RunRecord.read,
    "job": JobRecord.read,
}
LONGEST_PAUSE = 5.0
LONGEST_LINE = 1 << 20
"""Bytes; no event of the backend comes near it."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event as it was sent; ``id`` is the last one that was told, empty before the first."""

    kind: str
    data: str
    id: str = ""


class EventReader:
    """Cuts bytes, in whatever pieces they come, into events; comments are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False
        self._kind, self._data, self._id = "", list[str](), ""

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """The events that ``piece`` completes.

        Raises:
            UnexpectedAnswer: a line without end.
        """
        # A line ends with CR, LF or both; the LF of a pair may come with the next piece.
        if self._after_return and piece:
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if piece.endswith(b"\r"):
            self._after_return = True
        *lines, self._rest = (self._rest + piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise UnexpectedAnswer("The stream cannot be read: a line of it does not end.")
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            kind, data = self._kind or "message", "\n".join(self._data)
            told = bool(self._data)
            self._kind, self._data = "", []
            return ServerEvent(kind, data, self._id) if told else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None


class Following:
    """One stream over as many connections as it takes: every point once, in order.

    Args:
        path: what is followed.
        after: the number of the last point that is known already.
    """

    def __init__(self, path: str, after: int = 0) -> None:
        self._path = path
        self.last_seq = after
        self.ended = False
        self._told: RunRecord | JobRecord | None = None
        self._idle = 0

    def request(self) -> Request:
        """Opens the stream where it was left."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return Request("GET", self._path, headers=headers | {"Last-Event-ID": str(self.last_seq)})

    def news(self, event: ServerEvent) -> Event | None:
        """What the event tells; None where it is known already, or of a kind that this version does not know.

        Raises:
            UnexpectedAnswer: it cannot be read.
        """
        reader = READERS.get(event.kind)
        if reader is None:
            return None
        try:
            found = reader(loads(event.data))
        except WireError as error:
            raise UnexpectedAnswer(f"An event of {self._path} cannot be read: {error}.") from error
        if isinstance(found, PointRecord):
            if found.seq <= self.last_seq:
                return None
            self.last_seq, self._idle = found.seq, 0
            return found
        # Each connection begins with the state; after a break it is often the one that was told before.
        repeated = found == self._told
        self._told = found
        return None if repeated else found

    def closed(self) -> None:
        """The backend has closed the stream in good order: that is the end where all there is has been told."""
        told = self._told
        missing = isinstance(told, RunRecord) and told.last_seq > self.last_seq
        self.ended = told is not None and told.final and not missing

    def pause(self) -> float:
        """Seconds to wait before the stream is opened again; more each time in vain, at random within that."""
        self._idle += 1
        return random.uniform(0.0, min(LONGEST_PAUSE, 0.1 * 2**self._idle))  # noqa: S311
