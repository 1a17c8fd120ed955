"""How far trainings have come, in SQL: told only by whoever holds the claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_rows import jobs_of
from tensortrigger_backend.adapters.sql.job_steps import end, move
from tensortrigger_backend.adapters.sql.lease_conditions import DONE, OPEN, holds, job_open
from tensortrigger_backend.adapters.sql.tables import jobs, partitions, runs
from tensortrigger_backend.domain.jobs import Claim, Job, JobState
from tensortrigger_backend.domain.runs import RunSource, RunState


class SqlTrainingStore:
    """Keeps the ``TrainingStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def advance(self, claim: Claim, trained: Mapping[str, Any], saved: bool, now: float) -> bool:
        """See ``TrainingStore.advance``."""
        with self._database.write(in_turn=False) as connection:
            held = connection.execute(
                update(partitions)
                .where(holds(claim), job_open(claim.job_id))
                .values(attempts=1 if saved else partitions.c.attempts)
            )
            if held.rowcount != 1:
                return False
            connection.execute(
                update(jobs)
                .where(jobs.c.job_id == claim.job_id)
                .values(trained=dict(trained), last_updated=now)
            )
            return True

    def complete(self, claim: Claim, trained: Mapping[str, Any], now: float) -> bool:
        """See ``TrainingStore.complete``."""
        with self._database.write(in_turn=False) as connection:
            done = connection.execute(
                update(partitions)
                .where(holds(claim), job_open(claim.job_id))
                .values(state=DONE, lease_until=None, committed=now, error=None)
            )
            if done.rowcount != 1:
                return False
            move(
                connection,
                claim.job_id,
                now,
                claimed=-1,
                done=1,
                trained=dict(trained),
                rows_done=jobs.c.rows_total,
            )
            return end(connection, claim.job_id, JobState.SUCCEEDED, now)

    def unheard(self) -> list[Job]:
        """See ``TrainingStore.unheard``."""
        query = (
            select(jobs.c.job_id)
            .join(runs, runs.c.run_id == jobs.c.job_id)
            .where(
                jobs.c.state.not_in(OPEN),
                runs.c.source == str(RunSource.BACKEND),
                runs.c.state == str(RunState.RUNNING),
            )
        )
        with self._database.read() as connection:
            return jobs_of(connection, list(connection.execute(query).scalars()))
