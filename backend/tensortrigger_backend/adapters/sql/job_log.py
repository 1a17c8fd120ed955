"""A line in a job's log, written with whatever it tells of; a log is of bounded length."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, insert, update

from tensortrigger_backend.adapters.sql.tables import job_log, jobs

MOST_LINES: Final = 1000
"""Of one job; then one line says that more is left out, and only how the job ends is still told."""


def write_line(
    connection: Connection,
    job_id: str,
    level: str,
    message: str,
    now: float,
    partition: int | None = None,
    always: bool = False,
) -> None:
    """Write it in the transaction at hand, which locks the job's row. Without effect where there is no such job.

    Args:
        always: however much was told before.
    """
    lines = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id)
        .values(log_lines=jobs.c.log_lines + 1)
        .returning(jobs.c.log_lines)
    ).scalar()
    if lines is None:
        return
    if lines > MOST_LINES and not always:
        if lines > MOST_LINES + 1:
            return
        level, partition = "warning", None
        message = f"{MOST_LINES} lines were written; what comes between here and the job's end is left out."
    connection.execute(
        insert(job_log).values(job_id=job_id, partition=partition, at=now, level=level, message=message)
    )
