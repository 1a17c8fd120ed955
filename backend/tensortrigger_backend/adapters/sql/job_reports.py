"""What is told of jobs besides how far they are: their partitions, their logs, what waits, what is old."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, func, select

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_log import write_line
from tensortrigger_backend.adapters.sql.job_rows import jobs_of, slice_of
from tensortrigger_backend.adapters.sql.lease_conditions import DONE, OPEN
from tensortrigger_backend.adapters.sql.tables import job_log, jobs, partitions
from tensortrigger_backend.domain.jobs import Job, JobKind, LogEntry, PartitionState, PartitionStatus


class SqlJobReports:
    """The part of ``JobStore`` that tells."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def partitions(
        self, job_id: str, after: int, limit: int, states: Collection[PartitionState] = ()
    ) -> list[PartitionStatus]:
        """See ``JobStore.partitions``."""
        query = (
            select(partitions)
            .where(partitions.c.job_id == job_id, partitions.c.number > after)
            .order_by(partitions.c.number)
            .limit(limit)
        )
        if states:
            query = query.where(partitions.c.state.in_([str(state) for state in states]))
        with self._database.read() as connection:
            return [_status_of(row) for row in connection.execute(query)]

    def log(self, job_id: str, after: int, limit: int) -> list[LogEntry]:
        """See ``JobStore.log``."""
        query = (
            select(job_log)
            .where(job_log.c.job_id == job_id, job_log.c.number > after)
            .order_by(job_log.c.number)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                LogEntry(row.number, row.at, row.level, row.message, row.partition)
                for row in connection.execute(query)
            ]

    def note(self, job_id: str, level: str, message: str, partition: int | None, now: float) -> None:
        """See ``JobStore.note``."""
        with self._database.write(in_turn=False) as connection:
            write_line(connection, job_id, level, message, now, partition)

    def waiting(self) -> Mapping[JobKind, int]:
        """See ``JobStore.waiting``."""
        query = (
            select(jobs.c.kind, func.sum(jobs.c.partitions_queued + jobs.c.partitions_claimed))
            .where(jobs.c.state.in_(OPEN))
            .group_by(jobs.c.kind)
        )
        with self._database.read() as connection:
            found = {JobKind(kind): int(count) for kind, count in connection.execute(query)}
        return {kind: found.get(kind, 0) for kind in JobKind}

    def ended_before(self, kind: JobKind, then: float, limit: int) -> list[Job]:
        """See ``JobStore.ended_before``."""
        query = (
            select(jobs.c.job_id)
            .where(jobs.c.kind == str(kind), jobs.c.state.not_in(OPEN), jobs.c.finished < then)
            .order_by(jobs.c.finished)
            .limit(limit)
        )
        with self._database.read() as connection:
            return jobs_of(connection, list(connection.execute(query).scalars()))


def _status_of(row: Row[Any]) -> PartitionStatus:
    return PartitionStatus(
        slice=slice_of(row),
        state=PartitionState(row.state),
        attempts=row.attempts,
        rows_done=row.rows_scored + row.rows_rejected if row.state == DONE else row.rows_done,
        rows_rejected=row.rows_rejected,
        worker=row.worker,
        claimed=row.claimed,
        committed=row.committed,
        error=row.error,
    )
