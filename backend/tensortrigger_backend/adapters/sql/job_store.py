"""Jobs and the outbox in SQL, from their first row to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tensortrigger_backend.adapters.sql.claims import SqlClaims
from tensortrigger_backend.adapters.sql.cursors import page_of
from tensortrigger_backend.adapters.sql.idempotency import find, remember
from tensortrigger_backend.adapters.sql.job_log import write_line
from tensortrigger_backend.adapters.sql.job_reports import SqlJobReports
from tensortrigger_backend.adapters.sql.job_rows import job_of, jobs_of, slice_of
from tensortrigger_backend.adapters.sql.job_steps import end, queue, tell
from tensortrigger_backend.adapters.sql.lease_conditions import DONE, OPEN, QUEUED
from tensortrigger_backend.adapters.sql.lost_work import SqlLostWork
from tensortrigger_backend.adapters.sql.tables import (
    idempotency_keys,
    job_log,
    jobs,
    outbox,
    partitions,
    webhooks,
)
from tensortrigger_backend.adapters.sql.unknown import unknown_of
from tensortrigger_backend.domain.errors import InvalidJobState, Unavailable
from tensortrigger_backend.domain.job_words import pieces, why_not_retried
from tensortrigger_backend.domain.jobs import INTAKE, Job, JobKind, JobState, Part, Slice, WakeUp
from tensortrigger_backend.ports.storage import Idempotency, Page

_KIND = "job"

SENDING = 1.0
"""Seconds of sending after which a relay forgets what it has sent; PostgreSQL keeps no transaction open in which
nothing happens for long."""


class SqlJobStore(SqlClaims, SqlLostWork, SqlJobReports):
    """Keeps the ``JobStore`` promises on a ``Database``."""

    def add(self, job: Job, slices: Sequence[Slice], idempotency: Idempotency | None = None) -> Job:
        """See ``JobStore.add``."""
        try:
            return self._add(job, slices, idempotency)
        except IntegrityError:
            if idempotency is None:
                raise
            # Another request under the same key was quicker; this time its job is found.
            return self._add(job, slices, idempotency)

    def _add(self, job: Job, slices: Sequence[Slice], idempotency: Idempotency | None) -> Job:
        with self._database.write(in_turn=False) as connection:
            if idempotency is not None:
                before = find(connection, job.owner, _KIND, idempotency)
                if before is not None:
                    return job_of(connection, before)
                remember(connection, job.owner, _KIND, idempotency, job.job_id, job.created)
            connection.execute(
                insert(jobs).values(
                    job_id=job.job_id,
                    owner=job.owner,
                    model_id=job.model_id,
                    state=str(JobState.QUEUED),
                    upload_key=job.upload_key,
                    upload_size=job.upload_size,
                    columns=list(job.columns),
                    output_columns=[[name, list(flat)] for name, flat in job.output_columns.items()],
                    named_outputs=job.named_outputs,
                    rows_total=job.rows_total,
                    created=job.created,
                    last_updated=job.created,
                    kind=str(job.kind),
                    model_name=job.model_name,
                    model_version=job.model_version,
                    training=job.training,
                    priority=job.priority,
                    options=job.options.to_dict(),
                    partitions_total=len(slices),
                    partitions_queued=len(slices),
                )
            )
            queue(connection, job.owner, job.job_id, slices, job.created)
            write_line(connection, job.job_id, "info", _submitted(job, slices), job.created)
            if not slices:
                end(connection, job.job_id, JobState.SUCCEEDED, job.created)
            return job_of(connection, job.job_id)

    def get(self, job_id: str, owner: str) -> Job:
        """See ``JobStore.get``."""
        with self._database.read() as connection:
            return job_of(connection, job_id, owner)

    def page(
        self,
        owner: str,
        limit: int,
        cursor: str | None,
        kind: JobKind | None = None,
        state: JobState | None = None,
    ) -> Page[Job]:
        """See ``JobStore.page``."""
        query = select(jobs.c.job_id, jobs.c.created).where(jobs.c.owner == owner)
        if kind is not None:
            query = query.where(jobs.c.kind == str(kind))
        if state is not None:
            query = query.where(jobs.c.state == str(state))
        with self._database.read() as connection:
            rows, following = page_of(connection, query, jobs.c.created, jobs.c.job_id, limit, cursor)
            return Page(tuple(jobs_of(connection, [row.job_id for row in rows])), following)

    def outbox(self, limit: int) -> list[WakeUp]:
        """See ``JobStore.outbox``."""
        query = (
            select(outbox.c.job_id, outbox.c.partition, jobs.c.kind)
            .join(jobs, jobs.c.job_id == outbox.c.job_id)
            .where(jobs.c.state.in_(OPEN))
            .order_by(outbox.c.number)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                WakeUp(job_id, partition, JobKind(kind))
                for job_id, partition, kind in connection.execute(query)
            ]

    def relay(self, limit: int, send: Callable[[WakeUp], None]) -> int:
        """See ``JobStore.relay``."""
        until = time.monotonic() + SENDING
        query = (
            select(outbox, jobs.c.kind, jobs.c.state.in_(OPEN).label("open"))
            .join(jobs, jobs.c.job_id == outbox.c.job_id)
            .order_by(outbox.c.number)
            .limit(limit)
            .with_for_update(skip_locked=True, of=outbox)
        )
        refused: Unavailable | None = None
        with self._database.write(in_turn=False) as connection:
            rows = connection.execute(query).all()
            sent = []
            for row in rows:
                try:
                    if row.open:
                        send(WakeUp(row.job_id, row.partition, JobKind(row.kind)))
                except Unavailable as error:
                    refused = error
                    break
                sent.append(row.number)
                if time.monotonic() > until:
                    break
            if sent:
                connection.execute(delete(outbox).where(outbox.c.number.in_(sent)))
        if refused is not None:
            raise refused
        return len(sent)

    def parts(self, job_id: str) -> list[tuple[Slice, Part]]:
        """See ``JobStore.parts``."""
        query = (
            select(partitions)
            .where(partitions.c.job_id == job_id, partitions.c.state == DONE, partitions.c.number != INTAKE)
            .order_by(partitions.c.number)
        )
        with self._database.read() as connection:
            return [
                (
                    slice_of(row),
                    Part(
                        row.results_key,
                        row.rejects_key,
                        row.rows_scored,
                        row.rows_rejected,
                        row.non_finite,
                        row.results_size,
                        row.results_sha256,
                    ),
                )
                for row in connection.execute(query)
            ]

    def all_done(self, job_id: str) -> bool:
        """See ``JobStore.all_done``."""
        with self._database.read() as connection:
            return connection.execute(_complete(job_id)).first() is not None

    def finish(self, job_id: str, now: float) -> bool:
        """See ``JobStore.finish``."""
        with self._database.write(in_turn=False) as connection:
            job = connection.execute(_complete(job_id).with_for_update(key_share=True)).first()
            if job is None:
                return False
            scored, rejected = connection.execute(
                select(
                    func.coalesce(func.sum(partitions.c.rows_scored), 0),
                    func.coalesce(func.sum(partitions.c.rows_rejected), 0),
                ).where(partitions.c.job_id == job_id)
            ).one()
            if scored + rejected != job.rows_total:
                error = (
                    f"{job.rows_total} rows came in, but {scored} were scored and {rejected} rejected: "
                    "the results are not to be trusted. Submit the rows again."
                )
                end(connection, job_id, JobState.FAILED, now, error)
                return False
            return end(connection, job_id, JobState.SUCCEEDED, now)

    def cancel(self, job_id: str, owner: str, now: float) -> Job:
        """See ``JobStore.cancel``."""
        with self._database.write(in_turn=False) as connection:
            job_of(connection, job_id, owner)
            end(connection, job_id, JobState.CANCELLED, now)
            return job_of(connection, job_id)

    def retry(self, job_id: str, owner: str, now: float) -> Job:
        """See ``JobStore.retry``."""
        with self._database.write(in_turn=False) as connection:
            connection.execute(
                select(jobs.c.job_id).where(jobs.c.job_id == job_id).with_for_update(key_share=True)
            )
            job = job_of(connection, job_id, owner)
            if not job.state.final:
                return job
            if job.state is not JobState.FAILED:
                raise InvalidJobState(why_not_retried(job))
            again = connection.execute(
                update(partitions)
                .where(partitions.c.job_id == job_id, partitions.c.state != DONE)
                .values(state=QUEUED, attempts=0, lease_until=None, worker=None, error=None, told=now)
                .returning(partitions.c.number)
            ).all()
            connection.execute(
                update(jobs)
                .where(jobs.c.job_id == job_id)
                .values(
                    state=str(JobState.RUNNING),
                    error=None,
                    finished=None,
                    tidied=None,
                    last_updated=now,
                    partitions_queued=len(again),
                    partitions_claimed=0,
                    partitions_failed=0,
                )
            )
            tell(connection, [(owner, job_id, row.number) for row in sorted(again)])
            count = "1 partition" if len(again) == 1 else f"{len(again)} partitions"
            write_line(connection, job_id, "info", f"Tried again: {count} of {job.partitions_total}.", now)
            return job_of(connection, job_id)

    def untidied(self, before: float, limit: int) -> list[Job]:
        """See ``JobStore.untidied``."""
        query = (
            select(jobs.c.job_id)
            .where(jobs.c.state.not_in(OPEN), jobs.c.tidied.is_(None), jobs.c.finished < before)
            .order_by(jobs.c.finished)
            .limit(limit)
        )
        with self._database.read() as connection:
            return jobs_of(connection, list(connection.execute(query).scalars()))

    def tidied(self, job_id: str, now: float) -> None:
        """See ``JobStore.tidied``."""
        with self._database.write(in_turn=False) as connection:
            connection.execute(
                update(jobs).where(jobs.c.job_id == job_id, jobs.c.state.not_in(OPEN)).values(tidied=now)
            )

    def remove(self, job_id: str, owner: str) -> Job:
        """See ``JobStore.remove``."""
        with self._database.write(in_turn=False) as connection:
            # The job's row first, as everybody does: what is retried meanwhile is kept, and nobody waits in a ring.
            connection.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id).with_for_update())
            job = job_of(connection, job_id, owner)
            if not job.state.final:
                raise InvalidJobState(
                    f"Invalid job state: only a job that has ended can be deleted, this one is {job.state}."
                )
            for table in (outbox, job_log, webhooks, partitions, jobs):
                connection.execute(delete(table).where(table.c.job_id == job_id))
            connection.execute(
                delete(idempotency_keys).where(
                    idempotency_keys.c.kind == _KIND, idempotency_keys.c.resource_id == job_id
                )
            )
            return job

    def unknown(self, job_ids: Sequence[str]) -> list[str]:
        """See ``JobStore.unknown``."""
        with self._database.read() as connection:
            return unknown_of(connection, jobs.c.job_id, job_ids)


def _complete(job_id: str) -> Select[str, int]:
    """The job, if it is open and all of its partitions are done."""
    return select(jobs.c.job_id, jobs.c.rows_total).where(
        jobs.c.job_id == job_id,
        jobs.c.state.in_(OPEN),
        jobs.c.partitions_done == jobs.c.partitions_total,
    )


def _submitted(job: Job, slices: Sequence[Slice]) -> str:
    if job.kind is JobKind.TRAIN:
        return f"Submitted: a training on {job.rows_total:,} rows."
    if any(slice_.number == INTAKE for slice_ in slices):
        return "Submitted; the rows are to be fetched first."
    return f"Submitted: {job.rows_total:,} rows, {job.upload_size:,} bytes, in {pieces(len(slices))}."
