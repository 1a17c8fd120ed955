"""Where keys and bytes are kept, and what every store shares: pages and idempotency keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

from tensortrigger_backend.domain.access import KeyRecord, TicketRecord

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list, newest first, and the cursor of the next one (None on the last page)."""

    items: tuple[Item, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An ``Idempotency-Key`` and a hash of the request that it came with."""

    key: str
    fingerprint: str

    def bound_to(self, *told: str) -> Idempotency:
        """The same key, bound to more of what makes two requests the same."""
        more = "\0".join((self.fingerprint, *told))
        return Idempotency(self.key, hashlib.sha256(more.encode()).hexdigest())


class BlobWriter(Protocol):
    """A blob being written; it appears only with ``commit``, whole and durable."""

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str:
        """Of what was written so far. Raises ValueError for a writer that was opened without."""

    def write(self, data: bytes) -> None: ...

    def commit(self, key: str | None = None) -> None:
        """Let it appear.

        Args:
            key: where, for a writer that was not told before. The same key again replaces the blob whole.
        """

    def abort(self) -> None:
        """Leave nothing behind. Safe to repeat, and after ``commit`` without effect."""


class BlobStore(Protocol):
    """Immutable byte strings under keys of ``/``-separated names."""

    def writer(self, key: str | None = None, hashed: bool = True) -> BlobWriter:
        """Begin a blob; with None its key is told at ``commit``, when all its bytes are known.

        Args:
            hashed: False where nobody asks for its SHA-256, which is a third of the work of writing.
        """

    def put(self, key: str, data: bytes) -> None:
        """Write at once; the same key again replaces it whole."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Write at once where no blob is yet: of several at the same time, one is told True, the others False."""

    def keep(self, key: str, path: Path) -> tuple[str, int]:
        """Copy a file in, however large, block by block; its SHA-256 and size."""

    def open(self, key: str) -> BinaryIO:
        """Raises NotFound."""

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Raises NotFound."""

    def fetch(self, key: str, target: Path) -> None:
        """Put a private copy at ``target``. Raises NotFound."""

    def presign(self, key: str, seconds: float) -> str | None:
        """A URL to which one PUT may write this blob, until it expires; None where the store is not reached by URL."""

    def delete(self, keys: Iterable[str]) -> None:
        """Missing keys are no error."""

    def keys(self, prefix: str, written_before: float | None = None) -> list[str]:
        """All keys below a prefix, sorted; only those last written before a time where one is given."""

    def half_written_by(self) -> list[str]:
        """Names of the processes that have begun blobs and neither committed nor aborted them."""

    def sweep_incoming(self, dead: Sequence[str]) -> None:
        """Remove what these processes left half-written."""

    def close(self) -> None:
        """Let go of connections. Safe to repeat."""


class KeyStore(Protocol):
    """API keys and tickets."""

    def any_keys(self) -> bool:
        """Whether a key was ever made: revoking the last one does not open the door again."""

    def add_key(self, key: KeyRecord) -> None: ...

    def key(self, key_id: str) -> KeyRecord | None: ...

    def all_keys(self) -> list[KeyRecord]: ...

    def revoke_key(self, key_id: str, now: float) -> None:
        """Raises NotFound."""

    def add_ticket(self, ticket: TicketRecord) -> None: ...

    def ticket(self, ticket_id: str) -> TicketRecord | None:
        """None also where it is used up."""

    def use_ticket(self, ticket_id: str, now: float) -> bool:
        """True for exactly one caller, and only before it expires."""
