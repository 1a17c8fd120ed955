"""Who works on which partition: claims, renewals and commits, each a compare-and-set of one partition's row."""

from __future__ import annotations

import contextlib

from sqlalchemy import func, select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_log import write_line
from tensortrigger_backend.adapters.sql.job_rows import slice_of
from tensortrigger_backend.adapters.sql.job_steps import TooLate, move, queue, tell
from tensortrigger_backend.adapters.sql.lease_conditions import (
    DONE,
    FAILED,
    OPEN,
    QUEUED,
    holds,
    is_partition,
    job_open,
)
from tensortrigger_backend.adapters.sql.next_partition import take_lost, take_queued
from tensortrigger_backend.adapters.sql.tables import jobs, partitions
from tensortrigger_backend.domain.job_options import JobOptions
from tensortrigger_backend.domain.job_words import CAUSE, part_of_job, pieces, times
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, Claim, Cut, JobKind, JobState, Part, WakeUp
from tensortrigger_backend.domain.pace import Pace, after_commit

TRIES = 3
"""A job may be cancelled between the choice of its partition and the claim; then another one is chosen."""


class SqlClaims:
    """The part of ``JobStore`` that workers use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, wake_up: WakeUp, worker: str, now: float, lease: float) -> Claim | None:
        """See ``JobStore.claim``."""
        for _ in range(TRIES):
            try:
                return self._claim(wake_up.kind, worker, now, lease)
            except TooLate:
                continue
        return None

    def _claim(self, kind: JobKind, worker: str, now: float, lease: float) -> Claim | None:
        with self._database.write(in_turn=False) as connection:
            row, loser = take_queued(connection, kind, worker, now, lease), None
            if row is None:
                found = take_lost(connection, kind, worker, now, lease)
                if found is None:
                    return None
                row, loser = found
            was_queued = 1 if loser is None else 0
            job = connection.execute(
                update(jobs)
                .where(jobs.c.job_id == row.job_id, jobs.c.state.in_(OPEN))
                .values(
                    state=str(JobState.RUNNING),
                    started=func.coalesce(jobs.c.started, now),
                    last_updated=now,
                    served=now,
                    claims=jobs.c.claims + 1,
                    partitions_queued=jobs.c.partitions_queued - was_queued,
                    partitions_claimed=jobs.c.partitions_claimed + was_queued,
                )
                .returning(*jobs.c)
            ).one_or_none()
            if job is None:
                raise TooLate
            if loser is not None:
                message = f"Worker {loser} lost its lease in attempt {row.attempts - 1}; {worker} goes on."
                write_line(connection, row.job_id, "warning", message, now, row.number)
            elif job.claims == 1:
                write_line(connection, row.job_id, "info", f"Worker {worker} has begun.", now)
        return Claim(
            job_id=row.job_id,
            owner=row.owner,
            model_id=job.model_id,
            upload_key=job.upload_key,
            columns=tuple(job.columns),
            slice=slice_of(row),
            fence=row.fence,
            attempt=row.attempts,
            lease_until=row.lease_until,
            training=job.training,
            trained=job.trained,
            options=JobOptions.from_dict(job.options),
        )

    def renew(self, claim: Claim, now: float, lease: float, rows_done: int | None = None) -> bool:
        """See ``JobStore.renew``."""
        done = partitions.c.rows_done if rows_done is None else rows_done
        with self._database.write(in_turn=False) as connection:
            renewed = connection.execute(
                update(partitions)
                .where(holds(claim), job_open(claim.job_id))
                .values(lease_until=now + lease, rows_done=done, told=now)
            )
            return renewed.rowcount == 1

    def commit(self, claim: Claim, part: Part, now: float) -> bool:
        """See ``JobStore.commit``."""
        try:
            with self._database.write(in_turn=False) as connection:
                row = connection.execute(
                    update(partitions)
                    .where(holds(claim), job_open(claim.job_id))
                    .values(
                        state=DONE,
                        lease_until=None,
                        committed=now,
                        results_key=part.results_key,
                        rejects_key=part.rejects_key,
                        rows_scored=part.rows_scored,
                        rows_rejected=part.rows_rejected,
                        non_finite=part.non_finite,
                        results_size=part.results_size,
                        results_sha256=part.results_sha256,
                        error=None,
                    )
                    .returning(partitions.c.claimed, partitions.c.rows)
                ).one_or_none()
                if row is None:
                    return False
                before = connection.execute(
                    select(jobs.c.pace).where(jobs.c.job_id == claim.job_id).with_for_update(key_share=True)
                ).scalar()
                pace = after_commit(Pace.from_list(before), row.claimed, now, row.rows)
                move(
                    connection,
                    claim.job_id,
                    now,
                    claimed=-1,
                    done=1,
                    rows_done=jobs.c.rows_done + row.rows,
                    rows_rejected=jobs.c.rows_rejected + part.rows_rejected,
                    pace=pace.to_list(),
                )
        except TooLate:
            return False
        return True

    def cut(self, claim: Claim, cut: Cut, now: float) -> bool:
        """See ``JobStore.cut``."""
        try:
            with self._database.write(in_turn=False) as connection:
                committed = connection.execute(
                    update(partitions)
                    .where(holds(claim), job_open(claim.job_id))
                    .values(state=DONE, lease_until=None, committed=now, error=None)
                )
                if committed.rowcount != 1:
                    return False
                rows = sum(slice_.rows for slice_ in cut.slices)
                queue(connection, claim.owner, claim.job_id, cut.slices, now)
                move(
                    connection,
                    claim.job_id,
                    now,
                    claimed=-1,
                    done=1,
                    queued=len(cut.slices),
                    columns=list(cut.columns),
                    upload_key=cut.upload_key,
                    upload_size=cut.size,
                    rows_total=rows,
                )
                message = f"Fetched {rows:,} rows, {cut.size:,} bytes, in {pieces(len(cut.slices))}."
                write_line(connection, claim.job_id, "info", message, now)
        except TooLate:
            return False
        return True

    def hand_back(self, claim: Claim, now: float) -> None:
        """See ``JobStore.hand_back``."""
        with contextlib.suppress(TooLate), self._database.write(in_turn=False) as connection:
            released = connection.execute(
                update(partitions)
                .where(holds(claim), job_open(claim.job_id))
                .values(
                    state=QUEUED,
                    lease_until=None,
                    worker=None,
                    told=now,
                    attempts=partitions.c.attempts - 1,
                )
            )
            if released.rowcount == 1:
                tell(connection, [(claim.owner, claim.job_id, claim.slice.number)])
                move(connection, claim.job_id, now, claimed=-1, queued=1)

    def give_up(self, claim: Claim, reason: str, final: bool, now: float, wait: float = 0.0) -> None:
        """See ``JobStore.give_up``."""
        number = claim.slice.number
        with contextlib.suppress(TooLate), self._database.write(in_turn=False) as connection:
            # Not the claim's own count: a training that came further since is counted anew.
            attempts = connection.execute(
                select(partitions.c.attempts).where(holds(claim)).with_for_update()
            ).scalar()
            if attempts is None:
                return
            failed = final or attempts >= MAX_ATTEMPTS
            connection.execute(
                update(partitions)
                .where(is_partition(claim.job_id, number))
                .values(
                    state=FAILED if failed else QUEUED,
                    lease_until=now + wait if wait and not failed else None,
                    worker=None,
                    error=reason[:CAUSE],
                    told=now,
                )
            )
            kind = JobKind.TRAIN if claim.training is not None else JobKind.SCORE
            what = f"{part_of_job(number, kind)} failed"
            told = f"{what} after {times(attempts)}" if failed else f"{what} in attempt {attempts}"
            level = "error" if failed else "warning"
            write_line(connection, claim.job_id, level, f"{told}: {reason[:CAUSE]}", now, number)
            if not failed and not wait:
                tell(connection, [(claim.owner, claim.job_id, number)])
            move(connection, claim.job_id, now, claimed=-1, queued=0 if failed else 1, failed=int(failed))
