"""A job, cut into partitions that workers claim under a lease and a fence (docs/jobs.md).

A scoring job has a partition for each slice of its upload; a training has one, of all its points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tensortrigger_backend.domain.job_options import DEFAULT_PRIORITY, JobOptions
from tensortrigger_backend.domain.training_jobs import Trained, TrainingOrder, training_members

MAX_ATTEMPTS = 5
"""After so many attempts a partition fails, and its job once nothing else of it is left to do."""

WAITS = (0.0, 2.0, 10.0, 30.0)
"""Seconds before a partition is tried again after its first failed attempt, its second, and so on: what is away for a
moment, such as the storage, must not use up all attempts."""

INTAKE = -1
"""Number of the partition that fetches the rows of a source and cuts them; all others come of it."""


class JobState(StrEnum):
    """The job's life. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)

    @property
    def number(self) -> int:
        """``job_state`` of the native API: a cancelled job reads 3."""
        return {"queued": 0, "running": 1, "succeeded": 2}.get(self.value, 3)


class JobKind(StrEnum):
    """What a job does, and so which workers take it."""

    SCORE = "score"
    TRAIN = "train"


class PartitionState(StrEnum):
    """A partition's life: queued, claimed by one worker under a lease, then done or failed."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole records of an upload.

    Attributes:
        number: the partition's place in the job, from 0.
        offset, length: bytes of the upload.
        first_row, rows: data rows, counted from 0 without header and blank lines.
        first_line: line of the file where the slice begins, from 1.
    """

    number: int
    offset: int
    length: int
    first_row: int
    rows: int
    first_line: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands, with the sums over its partitions.

    Attributes:
        columns: the header of the uploaded CSV, in file order.
        output_columns: each output of the model to its flat column names, kept here so that results outlive
            the model.
        named_outputs: whether outputs were declared by name, so that each row's answer is an object.
        rows_done: rows of committed partitions, rejected ones included.
        attempts: how often partitions were claimed; more than ``partitions_done`` when work had to be repeated.
        rate: rows per second over the latest commits, or of the whole job once it has ended; None before the first.
        model_name, model_version: of ``model_id``, kept here so that they outlive the model.
        training: what a training was asked to do (``domain.training_jobs.TrainingOrder``); None for scoring.
        trained: how far it has come (``domain.training_jobs.Trained``); None before it began.
        priority: of 0 to 9; higher goes first among the jobs of one owner.
        options: what whoever ordered it chose.
    """

    job_id: str
    owner: str
    model_id: str
    state: JobState
    upload_key: str
    upload_size: int
    columns: tuple[str, ...]
    rows_total: int
    created: float
    last_updated: float
    output_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    named_outputs: bool = False
    started: float | None = None
    finished: float | None = None
    error: str | None = None
    rows_done: int = 0
    rows_rejected: int = 0
    partitions_total: int = 0
    partitions_done: int = 0
    partitions_failed: int = 0
    attempts: int = 0
    rate: float | None = None
    kind: JobKind = JobKind.SCORE
    model_name: str | None = None
    model_version: int | None = None
    training: Mapping[str, Any] | None = None
    trained: Mapping[str, Any] | None = None
    priority: int = DEFAULT_PRIORITY
    options: JobOptions = field(default_factory=JobOptions)
    rows_in_work: int = 0

    def described(self) -> dict[str, Any]:
        """The native API's Job object, less the times, which the caller formats."""
        left, rows_done = None, self.rows_done
        if not self.state.final:
            rows_done = min(self.rows_total, rows_done + self.rows_in_work)
            left = round((self.rows_total - rows_done) / self.rate, 1) if self.rate else None
        members: dict[str, Any] = {
            "job_id": self.job_id,
            "kind": str(self.kind),
            "model_id": self.model_id,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "upload_size": self.upload_size,
            "job_state": self.state.number,
            "state": str(self.state),
            "error": self.error,
        }
        progress = {
            "rows_done": rows_done,
            "rows_total": self.rows_total,
            "rows_rejected": self.rows_rejected,
            "rows_per_second": round(self.rate, 1) if self.rate else None,
            "seconds_left": 0.0 if self.state.final else left,
            "partitions_done": self.partitions_done,
            "partitions_total": self.partitions_total,
            "attempts": self.attempts,
        }
        if self.training is not None:
            order, trained = TrainingOrder.from_dict(self.training), Trained()
            if self.trained is not None:
                trained = Trained.from_dict(self.trained)
            more, further = training_members(self.job_id, order, trained, self.state.final, self.rows_total)
            members |= more
            progress |= {**further, "rows_per_second": None}
        return {**members, "progress": progress}


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's right to work on one partition, until ``lease_until`` and only while ``fence`` is the newest.

    Attributes:
        options, training, trained: as the job has them.
    """

    job_id: str
    owner: str
    model_id: str
    upload_key: str
    columns: tuple[str, ...]
    slice: Slice
    fence: int
    attempt: int
    lease_until: float
    training: Mapping[str, Any] | None = None
    trained: Mapping[str, Any] | None = None
    options: JobOptions = field(default_factory=JobOptions)

    @property
    def retry_wait(self) -> float:
        """Seconds before the partition is tried again, should this attempt fail."""
        return WAITS[min(self.attempt, len(WAITS)) - 1]


@dataclass(frozen=True, slots=True)
class Part:
    """What one attempt at a partition wrote: immutable blobs under keys that hold the fence.

    Attributes:
        results_size, results_sha256: of the blob of results, for the manifest; None in parts of earlier days.
    """

    results_key: str
    rejects_key: str | None
    rows_scored: int
    rows_rejected: int
    non_finite: int = 0
    results_size: int | None = None
    results_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """What an intake made of the rows of a source.

    Attributes:
        upload_key: of the blob that holds them now, as plain rows.
        size: of that blob, in bytes.
    """

    slices: tuple[Slice, ...]
    columns: tuple[str, ...]
    upload_key: str
    size: int


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition as its job's owner sees it.

    Attributes:
        rows_done: rows of it that were scored in the running attempt, or all of them once it is done.
        worker: who holds it, or held it last.
        error: of the latest attempt that failed.
    """

    slice: Slice
    state: PartitionState
    attempts: int
    rows_done: int
    rows_rejected: int
    worker: str | None
    claimed: float | None
    committed: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a job's log.

    Attributes:
        number: counts up within the job, with gaps.
        at: seconds since the epoch, UTC.
        level: ``info``, ``warning`` or ``error``.
        partition: what it is about; None for the job as a whole.
    """

    number: int
    at: float
    level: str
    message: str
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be scored.

    Attributes:
        row: data row from 0.
        line: line of the uploaded file where the record begins, from 1; None in a file that has no lines.
        expected, got: what the field takes, and what stood there; None in rejects of earlier days.
    """

    row: int
    line: int | None
    field: str | None
    code: str
    message: str
    expected: str | None = None
    got: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "line": self.line,
            "field": self.field,
            "code": self.code,
            "message": self.message,
            "expected": self.expected,
            "got": self.got,
        }


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A message: look at this partition. It carries only ids, so losing it loses nothing.

    Attributes:
        kind: which workers it is for.
    """

    job_id: str
    partition: int
    kind: JobKind = JobKind.SCORE
