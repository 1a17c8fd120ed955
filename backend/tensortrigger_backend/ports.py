"""What the services need from the outside world, each a plain synchronous promise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.access import KeyRecord, TicketRecord
from tensortrigger_backend.domain.jobs import Claim, Job, Part, Reject, Slice, WakeUp
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature

Array = npt.NDArray[np.generic]


class Servable(Protocol):
    """A loaded model version, ready to answer. Safe to call from several threads at once."""

    @property
    def signature(self) -> Signature: ...

    @property
    def engine(self) -> str: ...

    def infer(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch.

        Args:
            inputs: every input of the signature by name, already of its dtype, batch axis first.

        Returns:
            every output of the signature by name, batch axis first.

        Raises:
            InvalidInput: a shape that the model cannot take.
            Unavailable: the engine's process died twice in a row on this batch.
        """

    def close(self) -> None:
        """Free what it holds. Safe to repeat."""


class Engine(Protocol):
    """Opens canonical servables, never what was uploaded."""

    def load(self, artifact: Path) -> Servable:
        """Open the servable file at ``artifact``; it may be removed once this returns."""

    def close(self) -> None:
        """End every process and free every servable. Safe to repeat."""


class Forge(Protocol):
    """Checks an untrusted upload, rebuilds it as a servable, and verifies that the two answer alike.

    Nothing else ever opens what was uploaded, and the caller's own process never does.
    """

    def forge(
        self, source: Path, target: Path, order: ForgeOrder, on_stage: Callable[[str], None]
    ) -> ForgeVerdict:
        """Judge ``source``; when accepted, the servable lies at ``target`` on return.

        Args:
            on_stage: told ``checking``, ``rebuilding``, ``verifying`` as each begins.

        Raises:
            NotInstalled: there is no TensorFlow on this machine.
            Unavailable: the forge could not run at all (not installed, no memory, killed, too slow); the
                upload was not judged, and asking again is safe.
        """

    def close(self) -> None:
        """End the forge's processes. Safe to repeat."""


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list, newest first, and the cursor of the next one (None on the last page)."""

    items: tuple[Item, ...]
    next_cursor: str | None


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
        """Store a new version, or find the one that the same idempotency key made before.

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


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An ``Idempotency-Key`` and a hash of the request that it came with."""

    key: str
    fingerprint: str

    def bound_to(self, *told: str) -> Idempotency:
        """The same key, bound to more of what makes two requests the same."""
        more = "\0".join((self.fingerprint, *told))
        return Idempotency(self.key, hashlib.sha256(more.encode()).hexdigest())


class JobStore(Protocol):
    """Jobs and their partitions: the truth of which messages are only wake-ups (SAFETY C)."""

    def add(self, job: Job, slices: Sequence[Slice], idempotency: Idempotency | None = None) -> Job:
        """Write job, partitions and outbox rows in one transaction, or find the job of the same idempotency key.

        Raises:
            Conflict: the idempotency key was used for another request.
        """

    def get(self, job_id: str, owner: str) -> Job: ...

    def page(self, owner: str, limit: int, cursor: str | None) -> Page[Job]: ...

    def outbox(self, limit: int) -> list[tuple[int, WakeUp]]:
        """Messages that were not sent yet, oldest first."""

    def sent(self, numbers: Sequence[int]) -> None: ...

    def claim(self, wake_up: WakeUp, worker: str, now: float, lease: float) -> Claim | None:
        """Compare-and-set: take the partition if it is queued, or claimed under a lease that has run out.

        None when there is nothing to do: done, claimed by another, cancelled, unknown.
        """

    def renew(self, claim: Claim, now: float, lease: float) -> bool:
        """False when the partition was lost to another worker or its job was cancelled: stop."""

    def commit(self, claim: Claim, part: Part, now: float) -> bool:
        """The commit point: one update, only where the fence still matches and the job still runs.

        False when the part came too late; nothing of it counts then.
        """

    def give_up(self, claim: Claim, reason: str, final: bool, now: float) -> None:
        """This attempt failed: queue the partition again, or fail it and its job when ``final`` or out of attempts."""

    def parts(self, job_id: str) -> list[tuple[Slice, Part]]:
        """Committed parts in row order."""

    def all_done(self, job_id: str) -> bool:
        """Whether every partition is done and the job still runs."""

    def finish(self, job_id: str, now: float) -> bool:
        """Succeed, if every partition is done and the job still runs."""

    def cancel(self, job_id: str, owner: str, now: float) -> Job:
        """Cancel unless final already; safe to repeat."""

    def retry(self, job_id: str, owner: str, now: float) -> Job:
        """Queue what failed again, with new attempts. Raises InvalidJobState unless the job failed."""

    def sweep(self, now: float, unsent_for: float) -> int:
        """Put partitions whose lease has run out, and queued ones that were told ``unsent_for`` seconds ago or
        longer, back into the outbox. Partitions that ran out of attempts fail with their job. How many."""

    def complete_unfinished(self) -> list[str]:
        """Running jobs all of whose partitions are done: their last worker died between commit and finish."""

    def abandon(self, workers: Sequence[str]) -> int:
        """End the leases of workers that are known to be dead. How many."""

    def claimants(self) -> list[str]:
        """Workers that hold a lease of an open job."""


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


class Delivery(Protocol):
    """A message in the hands of one worker."""

    @property
    def wake_up(self) -> WakeUp: ...

    def ack(self) -> None:
        """Done with it: it will not come again."""

    def nack(self) -> None:
        """Not done: it comes again, to anyone."""


class Queue(Protocol):
    """Brings wake-ups to workers, each at least once."""

    def publish(self, wake_up: WakeUp) -> None:
        """Returns when the queue has taken it. Raises Unavailable."""

    def receive(self, timeout: float) -> Delivery | None:
        """The next message, or None after ``timeout`` seconds."""

    def depth(self) -> int:
        """Messages waiting or unacknowledged."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one slice that can be scored, and those that cannot.

    Attributes:
        values: shape (n, inputs), float64, in schema order.
        rows: shape (n,), int64: the data row of each.
        rejects: sorted by row.
    """

    values: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    rejects: tuple[Reject, ...]


class RowReader(Protocol):
    """Reads a slice of a CSV upload."""

    def read(self, data: bytes, columns: Sequence[str], schema: VectorSchema, slice_: Slice) -> RowBatch:
        """Every record of the slice becomes a row or a reject; columns are matched by name."""


class PartFormat(Protocol):
    """How results and rejects of a partition are laid down in blobs."""

    def encode(self, rows: npt.NDArray[np.int64], outputs: Mapping[str, npt.NDArray[Any]]) -> bytes: ...

    def decode(self, data: bytes) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]: ...

    def encode_rejects(self, rejects: Sequence[Reject]) -> bytes: ...

    def decode_rejects(self, data: bytes) -> list[Reject]: ...


class GuestChild(Protocol):
    """A running guest process: it has TensorFlow, opens what others made, and is trusted with nothing."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> BinaryIO:
        """What the guest reads; closing it tells the guest to leave."""

    @property
    def stdout(self) -> BinaryIO:
        """What the guest answers. Its words are untrusted: read with a bound, parse with suspicion."""

    def allow(self, seconds: float | None) -> None:
        """From now on the guest has this long before it is killed; None takes the limit away."""

    @property
    def alive(self) -> bool: ...

    @property
    def cause_of_death(self) -> str:
        """``time`` or ``memory`` where a limit ended it; else empty."""

    def last_words(self) -> str:
        """The tail of what it wrote to stderr, for the log and never for the caller."""

    def kill(self) -> None:
        """End the guest and all it started, at once; returns when it is gone. Safe to repeat."""


class ChildLauncher(Protocol):
    """The sandbox: how a guest process is started, and what it is kept from."""

    def launch(self, module: str, scratch: Path) -> GuestChild:
        """Start ``main()`` of an importable module by exec of an interpreter, never by fork alone.

        The guest has an emptied environment, ``scratch`` as its home and working folder, low priority and a
        memory limit, and it dies with this process.

        Args:
            module: its dotted name.
            scratch: an existing folder, the only one that the guest may write to.

        Raises:
            Unavailable: it could not be started.
        """

    def close(self) -> None:
        """Kill every guest still running. Safe to repeat."""
