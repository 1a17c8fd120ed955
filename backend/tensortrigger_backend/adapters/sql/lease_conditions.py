"""When may a worker change a partition? Conditions that make its updates compare-and-set."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import and_, select

from tensortrigger_backend.adapters.sql.tables import jobs, partitions
from tensortrigger_backend.domain.jobs import Claim, JobState, PartitionState

OPEN: Final = (str(JobState.QUEUED), str(JobState.RUNNING))
QUEUED, CLAIMED, DONE, FAILED = (str(state) for state in PartitionState)


def is_partition(job_id: str, number: int) -> Any:
    """The one partition."""
    return and_(partitions.c.job_id == job_id, partitions.c.number == number)


def holds(claim: Claim) -> Any:
    """The partition is still this claim's: the fence decides, not the clock."""
    return and_(
        is_partition(claim.job_id, claim.slice.number),
        partitions.c.state == CLAIMED,
        partitions.c.fence == claim.fence,
    )


def job_open(job_id: str) -> Any:
    """The job has not ended."""
    return select(jobs.c.job_id).where(jobs.c.job_id == job_id, jobs.c.state.in_(OPEN)).exists()
