"""A training run as it is watched: what a sender told of it so far, point by point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tensortrigger_backend.domain.errors import Conflict

SILENT_FOR = 60.0
"""Seconds without a word after which a notebook's run is taken for lost; its next word revives it."""
MAX_POINTS = 1_000_000
"""Points of one run."""
MAX_METRICS = 256
"""Different metrics of one run."""
MAX_HOLES = 1_000
"""Stretches of a sender's count that may be missing at a time; the oldest is then no longer waited for."""
MAX_ERROR = 10_000
"""Characters of an error that are kept."""


class RunState(StrEnum):
    """A run's life. ``lost`` is never stored: it is a running run that fell silent."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def final(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class RunSource(StrEnum):
    """Who trains: a notebook that reports from outside, or this backend."""

    NOTEBOOK = "notebook"
    BACKEND = "backend"


class PointKind(StrEnum):
    """What a point sums up."""

    BATCH = "batch"
    EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class Point:
    """Metrics at one moment of a run.

    Attributes:
        seq: its number within the run, from 1 and without gaps; 0 until it is stored.
        step: optimizer steps so far over all epochs, from 1.
        epoch: from 1.
        t: seconds since the epoch, UTC.
        metrics: by name; None stands for a value that is not finite.
    """

    seq: int
    kind: PointKind
    step: int
    epoch: int
    t: float
    metrics: Mapping[str, float | None]


def finite(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """The same metrics with None for what is NaN or infinite."""
    return {
        name: float(value) if value is not None and math.isfinite(value) else None
        for name, value in metrics.items()
    }


Stretches = tuple[tuple[int, int], ...]
"""Ascending, disjoint stretches [begin, end) of a sender's own count of its points."""


def missing(received: Stretches, first: int, count: int) -> tuple[list[int], Stretches]:
    """Which of ``count`` points from ``first`` on are new, and what is received with them.

    Returns:
        Places 0 .. count-1 of the new ones, ascending; and the stretches that include them.
    """
    end = first + count
    new: list[int] = []
    at = first
    for begin, until in received:
        if until <= at or begin >= end:
            continue
        new += range(at - first, max(begin - first, at - first))
        at = max(at, until)
    new += range(at - first, count)
    if not new:
        return [], received
    merged: list[tuple[int, int]] = []
    for begin, until in sorted([*received, (first, end)]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((begin, until))
    while len(merged) > MAX_HOLES:
        merged[:2] = [(merged[0][0], merged[1][1])]
    return new, tuple(merged)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one message of a sender tells.

    Attributes:
        points: in the sender's order; their ``seq`` is given on storing.
        first: how many points the sender had sent before this batch; None continues after the latest.
        state: the state that the run takes after these points; None leaves it.
        error: why it failed or was cancelled.
    """

    points: Sequence[Point] = ()
    first: int | None = None
    state: RunState | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands.

    Attributes:
        name: a human title.
        model: the name of the model that is trained; None when it has none yet.
        model_id: the version that a training of this backend began from.
        job_id: the training job of this backend, which is the run's id too; None for a notebook's run.
        epochs, steps_per_epoch: how much is planned, where it is known.
        epoch, step: the latest that were told.
        metrics: those of the latest epoch, or of the latest point while no epoch has ended.
        of_epoch: whether ``metrics`` are those of an epoch.
        metric_names: every metric that was ever told, in order of appearance.
        last_seq: number of the latest point, which is how many there are.
        received: what of the sender's own count has come in.
    """

    run_id: str
    owner: str
    name: str
    source: RunSource
    created: float
    last_updated: float
    state: RunState = RunState.RUNNING
    model: str | None = None
    model_id: str | None = None
    job_id: str | None = None
    error: str | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    step: int | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    of_epoch: bool = False
    metric_names: tuple[str, ...] = ()
    last_seq: int = 0
    received: Stretches = ()
    finished: float | None = None

    def seen_at(self, now: float) -> Run:
        """The run as a reader sees it: lost when a notebook has said nothing for a minute."""
        silent = self.source is RunSource.NOTEBOOK and now - self.last_updated > SILENT_FOR
        return replace(self, state=RunState.LOST) if self.state is RunState.RUNNING and silent else self

    def taking(self, batch: Batch, now: float) -> tuple[Run, list[Point]]:
        """The run after a batch, and the points of it that are new, numbered.

        Points that came before are passed over, so that a batch may be sent again.

        Raises:
            Conflict: the run has ended and this is more than a repetition, or it would grow too large.
        """
        count = len(batch.points)
        first = batch.first
        if first is None:
            first = self.received[-1][1] if self.received else 0
        places, received = missing(self.received, first, count)
        if self.state.final:
            if places or batch.state not in (None, self.state):
                raise Conflict(f"This run has {self.state} and takes nothing more: start another run.")
            return self, []
        if self.last_seq + len(places) > MAX_POINTS:
            raise Conflict(
                f"A run holds {MAX_POINTS:,} points at most and this one has {self.last_seq:,}: send every "
                "n-th batch, or epochs only."
            )
        new, names = [], dict.fromkeys(self.metric_names)
        for seq, place in enumerate(places, self.last_seq + 1):
            point = batch.points[place]
            metrics = finite(point.metrics)
            names.update(dict.fromkeys(metrics))
            new.append(replace(point, seq=seq, metrics=metrics))
        if len(names) > MAX_METRICS:
            raise Conflict(f"A run holds {MAX_METRICS} different metrics at most: tell fewer of them.")
        told = self._told(new)
        ended = batch.state is not None and batch.state.final
        return (
            replace(
                told,
                state=batch.state or self.state,
                error=batch.error[:MAX_ERROR] if ended and batch.error else self.error,
                metric_names=tuple(names),
                last_seq=self.last_seq + len(new),
                received=received,
                last_updated=now,
                finished=now if ended else None,
            ),
            new,
        )

    def standing(self, state: RunState, error: str | None, now: float) -> Run:
        """The run of a training whose job stands so."""
        error = error[:MAX_ERROR] if error else None
        if (self.state, self.error) == (state, error):
            return self
        return replace(
            self, state=state, error=error, last_updated=now, finished=now if state.final else None
        )

    def _told(self, new: Sequence[Point]) -> Run:
        """The run with the latest epoch, step and metrics of the new points."""
        if not new:
            return self
        epochs = [point for point in new if point.kind is PointKind.EPOCH]
        latest = epochs[-1] if epochs else None if self.of_epoch else new[-1]
        return replace(
            self,
            epoch=new[-1].epoch,
            step=new[-1].step,
            metrics=latest.metrics if latest is not None else self.metrics,
            of_epoch=self.of_epoch or bool(epochs),
        )

    def described(self) -> dict[str, Any]:
        """The native API's Run object, less the times, which the caller formats."""
        return {
            "run_id": self.run_id,
            "name": self.name,
            "model": self.model,
            "model_id": self.model_id,
            "job_id": self.job_id,
            "source": str(self.source),
            "state": str(self.state),
            "error": self.error,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "params": dict(self.params),
            "epoch": self.epoch,
            "step": self.step,
            "metrics": dict(self.metrics),
            "metric_names": list(self.metric_names),
            "points": self.last_seq,
            "last_seq": self.last_seq,
        }
