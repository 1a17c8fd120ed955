"""Delete jobs that have ended, with all that belongs to them: on their owner's word, or after their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import InvalidJobState, NotFound
from tensortrigger_backend.domain.jobs import Job, JobKind
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import BlobStore

log = structlog.get_logger(__name__)

EVERY: Final = 60.0
"""Seconds between two rounds."""
AT_ONCE: Final = 20
"""Jobs of each kind that one round deletes: it runs between other work."""


class Retention:
    """Several processes may do so at once: each job goes once.

    A job's rows go first. Should the process die before its blobs are gone, those belong to no job, and are found
    as such later.

    Args:
        days: for which a job is kept after its end.
        timer: seconds that pass whatever is done to the clock.
    """

    def __init__(
        self,
        jobs: JobStore,
        blobs: BlobStore,
        clock: Callable[[], float],
        days: float,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._clock = clock
        self._seconds = days * 86_400.0
        self._timer = timer
        self._next = 0.0

    def look_after(self) -> int:
        """Delete some of those jobs whose time is over; quick when it was done just now. How many."""
        moment = self._timer()
        if moment < self._next:
            return 0
        self._next = moment + EVERY
        before = self._clock() - self._seconds
        count, full = 0, False
        for kind in JobKind:
            old = self._jobs.ended_before(kind, before, AT_ONCE)
            full = full or len(old) == AT_ONCE
            count += sum(self._removed(job) for job in old)
        if full:
            self._next = moment
        if count:
            log.info("retention.deleted", jobs=count)
        return count

    def delete(self, principal: Principal, job_id: str) -> None:
        """Delete one job that has ended.

        Raises:
            NotFound: there is no such job.
            InvalidJobState: it has not ended.
        """
        principal.must(Scope.JOBS)
        job = self._jobs.get(job_id, principal.owner)
        if not job.state.final:
            raise InvalidJobState(
                f"Invalid job state: this job is {job.state}; cancel it first, then it can be deleted."
            )
        self._remove(job)

    def _removed(self, job: Job) -> bool:
        try:
            self._remove(job)
        except (NotFound, InvalidJobState):
            # Another process was quicker, or its owner has it tried again.
            return False
        return True

    def _remove(self, job: Job) -> None:
        self._jobs.remove(job.job_id, job.owner)
        self._blobs.delete(self._blobs.keys(f"jobs/{job.job_id}"))
