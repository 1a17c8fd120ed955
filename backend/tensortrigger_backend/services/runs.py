"""Training runs: told by notebooks or by this backend's own trainings, and read by whoever watches."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensortrigger_backend.domain.run_messages import RunPlan
from tensortrigger_backend.domain.runs import (
    SILENT_FOR,
    Batch,
    Point,
    PointKind,
    Run,
    RunSource,
    RunState,
)
from tensortrigger_backend.ports.runs import RunPoints, RunStore
from tensortrigger_backend.ports.storage import Idempotency, Page
from tensortrigger_backend.services.notices import Notices


class Runs:
    """The use cases of runs. Scopes are checked by the face; owners are checked here.

    Args:
        notices: told the run's id after each change that this process makes.
    """

    def __init__(self, store: RunStore, clock: Callable[[], float], notices: Notices) -> None:
        self._store = store
        self._clock = clock
        self.notices = notices

    def now(self) -> float:
        """Seconds since the epoch, UTC: the time of points that tell none."""
        return self._clock()

    def start(self, owner: str, plan: RunPlan, idempotency: Idempotency | None = None) -> tuple[Run, bool]:
        """A new run of a notebook, or that of the same idempotency key; and whether it is new.

        Raises:
            Conflict: the idempotency key was used for another request.
        """
        now = self._clock()
        run = Run(
            run_id=secrets.token_hex(16),
            owner=owner,
            name=plan.name,
            source=RunSource.NOTEBOOK,
            created=now,
            last_updated=now,
            model=plan.model,
            epochs=plan.epochs,
            steps_per_epoch=plan.steps_per_epoch,
            params=plan.params,
        )
        stored = self._store.add(run, idempotency)
        return stored.seen_at(now), stored.run_id == run.run_id

    def open_for_job(
        self,
        owner: str,
        job_id: str,
        name: str,
        model: str | None,
        model_id: str | None,
        epochs: int | None,
        steps_per_epoch: int | None,
        params: Mapping[str, Any],
    ) -> Run:
        """The run of a training job, whose id is the job's.

        Safe to repeat: the run is found as it stands, be it ended (``follow_job`` sets it running again). Call it
        before anybody is told the job's id: ``/jobs/{id}/events`` takes a job without a run for no training.
        """
        now = self._clock()
        return self._store.add(
            Run(
                run_id=job_id,
                owner=owner,
                name=name,
                source=RunSource.BACKEND,
                created=now,
                last_updated=now,
                model=model,
                model_id=model_id,
                job_id=job_id,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                params=params,
            )
        )

    def follow_job(self, owner: str, job_id: str) -> Run:
        """Let the run of a training stand as its job does; see ``RunStore.follow_job``. Raises NotFound."""
        run = self._store.follow_job(job_id, owner, self._clock())
        self.notices.tell(job_id)
        return run

    def record(self, owner: str, run_id: str, batch: Batch) -> Run:
        """Take what a sender tells: points, an end, or nothing but a sign of life.

        Raises:
            NotFound: there is no such run.
            Conflict: the run has ended, or would hold too much.
        """
        run = self._store.append(run_id, owner, batch, self._clock())
        self.notices.tell(run_id)
        return run

    def append(self, owner: str, run_id: str, points: Sequence[Point], first: int | None = None) -> Run:
        """Add points; with ``first``, the sender's count of points before these, it is safe to repeat.

        Raises: as ``record``.
        """
        return self.record(owner, run_id, Batch(points, first))

    def find(self, owner: str, run_id: str) -> Run:
        """One run. Raises NotFound."""
        return self._store.get(run_id, owner).seen_at(self._clock())

    def page(
        self,
        owner: str,
        limit: int,
        cursor: str | None = None,
        model: str | None = None,
        state: RunState | None = None,
    ) -> Page[Run]:
        """The owner's runs, newest first. Raises InvalidInput for a bad cursor."""
        now = self._clock()
        page = self._store.page(owner, limit, cursor, model, state, now - SILENT_FOR)
        return Page(tuple(run.seen_at(now) for run in page.items), page.next_cursor)

    def points_after(
        self, owner: str, run_id: str, after: int, limit: int, kind: PointKind | None = None
    ) -> RunPoints:
        """Points with ``seq > after``, in order, with the run as it stood then. Raises NotFound."""
        read = self._store.points(run_id, owner, after, limit, kind)
        return RunPoints(read.run.seen_at(self._clock()), read.points, read.next_after)

    def remove(self, owner: str, run_id: str) -> None:
        """Forget a run.

        Raises:
            NotFound: there is no such run.
            Conflict: a training of this backend is still writing it.
        """
        self._store.remove(run_id, owner)
        self.notices.tell(run_id)
