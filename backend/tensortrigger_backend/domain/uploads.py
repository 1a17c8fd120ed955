"""An upload: bytes that arrive piece by piece, until a model version is made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.errors import Fault, InvalidInput, PayloadTooLarge, WrongOffset

PART_BYTES: Final = 8 << 20
"""What arrived is kept in parts of so many bytes: so much is sent again at most after a crash of the server."""
OPEN_UPLOADS: Final = 32
"""How many uploads one owner may have at once."""
LIVES_FOR: Final = 24 * 3600.0
"""Seconds after its last byte, or its last use, for which an upload is kept."""

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Upload:
    """What is known of an upload.

    Attributes:
        size: bytes in all, where the caller said so.
        sha256: of all bytes, where the caller said so.
        offset: bytes that have arrived and are kept.
        touched: when it was begun, grew, or was last used; UTC seconds since the epoch.
        ticket_id: the ticket that began it; None for a key.
        model_id: the version that was last made of it.
    """

    upload_id: str
    owner: str
    created: float
    touched: float
    offset: int = 0
    size: int | None = None
    sha256: str | None = None
    ticket_id: str | None = None
    model_id: str | None = None

    def open_to(self, principal: Principal) -> bool:
        """Whether this caller may see it: a ticket sees only what it began itself."""
        return self.owner == principal.owner and principal.ticket_id in (None, self.ticket_id)

    def must_continue_at(self, offset: int) -> None:
        """Raise Conflict, with the right ``offset``, unless the next byte is that one."""
        if offset != self.offset:
            raise WrongOffset(self.offset)

    def room(self, limit: int) -> int:
        """How many bytes more it takes."""
        return (limit if self.size is None else min(self.size, limit)) - self.offset

    def overflow(self, limit: int) -> PayloadTooLarge:
        """What is said to somebody who sends more than there is room for."""
        if self.size is not None and self.size <= limit:
            return PayloadTooLarge(f"This upload was announced with {self.size} bytes; more came.")
        return PayloadTooLarge(f"An upload may have up to {limit} bytes.")

    def must_be_whole(self) -> None:
        """Raise unless a model can be made of it."""
        if self.size is not None and self.offset < self.size:
            raise InvalidInput.of(
                Fault(
                    ("upload_id",),
                    "upload_incomplete",
                    f"This upload has {self.offset} of its {self.size} bytes: send the rest, then publish.",
                    str(self.size),
                    str(self.offset),
                )
            )
        if not self.offset:
            raise InvalidInput.of(
                Fault(("upload_id",), "empty", "Nothing was uploaded yet.", "a model file", "0 bytes")
            )


@dataclass(frozen=True, slots=True)
class UploadPart:
    """Bytes ``offset`` to ``offset + size`` of an upload, and the blob that holds them."""

    offset: int
    size: int
    key: str


def announced_size(size: object, limit: int) -> int | None:
    """The ``size`` that a caller announces. Raises InvalidInput, PayloadTooLarge."""
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidInput.of(
            Fault(
                ("size",), "type", "size must be the number of bytes to come.", "1 or more", repr(size)[:80]
            )
        )
    if size > limit:
        raise PayloadTooLarge(f"An upload may have up to {limit} bytes, not {size}.")
    return size


def announced_sha256(sha256: object) -> str | None:
    """The ``sha256`` that a caller announces, in lower case. Raises InvalidInput."""
    if sha256 is None:
        return None
    if not isinstance(sha256, str) or not _SHA256.match(sha256.lower()):
        raise InvalidInput.of(
            Fault(
                ("sha256",), "sha256", "sha256 must be 64 hexadecimal digits.", "64 digits", repr(sha256)[:80]
            )
        )
    return sha256.lower()
