"""A training that is watched: the run, and the points of its curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortrigger_lab.wire.jobs import FINAL
from tensortrigger_lab.wire.reading import WireError, listed, mapping, member, number, text, whole

_NONE: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the backend describes it.

    Attributes:
        source: ``notebook`` for a fit that is watched from outside, ``backend`` for a training job.
        state: running, succeeded, failed, cancelled, or lost: a notebook that has fallen silent.
        epochs, steps_per_epoch: as planned; None where that is not known.
        epoch, step: of the latest point, from 1.
        metrics: the latest epoch's, else the latest point's; None for what is not finite.
        last_seq: the number of the latest point; 0 where there is none.
        created, last_updated, finished: ISO 8601, UTC.
    """

    run_id: str
    name: str
    state: str
    source: str = "notebook"
    model: str | None = None
    model_id: str | None = None
    job_id: str | None = None
    error: str | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    params: dict[str, Any] | None = None
    epoch: int | None = None
    step: int | None = None
    metrics: dict[str, float | None] | None = None
    metric_names: tuple[str, ...] = ()
    points: int = 0
    last_seq: int = 0
    created: str = ""
    last_updated: str = ""
    finished: str | None = None

    @property
    def final(self) -> bool:
        """Whether it will never change again; a lost run may come back."""
        return self.state in FINAL

    @classmethod
    def read(cls, members: Any) -> RunRecord:
        """From JSON."""
        return cls(
            member(members, "run_id", text),
            member(members, "name", text, ""),
            member(members, "state", text),
            member(members, "source", text, "notebook"),
            member(members, "model", text, None),
            member(members, "model_id", text, None),
            member(members, "job_id", text, None),
            member(members, "error", text, None),
            member(members, "epochs", whole, None),
            member(members, "steps_per_epoch", whole, None),
            member(members, "params", mapping, None),
            member(members, "epoch", whole, None),
            member(members, "step", whole, None),
            member(members, "metrics", metrics, None),
            member(members, "metric_names", listed(text), ()),
            member(members, "points", whole, 0),
            member(members, "last_seq", whole, 0),
            member(members, "created", text, ""),
            member(members, "last_updated", text, ""),
            member(members, "finished", text, None),
        )


@dataclass(frozen=True, slots=True)
class PointRecord:
    """One point of a run's curves.

    Attributes:
        seq: from 1 without a gap, given by the backend.
        kind: ``batch`` or ``epoch``; validation metrics come with epochs only.
        step: of the optimizer over all epochs, from 1.
        epoch: from 1.
        t: seconds since 1970.
        metrics: by name; None for what is not finite.
    """

    seq: int
    kind: str
    step: int
    epoch: int
    t: float
    metrics: dict[str, float | None]

    @classmethod
    def read(cls, members: Any) -> PointRecord:
        """From JSON."""
        return cls(
            member(members, "seq", whole),
            member(members, "kind", text, "batch"),
            member(members, "step", whole, 0),
            member(members, "epoch", whole, 0),
            member(members, "t", number, 0.0),
            member(members, "metrics", metrics, _NONE),
        )


@dataclass(frozen=True, slots=True)
class RunReceipt:
    """What the backend says to points that were sent: how many it has, and the run's state."""

    run_id: str
    last_seq: int
    state: str

    @classmethod
    def read(cls, members: Any) -> RunReceipt:
        """From JSON."""
        return cls(
            member(members, "run_id", text, ""),
            member(members, "last_seq", whole, 0),
            member(members, "state", text, "running"),
        )


def metrics(value: Any) -> dict[str, float | None]:
    """Numbers by name, None where one is not finite."""
    found = mapping(value)
    if any(entry is not None and not isinstance(entry, int | float) for entry in found.values()):
        raise WireError("a metric is no number")
    return {str(name): None if entry is None else float(entry) for name, entry in found.items()}
