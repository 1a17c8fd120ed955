"""gzip, unpacked as it comes in, and never to more than is allowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from tensortrigger_backend.domain.errors import Fault, InvalidInput, PayloadTooLarge

MAGIC = b"\x1f\x8b\x08"
STEP = 1 << 20
"""Bytes unpacked at a time."""
FIRST = 16 << 10
"""Bytes that a member is given at first, and then twice as many each time. What it does not need comes back as a copy:
if each were given all that there is, thousands of small members would have it copied thousands of times."""
MAX_RATIO = 400
"""How much more may come out than went in: rows of numbers pack to a third or so, and rows that are all the same to a
three-hundredth."""
FREE = 256 << 20
"""So much may come out whatever went in."""


class Inflater:
    """One or several gzip members, one after the other.

    Args:
        limit: bytes that may come out.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in = 0
        self._out = 0
        self._member: zlib._Decompress | None = None
        self._begun = False
        self._given = FIRST

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out, in blocks of bounded size.

        Raises:
            InvalidInput: no gzip, or damaged.
            PayloadTooLarge: more comes out than is allowed.
        """
        self._in += len(data)
        rest = memoryview(data)
        while rest:
            if self._member is None:
                rest = _past_zeros(rest) if self._begun else rest
                if not rest:
                    return
                self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
                self._begun = True
                self._given = FIRST
            given = rest[: self._given]
            try:
                block = self._member.decompress(given, STEP)
            except zlib.error as error:
                raise _no_gzip(f"The upload is no gzip, or is damaged: {error}.") from None
            self._count(block)
            if block:
                yield block
            left = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            rest = rest[len(given) - len(left) :]
            self._given = min(2 * self._given, STEP)
            if self._member.eof:
                self._member = None
        while self._member is not None and not self._member.eof:
            # What was held back although all that went in was taken.
            block = self._member.decompress(b"", STEP)
            if not block:
                break
            self._count(block)
            yield block
        if self._member is not None and self._member.eof:
            self._member = None

    def finish(self) -> None:
        """All has come. Raises InvalidInput when the end is missing."""
        if not self._begun or self._member is not None:
            raise _no_gzip("The gzip ends before its end: the upload was cut off.")

    def _count(self, block: bytes) -> None:
        self._out += len(block)
        if self._out > self._limit:
            raise PayloadTooLarge(f"Unpacked, the upload is over the limit of {self._limit} bytes.")
        if self._out > FREE and self._out > MAX_RATIO * self._in:
            raise PayloadTooLarge(
                f"The gzip unpacks to over {MAX_RATIO} times its size: send the rows in several files, or unpacked."
            )


def _past_zeros(rest: memoryview) -> memoryview:
    """Between members some writers leave zeros."""
    while rest:
        beginning = bytes(rest[:FIRST])
        zeros = len(beginning) - len(beginning.lstrip(b"\0"))
        rest = rest[zeros:]
        if zeros < len(beginning):
            break
    return rest


def _no_gzip(message: str) -> InvalidInput:
    return InvalidInput.of(Fault(("input_data",), "gzip", message))
