"""Where models, keys and bytes are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

from tensortrigger_backend.domain.access import KeyRecord, TicketRecord
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict

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
    """A blob being written; it appears under its key only with ``commit``, whole and durable."""

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    def write(self, data: bytes) -> None: ...

    def commit(self) -> None: ...

    def abort(self) -> None:
        """Leave nothing behind. Safe to repeat, and after ``commit`` without effect."""


class BlobStore(Protocol):
    """Immutable byte strings under keys of ``/``-separated names."""

    def writer(self, key: str) -> BlobWriter: ...

    def put(self, key: str, data: bytes) -> None:
        """Write at once; the same key again replaces it whole."""

    def keep(self, key: str, path: Path) -> tuple[str, int]:
        """Copy a file in, however large, block by block; its SHA-256 and size."""

    def open(self, key: str) -> BinaryIO:
        """Raises NotFound."""

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Raises NotFound."""

    def fetch(self, key: str, target: Path) -> None:
        """Put a private copy at ``target``. Raises NotFound."""

    def delete(self, keys: Iterable[str]) -> None:
        """Missing keys are no error."""

    def keys(self, prefix: str) -> list[str]:
        """All keys below a prefix, sorted."""


class ModelStore(Protocol):
    """Versions of models, each of one owner. Nobody sees what another owns: it is NotFound."""

    def add(self, version: ModelVersion, idempotency: Idempotency | None = None) -> ModelVersion:
        """Store a new version, or find the one of that id, or the one that the same idempotency key made before.

        Raises:
            Conflict: the idempotency key was used for another request.
        """

    def get(self, model_id: str, owner: str | None) -> ModelVersion:
        """One version; with owner None whoever owns it, also one that was removed. Raises NotFound."""

    def by_name(self, owner: str, name: str, version: int | None) -> ModelVersion:
        """A version of a name; with None the latest ready one. Raises NotFound, naming the latest."""

    def page(
        self, owner: str, name: str | None, state: VersionState | None, limit: int, cursor: str | None
    ) -> Page[ModelVersion]:
        """Newest first; refused ones only when asked for by state. Raises InvalidInput for a bad cursor."""

    def advance(self, model_id: str, state: VersionState) -> None: ...

    def make_ready(
        self, model_id: str, verdict: ForgeVerdict, servable_key: str, servable_sha256: str
    ) -> ModelVersion:
        """Give it the next number of its name. Raises NotFound when it was removed meanwhile."""

    def refuse(self, model_id: str, verdict: ForgeVerdict) -> None: ...

    def remove(self, model_id: str, owner: str, now: float) -> ModelVersion:
        """Hide it from its owner. Raises NotFound."""

    def discard(self, model_id: str) -> None:
        """Forget it entirely. Safe to repeat."""

    def unsettled(self) -> list[ModelVersion]:
        """Uploads that were accepted and not yet judged, oldest first."""

    def removed_unused(self) -> list[ModelVersion]:
        """Removed versions that no unfinished job needs any more."""


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

    def ticket(self, ticket_id: str) -> TicketRecord | None: ...

    def use_ticket(self, ticket_id: str, now: float) -> bool:
        """True for exactly one caller, and only before it expires."""
