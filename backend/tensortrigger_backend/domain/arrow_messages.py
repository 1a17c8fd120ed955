"""Where the messages of an Arrow IPC stream begin and end, and how much they unpack to, as they say themselves.

A message is a mark, the length of its description (a flatbuffer), the description, and a body. Nothing of the body is
looked at here but the lengths that stand before its packed buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MARK = b"\xff\xff\xff\xff"
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
MAX_HEAD = 16 << 20
"""Bytes of one description."""


class BrokenMessage(ValueError):
    """The bytes are no Arrow message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, less its body.

    Attributes:
        kind: SCHEMA, DICTIONARY or RECORDS.
        head: bytes before the body.
        body: bytes of the body.
        rows: of a batch of records.
        buffers: offset and length of each in the body.
        packed: whether each buffer is compressed, behind eight bytes that tell its length.
    """

    kind: int
    head: int
    body: int
    rows: int = 0
    buffers: Sequence[tuple[int, int]] = ()
    packed: bool = False


def read_head(data: bytes | bytearray | memoryview) -> Message | int | None:
    """The message that begins ``data``.

    Returns:
        how many bytes are needed where they are too few; None for the mark that ends a stream.

    Raises:
        BrokenMessage: it is none.
    """
    if len(data) < 8:
        return 8
    if bytes(data[:4]) != MARK:
        raise BrokenMessage("a message does not begin with its mark")
    length = int(struct.unpack_from("<i", data, 4)[0])
    if length == 0:
        return None
    if not 0 < length <= MAX_HEAD:
        raise BrokenMessage(f"a description of {length} bytes")
    if len(data) < 8 + length:
        return 8 + length
    try:
        return _described(bytes(data[8 : 8 + length]), 8 + length)
    except struct.error:
        raise BrokenMessage("a description that points outside itself") from None


def read_bare_schema(data: bytes | bytearray | memoryview) -> int | None:
    """Bytes of the schema that begins ``data`` with no mark before it: Polars begins a file so.

    It ends at the mark of the next message. No schema holds one where a message may begin: its names are UTF-8, and its
    numbers are offsets and kinds.

    Returns:
        zero where a mark comes first; None where there are too few bytes.

    Raises:
        BrokenMessage: it does not end.
    """
    start = bytes(data[:MAX_HEAD])
    at = start.find(MARK)
    while at > 0 and at % 8:
        at = start.find(MARK, at + 1)
    if at >= 0:
        return at
    if len(start) == MAX_HEAD:
        raise BrokenMessage("a description without an end")
    return None


def framed(description: bytes) -> bytes:
    """The message of this description, which has no body."""
    return MARK + struct.pack("<i", len(description)) + description


def unpacked_size(message: Message, body: bytes | memoryview) -> int:
    """Bytes that the buffers of a batch take in memory. Raises BrokenMessage where they lie outside the body."""
    total = 0
    for offset, length in message.buffers:
        if offset < 0 or length < 0 or offset + length > len(body):
            raise BrokenMessage("a buffer that lies outside its message")
        if message.packed and length >= 8:
            (told,) = struct.unpack_from("<q", body, offset)
            total += length if told == -1 else told
            if told < -1:
                raise BrokenMessage("a buffer of negative length")
        else:
            total += length
    return total


def _described(data: bytes, head: int) -> Message:
    table = _Table(data, struct.unpack_from("<I", data)[0])
    kind, body = table.number(1, "<B"), table.number(3, "<q")
    if body < 0:
        raise BrokenMessage("a body of negative length")
    if kind == SCHEMA:
        return Message(kind, head, body)
    content = table.table(2)
    if kind == DICTIONARY and content is not None:
        content = content.table(1)
    elif kind != RECORDS:
        raise BrokenMessage(f"a message of kind {kind}")
    if content is None:
        raise BrokenMessage("a batch without records")
    rows = content.number(0, "<q")
    if rows < 0:
        raise BrokenMessage("a batch of negative length")
    return Message(kind, head, body, rows, content.pairs(2), content.table(3) is not None)


class _Table:
    """A table of a flatbuffer. Raises struct.error outside of it."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if self._fields < 0:
            raise BrokenMessage("a table that begins before its description")
        (self._length,) = struct.unpack_from("<H", data, self._fields)

    def number(self, field: int, form: str) -> int:
        place = self._place(field)
        number: int = struct.unpack_from(form, self._data, place)[0] if place else 0
        return number

    def table(self, field: int) -> _Table | None:
        place = self._pointed(field)
        return _Table(self._data, place) if place else None

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of structs of two 64-bit numbers."""
        place = self._pointed(field)
        if not place:
            return []
        (count,) = struct.unpack_from("<I", self._data, place)
        if count * 16 > len(self._data):
            raise BrokenMessage("a list that is longer than its description")
        return [struct.unpack_from("<qq", self._data, place + 4 + 16 * number) for number in range(count)]

    def _pointed(self, field: int) -> int:
        place = self._place(field)
        return place + int(struct.unpack_from("<I", self._data, place)[0]) if place else 0

    def _place(self, field: int) -> int:
        entry = 4 + 2 * field
        if entry + 2 > self._length:
            return 0
        offset = int(struct.unpack_from("<H", self._data, self._fields + entry)[0])
        return self._at + offset if offset else 0
