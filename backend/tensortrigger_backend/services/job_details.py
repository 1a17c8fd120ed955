"""What happens inside a job, as its owner sees it: its partitions, and its log."""

from __future__ import annotations

from collections.abc import Collection

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.jobs import LogEntry, PartitionState, PartitionStatus
from tensortrigger_backend.ports.jobs import JobStore


class JobDetails:
    """Reads only."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def partitions(
        self,
        principal: Principal,
        job_id: str,
        after: int,
        limit: int,
        states: Collection[PartitionState] = (),
    ) -> tuple[PartitionStatus, ...]:
        """Partitions whose numbers are above ``after``, in order; of ``states`` only, where there are any.

        Raises NotFound.
        """
        self._must_own(principal, job_id)
        return tuple(self._jobs.partitions(job_id, after, limit, states))

    def log(self, principal: Principal, job_id: str, after: int, limit: int) -> tuple[LogEntry, ...]:
        """The log after the entry of that number, oldest first. Raises NotFound."""
        self._must_own(principal, job_id)
        return tuple(self._jobs.log(job_id, after, limit))

    def _must_own(self, principal: Principal, job_id: str) -> None:
        principal.must(Scope.READ)
        self._jobs.get(job_id, principal.owner)
