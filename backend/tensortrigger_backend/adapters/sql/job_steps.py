"""What a step of a partition does to its job: the sums move on, and when nothing is left to do the job ends.

Whoever changes partitions locks these first and the job's row after them, so that no two wait for each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from tensortrigger_backend.adapters.sql.job_log import write_line
from tensortrigger_backend.adapters.sql.job_rows import job_of
from tensortrigger_backend.adapters.sql.lease_conditions import FAILED, OPEN, QUEUED
from tensortrigger_backend.adapters.sql.tables import jobs, outbox, partitions, webhooks
from tensortrigger_backend.domain.job_words import NAMED, FailedPartition, how_it_ended, why_failed
from tensortrigger_backend.domain.jobs import JobKind, JobState, Slice
from tensortrigger_backend.domain.webhooks import body_of

_LEVELS: Final = {JobState.SUCCEEDED: "info", JobState.CANCELLED: "warning", JobState.FAILED: "error"}


class TooLate(Exception):
    """The job has ended meanwhile: nothing of the transaction counts."""


def move(
    connection: Connection,
    job_id: str,
    now: float,
    queued: int = 0,
    claimed: int = 0,
    done: int = 0,
    failed: int = 0,
    **values: Any,
) -> None:
    """So many partitions more, or less, are in each state.

    Args:
        values: other columns of the job.

    Raises:
        TooLate: the job is not open.
    """
    row = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state.in_(OPEN))
        .values(
            partitions_total=jobs.c.partitions_total + queued + claimed + done + failed,
            partitions_queued=jobs.c.partitions_queued + queued,
            partitions_claimed=jobs.c.partitions_claimed + claimed,
            partitions_done=jobs.c.partitions_done + done,
            partitions_failed=jobs.c.partitions_failed + failed,
            last_updated=now,
            **values,
        )
        .returning(
            jobs.c.kind,
            jobs.c.partitions_queued,
            jobs.c.partitions_claimed,
            jobs.c.partitions_failed,
        )
    ).one_or_none()
    if row is None:
        raise TooLate
    if row.partitions_failed and not row.partitions_queued and not row.partitions_claimed:
        first = connection.execute(
            select(partitions.c.number, partitions.c.attempts, partitions.c.error)
            .where(partitions.c.job_id == job_id, partitions.c.state == FAILED)
            .order_by(partitions.c.number)
            .limit(NAMED)
        )
        named = [FailedPartition(one.number, one.attempts, one.error or "") for one in first]
        error = why_failed(named, row.partitions_failed, JobKind(row.kind))
        end(connection, job_id, JobState.FAILED, now, error)


def end(
    connection: Connection, job_id: str, state: JobState, now: float, error: str | None = None, **values: Any
) -> bool:
    """Let a job end that is open, with the last line of its log and the webhook that is owed; whether it was."""
    ended = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state.in_(OPEN))
        .values(state=str(state), error=error, finished=now, last_updated=now, **values)
    )
    if ended.rowcount != 1:
        return False
    job = job_of(connection, job_id)
    write_line(connection, job_id, _LEVELS[state], how_it_ended(job), now, always=True)
    if job.options.webhook is not None:
        # A job that was tried again is told of again.
        connection.execute(delete(webhooks).where(webhooks.c.job_id == job_id))
        connection.execute(
            insert(webhooks).values(
                job_id=job_id,
                owner=job.owner,
                message_id=secrets.token_hex(16),
                url=job.options.webhook,
                body=body_of(job),
                attempts=0,
                due=now,
            )
        )
    return True


def tell(connection: Connection, told: Sequence[tuple[str, str, int]]) -> None:
    """Put wake-ups into the outbox, told as (owner, job id, number of the partition)."""
    if told:
        connection.execute(
            insert(outbox),
            [{"owner": owner, "job_id": job_id, "partition": number} for owner, job_id, number in told],
        )


def queue(connection: Connection, owner: str, job_id: str, slices: Sequence[Slice], now: float) -> None:
    """Write partitions that wait, with their wake-ups."""
    if not slices:
        return
    connection.execute(
        insert(partitions),
        [
            {
                "job_id": job_id,
                "number": slice_.number,
                "owner": owner,
                "offset": slice_.offset,
                "length": slice_.length,
                "first_row": slice_.first_row,
                "rows": slice_.rows,
                "first_line": slice_.first_line,
                "state": QUEUED,
                "attempts": 0,
                "claims": 0,
                "fence": 0,
                "told": now,
                "rows_scored": 0,
                "rows_rejected": 0,
                "non_finite": 0,
            }
            for slice_ in slices
        ],
    )
    tell(connection, [(owner, job_id, slice_.number) for slice_ in slices])
