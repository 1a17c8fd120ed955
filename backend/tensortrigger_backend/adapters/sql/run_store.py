"""Runs in SQL; their points lie in chunks, one for each batch that came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from tensortrigger_backend.adapters.sql.cursors import page_of
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.idempotency import find, remember
from tensortrigger_backend.adapters.sql.lease_conditions import OPEN
from tensortrigger_backend.adapters.sql.tables import idempotency_keys, jobs, run_points, runs
from tensortrigger_backend.domain.errors import Conflict, NotFound
from tensortrigger_backend.domain.runs import Batch, Point, PointKind, Run, RunSource, RunState
from tensortrigger_backend.ports.runs import RunPoints
from tensortrigger_backend.ports.storage import Idempotency, Page

_KIND = "run"
_RUNNING = str(RunState.RUNNING)
_CHUNKS: Final = 200
"""Chunks fetched at a time: they may hold one point each, or thousands."""


class SqlRunStore:
    """Keeps the ``RunStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: Run, idempotency: Idempotency | None = None) -> Run:
        """See ``RunStore.add``."""
        with self._database.write() as connection:
            if idempotency is not None:
                before = find(connection, run.owner, _KIND, idempotency)
                if before is not None:
                    return _run(connection, before, run.owner)
                remember(connection, run.owner, _KIND, idempotency, run.run_id, run.created)
            there = connection.execute(select(runs.c.run_id).where(runs.c.run_id == run.run_id)).scalar()
            if there is None:
                connection.execute(insert(runs).values(run_id=run.run_id, owner=run.owner, **_members(run)))
            return _run(connection, run.run_id, run.owner)

    def get(self, run_id: str, owner: str) -> Run:
        """See ``RunStore.get``."""
        with self._database.read() as connection:
            return _run(connection, run_id, owner)

    def page(
        self,
        owner: str,
        limit: int,
        cursor: str | None,
        model: str | None,
        state: RunState | None,
        silent_since: float,
    ) -> Page[Run]:
        """See ``RunStore.page``."""
        query = select(runs).where(runs.c.owner == owner)
        if model is not None:
            query = query.where(runs.c.model == model)
        if state is not None:
            lost = (runs.c.source == str(RunSource.NOTEBOOK)) & (runs.c.last_updated < silent_since)
            if state is RunState.LOST:
                query = query.where(runs.c.state == _RUNNING, lost)
            elif state is RunState.RUNNING:
                query = query.where(runs.c.state == _RUNNING, ~lost)
            else:
                query = query.where(runs.c.state == str(state))
        with self._database.read() as connection:
            rows, following = page_of(connection, query, runs.c.created, runs.c.run_id, limit, cursor)
        return Page(tuple(_run_of(row) for row in rows), following)

    def append(self, run_id: str, owner: str, batch: Batch, now: float) -> Run:
        """See ``RunStore.append``."""
        with self._database.write() as connection:
            before = _run(connection, run_id, owner, locked=True)
            run, new = before.taking(batch, now)
            if new:
                connection.execute(
                    insert(run_points).values(
                        run_id=run_id,
                        first_seq=new[0].seq,
                        last_seq=new[-1].seq,
                        epochs=sum(point.kind is PointKind.EPOCH for point in new),
                        payload=_packed(new),
                    )
                )
            if run is not before:
                connection.execute(update(runs).where(runs.c.run_id == run_id).values(**_members(run)))
            return run

    def follow_job(self, run_id: str, owner: str, now: float) -> Run:
        """See ``RunStore.follow_job``."""
        # The run of a job has the job's id. Its row is held, so that it neither ends nor is tried again meanwhile.
        query = select(jobs.c.state, jobs.c.error).where(jobs.c.job_id == run_id, jobs.c.owner == owner)
        with self._database.write(in_turn=False) as connection:
            job = connection.execute(query.with_for_update(read=True)).one_or_none()
            before = _run(connection, run_id, owner, locked=True)
            if job is None:
                return before
            state = RunState.RUNNING if job.state in OPEN else RunState(job.state)
            run = before.standing(state, job.error, now)
            if run is not before:
                connection.execute(update(runs).where(runs.c.run_id == run_id).values(**_members(run)))
            return run

    def points(self, run_id: str, owner: str, after: int, limit: int, kind: PointKind | None) -> RunPoints:
        """See ``RunStore.points``."""
        chunks = select(run_points.c.first_seq, run_points.c.payload).where(
            run_points.c.run_id == run_id, run_points.c.last_seq > after
        )
        if kind is PointKind.EPOCH:
            chunks = chunks.where(run_points.c.epochs > 0)
        found: list[Point] = []
        with self._database.read() as connection:
            run = _run(connection, run_id, owner)
            read = connection.execution_options(yield_per=_CHUNKS).execute(
                chunks.order_by(run_points.c.last_seq)
            )
            for row in read:
                found += _unpacked(row.payload, row.first_seq, after, kind)
                if len(found) > limit:
                    read.close()
                    break
        more = found[limit - 1].seq if len(found) > limit else None
        return RunPoints(run, tuple(found[:limit]), more)

    def remove(self, run_id: str, owner: str) -> None:
        """See ``RunStore.remove``."""
        with self._database.write() as connection:
            run = _run(connection, run_id, owner, locked=True)
            if run.source is RunSource.BACKEND and not run.state.final:
                raise Conflict("This run's training is still at work: cancel its job first.")
            connection.execute(delete(run_points).where(run_points.c.run_id == run_id))
            connection.execute(delete(runs).where(runs.c.run_id == run_id))
            # The key that made it may make another one.
            connection.execute(
                delete(idempotency_keys).where(
                    idempotency_keys.c.owner == owner,
                    idempotency_keys.c.kind == _KIND,
                    idempotency_keys.c.resource_id == run_id,
                )
            )


