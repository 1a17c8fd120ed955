"""What brings lost work back: leases that ran out, wake-ups that were lost, workers that died."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Row, bindparam, func, select, tuple_, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_log import write_line
from tensortrigger_backend.adapters.sql.job_steps import TooLate, move, tell
from tensortrigger_backend.adapters.sql.lease_conditions import CLAIMED, FAILED, OPEN, QUEUED
from tensortrigger_backend.adapters.sql.tables import jobs, partitions
from tensortrigger_backend.domain.job_words import NO_WORKER_LIVED
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, JobKind

BATCH: Final = 1000
"""Partitions in one transaction of the sweeper."""

_SET: Final = (
    update(partitions)
    .where(
        partitions.c.job_id == bindparam("of_job"),
        partitions.c.number == bindparam("of_number"),
    )
    .values(
        state=bindparam("to_state"),
        told=bindparam("at_now"),
        error=bindparam("with_error"),
        lease_until=None,
        worker=None,
    )
)
_TOLD: Final = (
    update(partitions)
    .where(
        partitions.c.job_id == bindparam("of_job"),
        partitions.c.number == bindparam("of_number"),
    )
    .values(told=bindparam("at_now"))
)


class SqlLostWork:
    """The part of ``JobStore`` that recovery uses. Any number of processes may do so at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sweep(self, now: float) -> int:
        """See ``JobStore.sweep``."""
        count = 0
        while True:
            found, counted = self._sweep(now)
            count += counted
            if found < BATCH:
                return count

    def _sweep(self, now: float) -> tuple[int, int]:
        """One batch: how many partitions were put right, and how many of them belong to open jobs."""
        query = (
            select(partitions, jobs.c.state.in_(OPEN).label("open"))
            .join(jobs, jobs.c.job_id == partitions.c.job_id)
            # A claim whose lease has run out, or a failed attempt whose time to be tried again has come.
            .where(partitions.c.state.in_((CLAIMED, QUEUED)), partitions.c.lease_until < now)
            .limit(BATCH)
            .with_for_update(skip_locked=True, of=partitions)
        )
        with self._database.write(in_turn=False) as connection:
            # All sweepers lock jobs in one order.
            rows = sorted(connection.execute(query), key=lambda row: (row.job_id, row.number))
            if not rows:
                return 0, 0
            connection.execute(_SET, [_put_right(row, now) for row in rows])
            counted = [row for row in rows if row.open]
            tell(connection, [(row.owner, row.job_id, row.number) for row in counted if not _spent(row)])
            lost_claims = [row for row in counted if row.state == CLAIMED]
            for row in lost_claims:
                write_line(connection, row.job_id, *_told(row), now, row.number)
            for job_id, theirs in groupby(lost_claims, lambda row: row.job_id):
                ends = [_spent(row) for row in theirs]
                # Where it was cancelled this moment, nobody looks at its partitions any more.
                with contextlib.suppress(TooLate):
                    move(
                        connection,
                        job_id,
                        now,
                        claimed=-len(ends),
                        queued=ends.count(False),
                        failed=ends.count(True),
                    )
            return len(rows), len(counted)

    def tell_again(self, kind: JobKind, in_line: int, told_before: float, now: float) -> int:
        """See ``JobStore.tell_again``."""
        of_kind = (jobs.c.kind == str(kind), jobs.c.state.in_(OPEN))
        waiting = select(func.coalesce(func.sum(jobs.c.partitions_queued), 0)).where(*of_kind)
        with self._database.read() as connection:
            missing = connection.execute(waiting).scalar_one() - in_line
        if missing <= 0:
            return 0
        untold = (
            select(partitions.c.owner, partitions.c.job_id, partitions.c.number)
            .join(jobs, jobs.c.job_id == partitions.c.job_id)
            .where(
                *of_kind,
                partitions.c.state == QUEUED,
                partitions.c.lease_until.is_(None),
                partitions.c.told < told_before,
            )
            .order_by(partitions.c.told, partitions.c.job_id, partitions.c.number)
            .limit(missing)
            .with_for_update(skip_locked=True, of=partitions)
        )
        with self._database.write(in_turn=False) as connection:
            rows = connection.execute(untold).all()
            if rows:
                connection.execute(
                    _TOLD, [{"of_job": row.job_id, "of_number": row.number, "at_now": now} for row in rows]
                )
            tell(connection, [(row.owner, row.job_id, row.number) for row in rows])
            return len(rows)

    def abandon(self, workers: Sequence[str]) -> int:
        """See ``JobStore.abandon``."""
        if not workers:
            return 0
        theirs = partitions.alias("theirs")
        held = (
            select(theirs.c.job_id, theirs.c.number)
            .where(theirs.c.state == CLAIMED, theirs.c.worker.in_(workers), theirs.c.lease_until > 0.0)
            .with_for_update(skip_locked=True)
        )
        with self._database.write(in_turn=False) as connection:
            ended = connection.execute(
                update(partitions)
                .where(tuple_(partitions.c.job_id, partitions.c.number).in_(held))
                .values(lease_until=0.0)
            )
            return ended.rowcount

    def claimants(self) -> list[str]:
        """See ``JobStore.claimants``."""
        query = (
            select(partitions.c.worker)
            .join(jobs, jobs.c.job_id == partitions.c.job_id)
            .where(partitions.c.state == CLAIMED, jobs.c.state.in_(OPEN))
            .distinct()
        )
        with self._database.read() as connection:
            return [worker for worker in connection.execute(query).scalars() if worker]

    def complete_unfinished(self) -> list[str]:
        """See ``JobStore.complete_unfinished``."""
        query = select(jobs.c.job_id).where(
            jobs.c.state.in_(OPEN), jobs.c.partitions_done == jobs.c.partitions_total
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())


def _spent(row: Row[Any]) -> bool:
    return bool(row.open) and row.state == CLAIMED and row.attempts >= MAX_ATTEMPTS


def _put_right(row: Row[Any], now: float) -> dict[str, Any]:
    return {
        "of_job": row.job_id,
        "of_number": row.number,
        "to_state": FAILED if _spent(row) else QUEUED,
        "at_now": now,
        "with_error": row.error or NO_WORKER_LIVED if _spent(row) else row.error,
    }


def _told(row: Row[Any]) -> tuple[str, str]:
    level = "error" if _spent(row) else "warning"
    return level, f"Worker {row.worker} lost its lease in attempt {row.attempts} of {MAX_ATTEMPTS}."
