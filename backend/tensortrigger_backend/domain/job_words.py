"""What a job's owner is told of its course: what failed and why, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tensortrigger_backend.domain.jobs import INTAKE, Job, JobKind, JobState

NAMED: Final = 5
"""Partitions that a failed job names; of the others it tells how many there are."""

CAUSE: Final = 1000
"""Characters of a cause that are kept."""

NO_WORKER_LIVED: Final = "Its worker died or lost its lease each time."


@dataclass(frozen=True, slots=True)
class FailedPartition:
    """A partition that failed for good."""

    number: int
    attempts: int
    cause: str


def part_of_job(number: int, kind: JobKind) -> str:
    """What a partition is called where a sentence begins."""
    if kind is JobKind.TRAIN:
        return "Training"
    return "Fetching the rows" if number == INTAKE else f"Partition {number}"


def times(attempts: int) -> str:
    """So many attempts, in words."""
    return _count(attempts, "attempt")


def pieces(partitions: int) -> str:
    """So many partitions, in words."""
    return _count(partitions, "partition")


def why_failed(failed: Sequence[FailedPartition], count: int, kind: JobKind) -> str:
    """The error of a job of which ``count`` partitions failed, the first of them in ``failed``."""
    told = [
        f"{part_of_job(one.number, kind)} failed after {times(one.attempts)}: {one.cause}"
        for one in failed[:NAMED]
    ]
    if count == 1:
        return told[0]
    more = count - len(told)
    if more:
        told.append(f"And {more} more.")
    return f"{count} partitions failed. " + " ".join(told)


def why_not_retried(job: Job) -> str:
    """To whoever wants to retry a job that has ended, but has not failed."""
    ended = "was cancelled" if job.state is JobState.CANCELLED else f"has {job.state}"
    return f"Invalid job state: only a failed job can be retried, this one {ended}."


def how_it_ended(job: Job) -> str:
    """The last line of a job's log."""
    if job.state is JobState.CANCELLED:
        return f"Cancelled with {job.rows_done:,} of {job.rows_total:,} rows done."
    if job.state is JobState.FAILED:
        return f"Failed with {job.rows_done:,} of {job.rows_total:,} rows done. {job.error}"
    if job.kind is JobKind.TRAIN:
        return f"Succeeded{_seconds(job)}."
    rejected = f", {job.rows_rejected:,} of them rejected," if job.rows_rejected else ""
    pace = f" ({job.rate:,.0f} rows/s)" if job.rate else ""
    return (
        f"Succeeded: {job.rows_done:,} rows{rejected}{_seconds(job)}{pace}, "
        f"{pieces(job.partitions_done)} in {times(job.attempts)}."
    )


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _seconds(job: Job) -> str:
    if job.started is None or job.finished is None:
        return ""
    return f" in {max(job.finished - job.started, 0.0):.1f} s"