def _packed(points: Sequence[Point]) -> bytes:
    """Points as rows of (whether an epoch's, step, epoch, t, metrics); their numbers follow from the first."""
    return msgspec.msgpack.encode(
        [
            (point.kind is PointKind.EPOCH, point.step, point.epoch, point.t, dict(point.metrics))
            for point in points
        ]
    )


def _unpacked(payload: bytes, first_seq: int, after: int, kind: PointKind | None) -> list[Point]:
    """The chunk's points with ``seq > after`` and, unless it is None, of this kind."""
    rows = msgspec.msgpack.decode(payload)
    skip = max(after + 1 - first_seq, 0)
    wanted = None if kind is None else kind is PointKind.EPOCH
    return [
        Point(seq, PointKind.EPOCH if of_epoch else PointKind.BATCH, step, epoch, t, metrics)
        for seq, (of_epoch, step, epoch, t, metrics) in enumerate(rows[skip:], first_seq + skip)
        if wanted is None or of_epoch == wanted
    ]


def _run(connection: Connection, run_id: str, owner: str, locked: bool = False) -> Run:
    """The owner's run.

    Args:
        locked: hold its row until the transaction ends; on SQLite a writer holds everything anyway.

    Raises:
        NotFound: there is none.
    """
    query = select(runs).where(runs.c.run_id == run_id, runs.c.owner == owner)
    row = connection.execute(query.with_for_update() if locked else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id[:80]!r}.")
    return _run_of(row)


def _members(run: Run) -> dict[str, Any]:
    """The columns of a run, less its keys."""
    return {
        "name": run.name,
        "model": run.model,
        "model_id": run.model_id,
        "job_id": run.job_id,
        "source": str(run.source),
        "state": str(run.state),
        "error": run.error,
        "epochs": run.epochs,
        "steps_per_epoch": run.steps_per_epoch,
        "params": dict(run.params),
        "epoch": run.epoch,
        "step": run.step,
        "metrics": dict(run.metrics),
        "of_epoch": run.of_epoch,
        "metric_names": list(run.metric_names),
        "last_seq": run.last_seq,
        "received": [list(stretch) for stretch in run.received],
        "created": run.created,
        "last_updated": run.last_updated,
        "finished": run.finished,
    }


def _run_of(row: Row[Any]) -> Run:
    return Run(
        run_id=row.run_id,
        owner=row.owner,
        name=row.name,
        source=RunSource(row.source),
        created=row.created,
        last_updated=row.last_updated,
        state=RunState(row.state),
        model=row.model,
        model_id=row.model_id,
        job_id=row.job_id,
        error=row.error,
        epochs=row.epochs,
        steps_per_epoch=row.steps_per_epoch,
        params=row.params,
        epoch=row.epoch,
        step=row.step,
        metrics=row.metrics,
        of_epoch=row.of_epoch,
        metric_names=tuple(row.metric_names),
        last_seq=row.last_seq,
        received=tuple((begin, end) for begin, end in row.received),
        finished=row.finished,
    )
