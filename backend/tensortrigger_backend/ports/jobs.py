"""What jobs need: their store, a queue for wake-ups, and the formats of rows and parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from tensortrigger_backend.domain.jobs import (
    Claim,
    Cut,
    Job,
    JobKind,
    JobState,
    LogEntry,
    Part,
    PartitionState,
    PartitionStatus,
    Slice,
    WakeUp,
)
from tensortrigger_backend.ports.storage import Idempotency, Page


class JobStore(Protocol):
    """Jobs and their partitions: the truth of which messages are only wake-ups (docs/jobs.md)."""

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

    def outbox(self, limit: int) -> list[WakeUp]:
        """Messages of open jobs that were not sent yet, oldest first."""

    def relay(self, limit: int, send: Callable[[WakeUp], None]) -> int:
        """Send the oldest messages, as many as take about a second, and forget them; how many they were, those of
        ended jobs included. None are left for this relay when it is 0.

        Several relays share the work. Whoever dies at it, or is refused, leaves the rest; what was sent just before
        may be sent again.

        Raises:
            Unavailable: ``send`` raised it. What it had taken before is forgotten all the same.
        """

    def claim(self, wake_up: WakeUp, worker: str, now: float, lease: float) -> Claim | None:
        """Compare-and-set: take a partition that is queued, or claimed under a lease that has run out.

        A wake-up says that there is work of its kind. Which partition is taken the store decides, so that no huge
        job holds up small ones: of the owner with the fewest partitions in work (of several, the one served least
        recently), the job of the highest priority, the oldest first.

        None when there is nothing to do.
        """

    def cut(self, claim: Claim, cut: Cut, now: float) -> bool:
        """The commit point of an intake: its partition is done, and the job has these partitions from now on.

        One transaction, only where the fence still matches and the job still runs; False when it came too late.
        """

    def renew(self, claim: Claim, now: float, lease: float, rows_done: int | None = None) -> bool:
        """False when the partition was lost to another worker or its job was cancelled: stop.

        Args:
            rows_done: rows of the partition that this attempt has scored so far.
        """

    def commit(self, claim: Claim, part: Part, now: float) -> bool:
        """The commit point: one update, only where the fence still matches and the job still runs.

        False when the part came too late; nothing of it counts then.
        """

    def hand_back(self, claim: Claim, now: float) -> None:
        """Queue the partition again for whoever comes next; this attempt does not count."""

    def give_up(self, claim: Claim, reason: str, final: bool, now: float, wait: float = 0.0) -> None:
        """This attempt failed: queue the partition again, or fail it when ``final`` or out of attempts.

        The job goes on with its other partitions, and fails when nothing else is left to do.

        Args:
            wait: seconds until the partition may be claimed again.
        """

    def parts(self, job_id: str) -> list[tuple[Slice, Part]]:
        """Committed parts in row order."""

    def all_done(self, job_id: str) -> bool:
        """Whether every partition is done and the job still runs."""

    def finish(self, job_id: str, now: float) -> bool:
        """Succeed, if every partition is done and the job still runs.

        A job of which rows are missing, or too many, fails instead.
        """

    def cancel(self, job_id: str, owner: str, now: float) -> Job:
        """Cancel unless final already; safe to repeat."""

    def retry(self, job_id: str, owner: str, now: float) -> Job:
        """Queue what failed again, and only that, with new attempts. Raises InvalidJobState unless the job failed."""

    def sweep(self, now: float) -> int:
        """Put lost work back into the outbox: partitions whose lease has run out, and those whose time to be tried
        again has come. Partitions that ran out of attempts fail. How many."""

    def tell_again(self, kind: JobKind, in_line: int, told_before: float, now: float) -> int:
        """Where the queue holds fewer messages, ``in_line``, than partitions are queued, put as many as are missing
        into the outbox, of those that were told before a time. How many."""

    def complete_unfinished(self) -> list[str]:
        """Running jobs all of whose partitions are done: their last worker died between commit and finish."""

    def untidied(self, before: float, limit: int) -> list[Job]:
        """Jobs that ended before a time, oldest first, whose dead attempts may have left something behind."""

    def tidied(self, job_id: str, now: float) -> None:
        """Nothing is left behind of this job's dead attempts."""

    def abandon(self, workers: Sequence[str]) -> int:
        """End the leases of workers that are known to be dead. How many."""

    def claimants(self) -> list[str]:
        """Workers that hold a lease of an open job."""

    def unknown(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these ids that no job has."""

    def partitions(
        self, job_id: str, after: int, limit: int, states: Collection[PartitionState] = ()
    ) -> list[PartitionStatus]:
        """The job's partitions whose numbers are above ``after``, in order; of ``states`` only, where there are any."""

    def log(self, job_id: str, after: int, limit: int) -> list[LogEntry]:
        """The job's log after the entry of that number, oldest first."""

    def note(self, job_id: str, level: str, message: str, partition: int | None, now: float) -> None:
        """Write a line into the job's log; what the store does itself it logs itself."""

    def waiting(self) -> Mapping[JobKind, int]:
        """Partitions of open jobs that are queued or in work, by kind: what autoscaling goes by."""

    def remove(self, job_id: str, owner: str) -> Job:
        """Delete an ended job with its log. Its blobs are the caller's to free.

        Raises:
            NotFound: there is none.
            InvalidJobState: it has not ended.
        """

    def ended_before(self, kind: JobKind, then: float, limit: int) -> list[Job]:
        """Jobs that ended before a time, oldest first: for retention."""


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
        """Messages that wait, and those that this process has in hand."""

    def close(self) -> None: ...
