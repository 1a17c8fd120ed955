"""Which partition is worked on next: every owner gets a share, whatever the size of their jobs.

Of the owners who have something queued the one goes first of whom the fewest partitions are in work, then the one who
was served least recently. Of that owner's jobs the one of the highest priority goes first, then the oldest; of a job
its lowest number, so that rows are fetched before they are scored.

On PostgreSQL rows that another worker is just taking are passed over: two workers may see the same counts and favour
the same owner for a moment, but never wait for each other here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.expression import ColumnCollection

from tensortrigger_backend.adapters.sql.lease_conditions import CLAIMED, OPEN, QUEUED, is_partition
from tensortrigger_backend.adapters.sql.tables import jobs, partitions
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, JobKind

CANDIDATES: Final = 32
"""Jobs that are tried before it is said that there is nothing: other workers may be taking the last of those before."""

_NOW: Final[BindParameter[float]] = bindparam("at_now")
_JOB: Final[BindParameter[str]] = bindparam("of_job")
_KIND: Final[BindParameter[str]] = bindparam("of_kind")

_open = (
    select(
        jobs.c.job_id,
        jobs.c.owner,
        jobs.c.priority,
        jobs.c.created,
        jobs.c.partitions_queued,
        jobs.c.partitions_claimed,
    )
    .where(or_(*(jobs.c.state == state for state in OPEN)), jobs.c.kind == _KIND)
    .cte("open_jobs")
)
_any = jobs.alias("any_jobs")
_owners = (
    select(
        _open.c.owner,
        func.sum(_open.c.partitions_claimed).label("in_work"),
        func.min(case((_open.c.partitions_queued > 0, _open.c.created))).label("waiting_since"),
        # Of all jobs: whoever has many small ones was served with each of those that have ended.
        select(func.coalesce(func.max(_any.c.served), 0.0))
        .where(_any.c.owner == _open.c.owner, _any.c.kind == _KIND)
        .scalar_subquery()
        .label("served"),
    )
    .group_by(_open.c.owner)
    .cte("owners")
    # Once, and not for each job again: PostgreSQL knows too little of a young table to see that for itself.
    .prefix_with("MATERIALIZED", dialect="postgresql")
)


def _turn(columns: ColumnCollection[str, Any]) -> Sequence[ColumnElement[Any]]:
    return (
        columns.in_work,
        columns.served,
        columns.waiting_since,
        columns.owner,
        columns.priority.desc(),
        columns.created,
        columns.job_id,
    )


_queued = (
    select(
        _open.c.job_id,
        _open.c.owner,
        _open.c.priority,
        _open.c.created,
        _owners.c.in_work,
        _owners.c.served,
        _owners.c.waiting_since,
    )
    .join(_owners, _owners.c.owner == _open.c.owner)
    .where(_open.c.partitions_queued > 0)
)
# With an offset PostgreSQL sorts first, and then looks into partitions only until it has found enough jobs.
_sorted = _queued.order_by(*_turn(_queued.selected_columns)).offset(0).subquery("in_turn")
_waiting = partitions.alias("waiting")
_ready = (
    select(_waiting.c.number)
    .where(
        _waiting.c.state == QUEUED,
        or_(_waiting.c.lease_until.is_(None), _waiting.c.lease_until <= _NOW),
    )
    .order_by(_waiting.c.number)
    .limit(1)
)
_IN_TURN: Final = (
    select(_sorted.c.job_id)
    # Those that are to be tried again later keep nobody from their turn.
    .where(_ready.where(_waiting.c.job_id == _sorted.c.job_id).scalar_subquery().is_not(None))
    .order_by(*_turn(_sorted.c))
    .limit(CANDIDATES)
)

_FIRST: Final = _ready.where(_waiting.c.job_id == _JOB).with_for_update(skip_locked=True).scalar_subquery()
_CLAIM: Final = {
    "state": CLAIMED,
    "worker": bindparam("for_worker"),
    "lease_until": bindparam("held_until"),
    "claimed": _NOW,
    "rows_done": 0,
    "fence": partitions.c.fence + 1,
    "attempts": partitions.c.attempts + 1,
    "claims": partitions.c.claims + 1,
}
_TAKE_FIRST: Final = (
    update(partitions)
    .where(partitions.c.job_id == _JOB, partitions.c.number == _FIRST)
    .values(_CLAIM)
    .returning(*partitions.c)
)
_LOST: Final = (
    select(partitions.c.job_id, partitions.c.number, partitions.c.worker, partitions.c.attempts)
    .join(jobs, jobs.c.job_id == partitions.c.job_id)
    .where(
        partitions.c.state == CLAIMED,
        partitions.c.lease_until < _NOW,
        partitions.c.attempts < MAX_ATTEMPTS,
        or_(*(jobs.c.state == state for state in OPEN)),
        jobs.c.kind == _KIND,
    )
    .order_by(partitions.c.lease_until)
    .limit(1)
    .with_for_update(skip_locked=True, of=partitions)
)


def take_queued(
    connection: Connection, kind: JobKind, worker: str, now: float, lease: float
) -> Row[Any] | None:
    """Claim the next partition that is queued; its row, or None where there is none."""
    in_turn = connection.execute(_IN_TURN, {"of_kind": str(kind), "at_now": now})
    for job_id in in_turn.scalars().all():
        claim = {"of_job": job_id, "for_worker": worker, "held_until": now + lease, "at_now": now}
        row = connection.execute(_TAKE_FIRST, claim).one_or_none()
        if row is not None:
            return row
    return None


def take_lost(
    connection: Connection, kind: JobKind, worker: str, now: float, lease: float
) -> tuple[Row[Any], str] | None:
    """Claim a partition whose lease has run out; its row, and who lost it."""
    lost = connection.execute(_LOST, {"of_kind": str(kind), "at_now": now}).one_or_none()
    if lost is None:
        return None
    row = connection.execute(
        update(partitions)
        .where(is_partition(lost.job_id, lost.number))
        .values(_CLAIM)
        .returning(*partitions.c),
        {"for_worker": worker, "held_until": now + lease, "at_now": now},
    ).one()
    return row, lost.worker
