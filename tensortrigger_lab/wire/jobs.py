"""Background work as the backend describes it: the scoring of a CSV, or a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortrigger_lab.wire.reading import listed, member, number, text, whole

FINAL = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job has come: in rows, rejected ones among the done; a training in epochs and steps too."""

    rows_done: int = 0
    rows_total: int | None = None
    rows_rejected: int = 0
    rows_per_second: float | None = None
    seconds_left: float | None = None
    epochs_done: int = 0
    epochs_total: int | None = None
    step: int = 0
    steps_total: int | None = None

    @classmethod
    def read(cls, members: Any) -> JobProgress:
        """From JSON."""
        return cls(
            member(members, "rows_done", whole, 0),
            member(members, "rows_total", whole, None),
            member(members, "rows_rejected", whole, 0),
            member(members, "rows_per_second", number, None),
            member(members, "seconds_left", number, None),
            member(members, "epochs_done", whole, 0),
            member(members, "epochs_total", whole, None),
            member(members, "step", whole, 0),
            member(members, "steps_total", whole, None),
        )


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """How a training job trains.

    Attributes:
        source: where loss and optimizer come from: ``file``, ``inferred`` or ``request``.
        points: rows that it trains on and validates with.
        resumed_at: the epoch at which a restarted trainer went on; None where none was needed.
    """

    loss: str
    optimizer: str
    metrics: tuple[str, ...]
    learning_rate: float | None
    source: str
    epochs: int | None
    batch_size: int | None
    points: int | None
    resumed_at: int | None

    @classmethod
    def read(cls, members: Any) -> TrainingRecord:
        """From JSON."""
        return cls(
            member(members, "loss", _told, ""),
            member(members, "optimizer", _told, ""),
            member(members, "metrics", listed(_told), ()),
            member(members, "learning_rate", number, None),
            member(members, "source", text, ""),
            member(members, "epochs", whole, None),
            member(members, "batch_size", whole, None),
            member(members, "points", whole, None),
            member(members, "resumed_at", whole, None),
        )


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """The version that a training made."""

    model_id: str
    name: str
    version: int | None

    @classmethod
    def read(cls, members: Any) -> TrainedVersion:
        """From JSON."""
        return cls(
            member(members, "model_id", text),
            member(members, "name", text, ""),
            member(members, "version", whole, None),
        )


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the backend describes it.

    Attributes:
        state: queued, running, succeeded, failed or cancelled.
        kind: ``score`` for a CSV, ``train`` for a training.
        model_name, model_version: of ``model_id``, where the backend tells them.
        training: how it trains; None for a CSV.
        result: the new version of a training that has succeeded.
        run_id: where a training's metrics are.
        priority: 0 to 9; higher goes first among the jobs of one owner.
        row_format: csv, ndjson, parquet or arrow.
        keep: columns that the results carry through.
        webhook: the address that is told when it has ended.
    """

    job_id: str
    model_id: str
    state: str
    upload_size: int
    created: str
    last_updated: str
    progress: JobProgress
    error: str | None
    kind: str = "score"
    model_name: str | None = None
    model_version: int | None = None
    training: TrainingRecord | None = None
    result: TrainedVersion | None = None
    run_id: str | None = None
    priority: int | None = None
    row_format: str | None = None
    keep: tuple[str, ...] = ()
    webhook: str | None = None

    @property
    def final(self) -> bool:
        """Whether it will never change again."""
        return self.state in FINAL

    @classmethod
    def read(cls, members: Any) -> JobRecord:
        """From JSON."""
        return cls(
            member(members, "job_id", text),
            member(members, "model_id", text),
            member(members, "state", text),
            member(members, "upload_size", whole, 0),
            member(members, "created", text, ""),
            member(members, "last_updated", text, ""),
            member(members, "progress", JobProgress.read, JobProgress()),
            member(members, "error", text, None),
            member(members, "kind", text, "score"),
            member(members, "model_name", text, None),
            member(members, "model_version", whole, None),
            member(members, "training", TrainingRecord.read, None),
            member(members, "result", TrainedVersion.read, None),
            member(members, "run_id", text, None),
            member(members, "priority", whole, None),
            member(members, "row_format", text, None),
            member(members, "keep", listed(text), ()),
            member(members, "webhook", text, None),
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be scored.

    Attributes:
        row: counts data rows from 0.
        line: counts lines of the file from 1; None for files that have none.
    """

    row: int
    line: int | None
    field: str | None
    code: str
    message: str

    @classmethod
    def read(cls, members: Any) -> Reject:
        """From JSON."""
        return cls(
            member(members, "row", whole),
            member(members, "line", whole, None),
            member(members, "field", text, None),
            member(members, "code", text, ""),
            member(members, "message", text),
        )


def _told(value: Any) -> str:
    """A name, or whatever else it is as text: a loss an output stands as an object."""
    return value if isinstance(value, str) else str(value)
