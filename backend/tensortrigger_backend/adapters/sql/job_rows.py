"""Rows of the job tables as the domain's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from tensortrigger_backend.adapters.sql.tables import jobs, partitions
from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.domain.job_options import JobOptions
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState, PartitionState, Slice
from tensortrigger_backend.domain.pace import Pace


def slice_of(row: Row[Any]) -> Slice:
    """A partition's slice of the upload."""
    return Slice(row.number, row.offset, row.length, row.first_row, row.rows, row.first_line)


def job_of(connection: Connection, job_id: str, owner: str | None = None) -> Job:
    """A job with the sums over its partitions, all of one row.

    Raises:
        NotFound: there is none of this owner (None: of anybody).
    """
    found = jobs_of(connection, [job_id])
    if not found or (owner is not None and found[0].owner != owner):
        raise NotFound(f"There is no job {job_id[:80]!r}.")
    return found[0]


def jobs_of(connection: Connection, job_ids: Sequence[str]) -> list[Job]:
    """Those of these jobs that there are, in the order asked for."""
    rows = {row.job_id: row for row in connection.execute(select(jobs).where(jobs.c.job_id.in_(job_ids)))}
    busy = [
        job_id for job_id, row in rows.items() if row.partitions_claimed and not JobState(row.state).final
    ]
    work: dict[str, Any] = {}
    if busy:
        in_work = (
            select(
                partitions.c.job_id,
                func.sum(partitions.c.rows_done).label("rows"),
                func.min(partitions.c.claimed).label("since"),
                func.max(partitions.c.told).label("told"),
            )
            .where(
                partitions.c.job_id.in_(busy),
                partitions.c.state == str(PartitionState.CLAIMED),
                partitions.c.rows_done > 0,
            )
            .group_by(partitions.c.job_id)
        )
        work = {row.job_id: row for row in connection.execute(in_work)}
    return [_job(rows[job_id], work.get(job_id)) for job_id in job_ids if job_id in rows]


def _job(row: Row[Any], work: Any) -> Job:
    """``work`` sums up the attempts in work that have told rows; None where there are none."""
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
        rows_done=row.rows_done,
        rows_rejected=row.rows_rejected,
        partitions_total=row.partitions_total,
        partitions_done=row.partitions_done,
        partitions_failed=row.partitions_failed,
        attempts=row.claims,
        rate=_rate(row, work),
        kind=JobKind(row.kind),
        model_name=row.model_name,
        model_version=row.model_version,
        training=row.training,
        trained=row.trained,
        priority=row.priority,
        options=JobOptions.from_dict(row.options),
        rows_in_work=int(work.rows) if work else 0,
    )


def _rate(row: Row[Any], work: Any) -> float | None:
    """Rows per second: of the latest commits, before the first of what is in work, and of the whole job at its end."""
    if JobState(row.state).final:
        if not row.rows_done or row.started is None or row.finished is None:
            return None
        return float(row.rows_done / max(row.finished - row.started, 1e-3))
    pace = Pace.from_list(row.pace)
    if pace is None and work is not None and work.told > work.since:
        return float(work.rows) / float(work.told - work.since)
    return pace.per_second if pace else None
