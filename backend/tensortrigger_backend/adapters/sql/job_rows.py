"""Rows of the job tables as the domain's values."""

from __future__ import annotations

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
    row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).one_or_none()
    if row is None or (owner is not None and row.owner != owner):
        raise NotFound(f"There is no job {job_id[:80]!r}.")
    of_job = partitions.c.job_id == job_id
    done = partitions.c.state == str(PartitionState.DONE)
    sums = connection.execute(
        select(
            func.count().label("total"),
            func.coalesce(func.sum(partitions.c.claims), 0).label("attempts"),
            func.count().filter(done).label("done"),
            func.coalesce(func.sum(partitions.c.rows).filter(done), 0).label("rows_done"),
            func.coalesce(func.sum(partitions.c.rows_rejected).filter(done), 0).label("rejected"),
            func.max(partitions.c.committed).filter(done).label("latest"),
        ).where(of_job)
    ).one()
    rate = None
    if sums.latest is not None:
        recent = connection.execute(
            select(
                func.sum(partitions.c.rows).label("rows"), func.min(partitions.c.claimed).label("since")
            ).where(of_job, done, partitions.c.committed > sums.latest - RATE_WINDOW)
        ).one()
        rate = float(recent.rows) / max(sums.latest - recent.since, 1e-3)
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
        rows_done=int(sums.rows_done),
        rows_rejected=int(sums.rejected),
        partitions_total=sums.total,
        partitions_done=sums.done,
        attempts=int(sums.attempts),
        rate=rate,
        kind=JobKind(row.kind),
        model_name=row.model_name,
        model_version=row.model_version,
        training=row.training,
        trained=row.trained,
    )
