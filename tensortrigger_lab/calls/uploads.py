"""What a client asks to bring a large file over: in pieces, and on from where it broke off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tensortrigger_lab.calls.call import Call, Seen, read_member
from tensortrigger_lab.errors import Conflict, NoAnswer, NotReachable, ServerFault, Unavailable
from tensortrigger_lab.request import Request, segment
from tensortrigger_lab.wire import text, whole

PIECE = 8 * 1024 * 1024
"""Bytes a request: what is lost at most when the connection breaks, and what is in memory at once."""
BREAKS = 5
"""Breaks in a row without a byte between them, after which it is given up."""

BROKE = (NotReachable, NoAnswer, Unavailable, ServerFault, Conflict)
"""After these the backend is asked how far it has come; a Conflict is its word that it has come elsewhere."""


class Source(Protocol):
    """The bytes to send."""

    @property
    def size(self) -> int:
        """How many they are."""

    @property
    def sha256(self) -> str:
        """Their hash, in hexadecimal."""

    def piece(self, offset: int, length: int) -> bytes:
        """Those from ``offset`` on, fewer than ``length`` at the end only."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that the backend holds until a model is made of it."""

    upload_id: str
    sha256: str


def upload(_: Seen, source: Source, told: Callable[[int, int], object] | None = None) -> Call[Uploaded]:
    """Bring the bytes over; a connection that breaks is taken up again where it broke.

    Args:
        told: hears (bytes that have arrived, all bytes) after every piece.

    Raises:
        PayloadTooLarge: more than the backend takes; nothing was sent.
        TensorTriggerError: nothing has arrived any more for several attempts.
    """
    size = source.size
    answer = yield Request("POST", "/models/uploads", {"size": size, "sha256": source.sha256})
    path = f"/models/uploads/{segment(read_member(answer, 'upload_id', text))}"
    offset, breaks = 0, 0
    while offset < size:
        try:
            answer = yield _put(path, offset, source.piece(offset, PIECE))
        except BROKE:
            breaks += 1
            if breaks > BREAKS:
                raise
            answer = yield Request("GET", path)
        arrived = read_member(answer, "offset", whole)
        if arrived > offset:
            breaks = 0
        offset = arrived
        if told is not None:
            told(min(offset, size), size)
    return Uploaded(path.rpartition("/")[2], source.sha256)


def _put(path: str, offset: int, piece: bytes) -> Request:
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(piece))}
    return Request("PUT", path, params={"offset": offset}, headers=headers, body=lambda: (piece,))
