"""Jobs, partitions and the outbox in SQL: claims and commits are single compare-and-set updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from tensortrigger_backend.adapters.sql.cursors import after_cursor, encode_cursor
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.idempotency import find, remember
from tensortrigger_backend.adapters.sql.job_rows import job_of, jobs_of, slice_of
from tensortrigger_backend.adapters.sql.lease_conditions import (
    CLAIMED,
    DONE,
    FAILED,
    OPEN,
    QUEUED,
    holds,
    is_partition,
    job_open,
)
from tensortrigger_backend.adapters.sql.tables import jobs, outbox, partitions
from tensortrigger_backend.domain.errors import InvalidJobState
from tensortrigger_backend.domain.jobs import (
    MAX_ATTEMPTS,
    Claim,
    Job,
    JobKind,
    JobState,
    Part,
    Slice,
    WakeUp,
)
from tensortrigger_backend.ports.storage import Idempotency, Page

_KIND = "job"


class SqlJobStore:
    """Keeps the ``JobStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: Job, slices: Sequence[Slice], idempotency: Idempotency | None = None) -> Job:
        """See ``JobStore.add``."""
        with self._database.write() as connection:
            if idempotency is not None:
                before = find(connection, job.owner, _KIND, idempotency)
                if before is not None:
                    return job_of(connection, before)
                remember(connection, job.owner, _KIND, idempotency, job.job_id, job.created)
            done = not slices
            connection.execute(
                insert(jobs).values(
                    job_id=job.job_id,
                    owner=job.owner,
                    model_id=job.model_id,
                    state=str(JobState.SUCCEEDED if done else JobState.QUEUED),
                    upload_key=job.upload_key,
                    upload_size=job.upload_size,
                    columns=list(job.columns),
                    output_columns=[[name, list(flat)] for name, flat in job.output_columns.items()],
                    named_outputs=job.named_outputs,
                    rows_total=job.rows_total,
                    created=job.created,
                    last_updated=job.created,
                    finished=job.created if done else None,
                    kind=str(job.kind),
                    model_name=job.model_name,
                    model_version=job.model_version,
                    training=job.training,
                )
            )
            if slices:
                connection.execute(
                    insert(partitions),
                    [
                        {
                            "job_id": job.job_id,
                            "number": slice_.number,
                            "owner": job.owner,
                            "offset": slice_.offset,
                            "length": slice_.length,
                            "first_row": slice_.first_row,
                            "rows": slice_.rows,
                            "first_line": slice_.first_line,
                            "state": QUEUED,
                            "attempts": 0,
                            "claims": 0,
                            "fence": 0,
                            "told": job.created,
                            "rows_scored": 0,
                            "rows_rejected": 0,
                            "non_finite": 0,
                        }
                        for slice_ in slices
                    ],
                )
                _tell(connection, [(job.owner, job.job_id, slice_.number) for slice_ in slices])
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
        if cursor is not None:
            query = query.where(after_cursor(cursor, jobs.c.created, jobs.c.job_id))
        query = query.order_by(jobs.c.created.desc(), jobs.c.job_id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            items = tuple(jobs_of(connection, [row.job_id for row in rows[:limit]]))
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items, encode_cursor(last.created, last.job_id) if last else None)

    def outbox(self, limit: int) -> list[tuple[int, WakeUp]]:
        """See ``JobStore.outbox``."""
        query = (
            select(outbox, jobs.c.kind)
            .join(jobs, jobs.c.job_id == outbox.c.job_id)
            .order_by(outbox.c.number)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                (row.number, WakeUp(row.job_id, row.partition, JobKind(row.kind)))
                for row in connection.execute(query)
            ]

    def sent(self, numbers: Sequence[int]) -> None:
        """See ``JobStore.sent``."""
        with self._database.write() as connection:
            connection.execute(delete(outbox).where(outbox.c.number.in_(numbers)))

    def claim(self, wake_up: WakeUp, worker: str, now: float, lease: float) -> Claim | None:
        """See ``JobStore.claim``."""
        free = or_(
            partitions.c.state == QUEUED,
            and_(partitions.c.state == CLAIMED, partitions.c.lease_until < now),
        )
        with self._database.write() as connection:
            job = connection.execute(
                select(jobs).where(jobs.c.job_id == wake_up.job_id, jobs.c.state.in_(OPEN))
            ).one_or_none()
            if job is None:
                return None
            row = connection.execute(
                update(partitions)
                .where(
                    is_partition(wake_up.job_id, wake_up.partition),
                    free,
                    partitions.c.attempts < MAX_ATTEMPTS,
                )
                .values(
                    state=CLAIMED,
                    worker=worker,
                    lease_until=now + lease,
                    claimed=now,
                    fence=partitions.c.fence + 1,
                    attempts=partitions.c.attempts + 1,
                    claims=partitions.c.claims + 1,
                )
                .returning(*partitions.c)
            ).one_or_none()
            if row is None:
                return None
            connection.execute(
                update(jobs)
                .where(jobs.c.job_id == wake_up.job_id)
                .values(
                    state=str(JobState.RUNNING), started=func.coalesce(jobs.c.started, now), last_updated=now
                )
            )
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
        )

    def renew(self, claim: Claim, now: float, lease: float) -> bool:
        """See ``JobStore.renew``."""
        with self._database.write() as connection:
            renewed = connection.execute(
                update(partitions).where(holds(claim), job_open(claim.job_id)).values(lease_until=now + lease)
            )
            return renewed.rowcount == 1

    def commit(self, claim: Claim, part: Part, now: float) -> bool:
        """See ``JobStore.commit``."""
        with self._database.write() as connection:
            committed = connection.execute(
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
                    error=None,
                )
            )
            if committed.rowcount != 1:
                return False
            _touch(connection, claim.job_id, now)
            return True

    def hand_back(self, claim: Claim, now: float) -> None:
        """See ``JobStore.hand_back``."""
        with self._database.write() as connection:
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
                _tell(connection, [(claim.owner, claim.job_id, claim.slice.number)])

    def give_up(self, claim: Claim, reason: str, final: bool, now: float) -> None:
        """See ``JobStore.give_up``."""
        with self._database.write() as connection:
            # Not the claim's own count: a training that came further since is counted anew.
            attempts = connection.execute(
                select(partitions.c.attempts).where(is_partition(claim.job_id, claim.slice.number))
            ).scalar_one()
            failed = final or attempts >= MAX_ATTEMPTS
            released = connection.execute(
                update(partitions)
                .where(holds(claim))
                .values(
                    state=FAILED if failed else QUEUED,
                    lease_until=None,
                    worker=None,
                    error=reason,
                    told=now,
                )
            )
            if released.rowcount != 1:
                return
            if failed:
                _fail(connection, claim.job_id, claim.slice.number, attempts, reason, now)
            else:
                _tell(connection, [(claim.owner, claim.job_id, claim.slice.number)])

    def parts(self, job_id: str) -> list[tuple[Slice, Part]]:
        """See ``JobStore.parts``."""
        query = (
            select(partitions)
            .where(partitions.c.job_id == job_id, partitions.c.state == DONE)
            .order_by(partitions.c.number)
        )
        with self._database.read() as connection:
            return [
                (
                    slice_of(row),
                    Part(
                        row.results_key, row.rejects_key, row.rows_scored, row.rows_rejected, row.non_finite
                    ),
                )
                for row in connection.execute(query)
            ]

    def all_done(self, job_id: str) -> bool:
        """See ``JobStore.all_done``."""
        with self._database.read() as connection:
            return connection.execute(_complete().where(jobs.c.job_id == job_id)).scalar() is not None

    def finish(self, job_id: str, now: float) -> bool:
        """See ``JobStore.finish``."""
        with self._database.write() as connection:
            finished = connection.execute(
                update(jobs)
                .where(jobs.c.job_id == job_id, jobs.c.job_id.in_(_complete()))
                .values(state=str(JobState.SUCCEEDED), finished=now, last_updated=now)
            )
            return finished.rowcount == 1

    def cancel(self, job_id: str, owner: str, now: float) -> Job:
        """See ``JobStore.cancel``."""
        with self._database.write() as connection:
            job_of(connection, job_id, owner)
            connection.execute(
                update(jobs)
                .where(jobs.c.job_id == job_id, jobs.c.state.in_(OPEN))
                .values(state=str(JobState.CANCELLED), finished=now, last_updated=now)
            )
            connection.execute(delete(outbox).where(outbox.c.job_id == job_id))
            return job_of(connection, job_id)

    def retry(self, job_id: str, owner: str, now: float) -> Job:
        """See ``JobStore.retry``."""
        with self._database.write() as connection:
            job = job_of(connection, job_id, owner)
            if not job.state.final:
                return job
            if job.state is not JobState.FAILED:
                raise InvalidJobState(
                    f"Invalid job state: only a failed job can be retried, this one has {job.state}."
                )
            again = connection.execute(
                update(partitions)
                .where(partitions.c.job_id == job_id, partitions.c.state != DONE)
                .values(state=QUEUED, attempts=0, lease_until=None, worker=None, error=None, told=now)
                .returning(partitions.c.number)
            ).all()
            connection.execute(
                update(jobs)
                .where(jobs.c.job_id == job_id)
                .values(state=str(JobState.RUNNING), error=None, finished=None, last_updated=now)
            )
            _tell(connection, [(owner, job_id, row.number) for row in again])
            return job_of(connection, job_id)

    def sweep(self, now: float, unsent_for: float) -> int:
        """See ``JobStore.sweep``."""
        lost = or_(
            and_(partitions.c.state == CLAIMED, partitions.c.lease_until < now),
            and_(partitions.c.state == QUEUED, partitions.c.told < now - unsent_for),
        )
        open_jobs = select(jobs.c.job_id).where(jobs.c.state.in_(OPEN))
        with self._database.write() as connection:
            rows = connection.execute(
                select(partitions).where(lost, partitions.c.job_id.in_(open_jobs)).limit(1000)
            ).all()
            for row in rows:
                spent = row.attempts >= MAX_ATTEMPTS
                reason = row.error or "Its worker died or lost its lease each time."
                connection.execute(
                    update(partitions)
                    .where(is_partition(row.job_id, row.number))
                    .values(state=FAILED if spent else QUEUED, lease_until=None, worker=None, told=now)
                )
                if spent:
                    _fail(connection, row.job_id, row.number, row.attempts, reason, now)
            _tell(
                connection,
                [(row.owner, row.job_id, row.number) for row in rows if row.attempts < MAX_ATTEMPTS],
            )
            return len(rows)

    def complete_unfinished(self) -> list[str]:
        """See ``JobStore.complete_unfinished``."""
        with self._database.read() as connection:
            return list(connection.execute(_complete()).scalars())

    def abandon(self, workers: Sequence[str]) -> int:
        """See ``JobStore.abandon``."""
        with self._database.write() as connection:
            ended = connection.execute(
                update(partitions)
                .where(partitions.c.state == CLAIMED, partitions.c.worker.in_(workers))
                .values(lease_until=0.0)
            )
            return ended.rowcount

    def claimants(self) -> list[str]:
        """See ``JobStore.claimants``."""
        open_jobs = select(jobs.c.job_id).where(jobs.c.state.in_(OPEN))
        query = (
            select(partitions.c.worker)
            .where(partitions.c.state == CLAIMED, partitions.c.job_id.in_(open_jobs))
            .distinct()
        )
        with self._database.read() as connection:
            return [worker for worker in connection.execute(query).scalars() if worker]


def _complete() -> Any:
    """Ids of open jobs all of whose partitions are done."""
    pending = select(partitions.c.number).where(
        partitions.c.job_id == jobs.c.job_id, partitions.c.state != DONE
    )
    return select(jobs.c.job_id).where(jobs.c.state.in_(OPEN), ~pending.exists())


def _tell(connection: Connection, told: Sequence[tuple[str, str, int]]) -> None:
    if told:
        connection.execute(
            insert(outbox),
            [{"owner": owner, "job_id": job_id, "partition": number} for owner, job_id, number in told],
        )


def _touch(connection: Connection, job_id: str, now: float) -> None:
    connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(last_updated=now))


def _fail(connection: Connection, job_id: str, number: int, attempts: int, reason: str, now: float) -> None:
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    kind = connection.execute(select(jobs.c.kind).where(jobs.c.job_id == job_id)).scalar()
    what = "Training" if kind == str(JobKind.TRAIN) else f"Partition {number}"
    connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state.in_(OPEN))
        .values(
            state=str(JobState.FAILED),
            error=f"{what} failed after {tries}: {reason}",
            finished=now,
            last_updated=now,
        )
    )
