"""What jobs need: their store, a queue for wake-ups, and the formats of rows and parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.jobs import (
    Claim,
    Job,
    JobKind,
    JobState,
    Part,
    Reject,
    Slice,
    WakeUp,
)
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.storage import Idempotency, Page


class JobStore(Protocol):
    """Jobs and their partitions: the truth of which messages are only wake-ups (SAFETY C)."""

    def add(self, job: Job, slices: Sequence[Slice], idempotency: Idempotency | None = None) -> Job:
        """Write job, partitions and outbox rows in one transaction, or find the job of the same idempotency key.

        Raises:
            Conflict: the idempotency key was used for another request.
        """

    def get(self, job_id: str, owner: str) -> Job: ...

    def page(
        self,
        owner: str,
        limit: int,
        cursor: str | None,
        kind: JobKind | None = None,
        state: JobState | None = None,
    ) -> Page[Job]:
        """Newest first. Raises InvalidInput for a bad cursor."""

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

    def hand_back(self, claim: Claim, now: float) -> None:
        """Queue the partition again for whoever comes next; this attempt does not count."""

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
