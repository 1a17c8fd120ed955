"""Where training runs and their points are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tensortrigger_backend.domain.runs import Batch, Point, PointKind, Run, RunState
from tensortrigger_backend.ports.storage import Idempotency, Page


@dataclass(frozen=True, slots=True)
class RunPoints:
    """Points of a run in order, and the run as it stood when they were read.

    Attributes:
        next_after: the ``after`` of the next page; None when there is nothing more yet.
    """

    run: Run
    points: tuple[Point, ...]
    next_after: int | None


class RunStore(Protocol):
    """Runs and their points, each of one owner. Nobody sees what another owns: it is NotFound."""

    def add(self, run: Run, idempotency: Idempotency | None = None) -> Run:
        """Store a new run, or find the one with the same id or of the same idempotency key.

        Raises:
            Conflict: the idempotency key was used for another request.
        """

    def get(self, run_id: str, owner: str) -> Run:
        """Raises NotFound."""

    def page(
        self,
        owner: str,
        limit: int,
        cursor: str | None,
        model: str | None,
        state: RunState | None,
        silent_since: float,
    ) -> Page[Run]:
        """Newest first.

        Args:
            silent_since: notebooks' runs without a word since then are lost.

        Raises:
            InvalidInput: a bad cursor.
        """

    def append(self, run_id: str, owner: str, batch: Batch, now: float) -> Run:
        """Store the batch's new points and the run's new state in one transaction: all of it or nothing.

        Concurrent batches of a run take turns, so that numbers have no gaps.

        Raises:
            NotFound: there is no such run.
            Conflict: as ``Run.taking``.
        """

    def follow_job(self, run_id: str, owner: str, now: float) -> Run:
        """Let the run of a training stand as its job does: running while that is open, its points kept, and ended as
        that has ended.

        Both are looked at in one transaction, so that nobody who comes late sets back what a retry or an end brought
        meanwhile. Safe to repeat; a run whose job is gone stays as it is.

        Raises:
            NotFound: there is no such run.
        """

    def points(self, run_id: str, owner: str, after: int, limit: int, kind: PointKind | None) -> RunPoints:
        """Points with ``seq > after`` in order, of one kind or of both. Raises NotFound."""

    def remove(self, run_id: str, owner: str) -> None:
        """Forget the run and its points.

        Raises:
            NotFound: there is no such run.
            Conflict: a training of this backend is still writing it.
        """
