"""Rows of the job tables as the domain's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from tensortrigger_backend.adapters.sql.tables import jobs, partitions
from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.domain.jobs import RATE_WINDOW, Job, JobKind, JobState, PartitionState, Slice


def slice_of(row: Row[Any]) -> Slice:
    """A partition's slice of the upload."""
    return Slice(row.number, row.offset, row.length, row.first_row, row.rows, row.first_line)


def job_of(connection: Connection, job_id: str, owner: str | None = None) -> Job:
    """A job with the sums over its partitions.

    Raises:
        NotFound: there is none of this owner (None: of anybody).
    """
    found = jobs_of(connection, [job_id])
    if not found or (owner is not None and found[0].owner != owner):
        raise NotFound(f"There is no job {job_id[:80]!r}.")
    return found[0]


def jobs_of(connection: Connection, job_ids: Sequence[str]) -> list[Job]:
    """Those of these jobs that there are, in the order asked for; three queries, however many jobs."""
    rows = {row.job_id: row for row in connection.execute(select(jobs).where(jobs.c.job_id.in_(job_ids)))}
    done = partitions.c.state == str(PartitionState.DONE)
    sums = (
        select(
            partitions.c.job_id,
            func.count().label("total"),
            func.coalesce(func.sum(partitions.c.claims), 0).label("attempts"),
            func.count().filter(done).label("done"),
            func.coalesce(func.sum(partitions.c.rows).filter(done), 0).label("rows_done"),
            func.coalesce(func.sum(partitions.c.rows_rejected).filter(done), 0).label("rejected"),
            func.max(partitions.c.committed).filter(done).label("latest"),
        )
        .where(partitions.c.job_id.in_(job_ids))
        .group_by(partitions.c.job_id)
    )
    by_job = {row.job_id: row for row in connection.execute(sums)}
    latest = sums.subquery()
    recent = (
        select(
            partitions.c.job_id,
            func.sum(partitions.c.rows).label("rows"),
            func.min(partitions.c.claimed).label("since"),
        )
        .join(latest, latest.c.job_id == partitions.c.job_id)
        .where(done, partitions.c.committed > latest.c.latest - RATE_WINDOW)
        .group_by(partitions.c.job_id)
    )
    rates = {
        row.job_id: float(row.rows) / max(by_job[row.job_id].latest - row.since, 1e-3)
        for row in connection.execute(recent)
    }
    return [_job(rows[job_id], by_job.get(job_id), rates.get(job_id)) for job_id in job_ids if job_id in rows]


def _job(row: Row[Any], sums: Row[Any] | None, rate: float | None) -> Job:
    """A job of its row; ``sums`` is None where it has no partitions."""
    return Job(
        job_id=row.job_id,
        owner=row.owner,
        model_id=row.model_id,
        state=JobState(row.state),
        upload_key=row.upload_key,
        upload_size=row.upload_size,
        columns=tuple(row.columns),
        output_columns=dict(row.output_columns),
        named_outputs=row.named_outputs,
        rows_total=row.rows_total,
        created=row.created,
        last_updated=row.last_updated,
        started=row.started,
        finished=row.finished,
        error=row.error,
        rows_done=int(sums.rows_done) if sums else 0,
        rows_rejected=int(sums.rejected) if sums else 0,
        partitions_total=sums.total if sums else 0,
        partitions_done=sums.done if sums else 0,
        attempts=int(sums.attempts) if sums else 0,
        rate=rate,
        kind=JobKind(row.kind),
        model_name=row.model_name,
        model_version=row.model_version,
        training=row.training,
        trained=row.trained,
    )
