"""Results and rejects of scoring jobs, read part by part, and only those parts that are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault, InvalidInput, InvalidJobState
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState, Reject
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.parts import Columns, KeptColumn, PartFormat
from tensortrigger_backend.ports.storage import BlobStore, Page

ROW: Final = "row"


@dataclass(frozen=True, slots=True)
class Span:
    """Data rows of a job, from ``first`` to before ``end``."""

    first: int = 0
    end: int | None = None

    def of(self, total: int) -> range:
        """Within a job of so many rows."""
        return range(min(self.first, total), total if self.end is None else min(self.end, total))


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """Scored rows of one partition, or of that part of it that was asked for.

    Attributes:
        first_row, count: data rows of the job that it covers, rejected ones included.
        rows: shape (n,): data rows of the job that were scored, ascending.
        outputs: each output by name, n rows each.
        kept: columns of the upload that were carried through.
    """

    first_row: int
    count: int
    rows: npt.NDArray[np.int64]
    outputs: Mapping[str, npt.NDArray[Any]]
    kept: Mapping[str, KeptColumn]
    job: Job

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Flat columns of the outputs by name, in the model's order."""
        flat = {}
        for name, values in self.outputs.items():
            matrix = values.reshape(len(self.rows), math.prod(values.shape[1:]))
            for place, column in enumerate(self.job.output_columns[name]):
                flat[column] = matrix[:, place]
        return flat

    def table(self) -> Columns:
        """All columns: the row, what was kept, and the outputs, by the names of ``column_names``."""
        kept = kept_names(self.job)
        return {
            ROW: self.rows,
            **{kept[name]: column for name, column in self.kept.items()},
            **self.columns(),
        }


def column_names(job: Job) -> list[str]:
    """Columns of the job's results, in order."""
    outputs = [name for names in job.output_columns.values() for name in names]
    return [ROW, *kept_names(job).values(), *outputs]


def kept_names(job: Job) -> dict[str, str]:
    """What each kept column is called in results: as in the upload, but for a suffix where that name is taken."""
    taken = {ROW, *(name for names in job.output_columns.values() for name in names)}
    names = {}
    for name in job.options.keep:
        free = name
        while free in taken:
            free += "_"
        taken.add(free)
        names[name] = free
    return names


class Results:
    """What scoring jobs have brought so far."""

    def __init__(self, jobs: JobStore, blobs: BlobStore, parts: PartFormat) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._parts = parts

    def scored(self, job: Job, span: Span) -> Iterator[ScoredPart]:
        """Scored rows in row order, part by part.

        Raises:
            InvalidJobState: the job has not succeeded, or is a training.
        """
        if job.kind is JobKind.TRAIN:
            raise InvalidJobState(
                f"This job is a training, which has no results: its metrics are at /jobs/{job.job_id}/metrics."
            )
        if job.state is not JobState.SUCCEEDED:
            raise InvalidJobState(
                f"Invalid job state: results are there once it succeeded, this one {_is(job)}."
            )
        return self._read(job, span.of(job.rows_total))

    def parquet(self, job: Job, span: Span) -> Iterator[bytes]:
        """They as one Parquet file. Raises as ``scored``."""
        self.scored(job, span)
        # JSON's members may be of another type in each row; every other format has one type a column.
        mixed = job.options.row_format is RowFormat.NDJSON and bool(job.options.keep)
        return self._parts.file(
            column_names(job), lambda: (part.table() for part in self.scored(job, span)), mixed
        )

    def rejects(self, job: Job, limit: int, cursor: str | None) -> Page[Reject]:
        """Rows that could not be scored, in row order, of the partitions that are done so far.

        Raises:
            InvalidInput: a bad cursor.
        """
        after = row_of(cursor)
        found: list[Reject] = []
        for rejects in self._rejected(job, after):
            found += rejects
            if len(found) > limit:
                return Page(tuple(found[:limit]), str(found[limit - 1].row))
        return Page(tuple(found), None)

    def all_rejects(self, job: Job) -> Iterator[list[Reject]]:
        """All of them, partition by partition."""
        return self._rejected(job, -1)

    def _rejected(self, job: Job, after: int) -> Iterator[list[Reject]]:
        for slice_, part in self._jobs.parts(job.job_id):
            if part.rejects_key is not None and slice_.first_row + slice_.rows - 1 > after:
                rejects = self._parts.decode_rejects(self._blobs.read(part.rejects_key))
                yield [reject for reject in rejects if reject.row > after]

    def _read(self, job: Job, asked: range) -> Iterator[ScoredPart]:
        for slice_, part in self._jobs.parts(job.job_id):
            first, end = max(slice_.first_row, asked.start), min(slice_.first_row + slice_.rows, asked.stop)
            if first >= end:
                continue
            read = self._parts.decode(self._blobs.read(part.results_key))
            rows, outputs, kept = read.rows, read.outputs, read.kept
            if end - first < slice_.rows:
                places = np.arange(*np.searchsorted(rows, (first, end)))
                rows = rows[places]
                outputs = {name: values[places] for name, values in outputs.items()}
                kept = {name: column.take(places) for name, column in kept.items()}
            yield ScoredPart(first, end - first, rows, outputs, kept, job)


def row_of(cursor: str | None) -> int:
    """The row after which a page begins; -1 for the first. Raises InvalidInput."""
    if cursor is None:
        return -1
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput.of(
            Fault(
                ("cursor",),
                "cursor",
                "This is no cursor: pass next_cursor of the page before, unchanged.",
            )
        )
    return int(cursor)


def _is(job: Job) -> str:
    return {"queued": "is queued", "running": "is running"}.get(str(job.state), f"has {job.state}").replace(
        "has cancelled", "was cancelled"
    )
