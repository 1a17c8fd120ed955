"""CSV jobs as their owners see them: take an upload, tell how far it is, hand out results and rejects."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.csv_rows import CsvSplitter
from tensortrigger_backend.domain.errors import (
    Fault,
    InvalidInput,
    InvalidJobState,
    NotFound,
    PayloadTooLarge,
)
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState, Reject, Slice
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.ports.jobs import JobStore, PartFormat
from tensortrigger_backend.ports.storage import BlobStore, Idempotency, Page
from tensortrigger_backend.services.registry import Registry

OUTPUT_BYTES: Final = 32 << 20
"""Outputs of one partition, roughly."""


@dataclass(frozen=True, slots=True)
class CsvLimits:
    """Where an upload is cut, and how large it may be."""

    slice_rows: int
    slice_bytes: int
    upload_bytes: int


class CsvIntake:
    """One upload on its way to storage, cut into slices as it comes in.

    Nothing of it is kept unless ``Scoring.submit`` takes it over.
    """

    def __init__(self, blobs: BlobStore, owner: str, version: ModelVersion, limits: CsvLimits) -> None:
        schema = version.resolved_schema
        if schema is None:
            raise InvalidInput.of(
                Fault(
                    ("model",),
                    "takes_tensors",
                    "A CSV is scored by models that take one vector; this one takes other tensors.",
                    "a model with one input of shape (batch, n)",
                )
            )
        self.owner = owner
        self.version = version
        self.job_id = secrets.token_hex(16)
        self.key = f"jobs/{self.job_id}/upload"
        self.slices: list[Slice] = []
        # A partition's outputs are held in memory whole, so a wide model gets partitions of fewer rows.
        rows = max(1, min(limits.slice_rows, OUTPUT_BYTES // (8 * _output_width(version))))
        self.splitter = CsvSplitter(schema.input_names, rows, limits.slice_bytes)
        self._limit = limits.upload_bytes
        self.writer = blobs.writer(self.key)

    def feed(self, data: bytes) -> None:
        """The next block of the file.

        Raises:
            InvalidInput: the file is not a CSV with the columns of the model.
            PayloadTooLarge: it is over the limit.
        """
        if self.writer.size + len(data) > self._limit:
            raise PayloadTooLarge(f"The CSV is over the limit of {self._limit} bytes.")
        self.slices.extend(self.splitter.feed(data))
        self.writer.write(data)

    def finish(self) -> None:
        """The file has ended. Raises InvalidInput as ``feed``."""
        self.slices.extend(self.splitter.finish())

    def abort(self) -> None:
        """Keep nothing. Safe to repeat."""
        self.writer.abort()


class Scoring:
    """The jobs of their owners.

    Args:
        told: called after a job was stored, so that the relay need not be waited for.
    """

    def __init__(
        self,
        registry: Registry,
        jobs: JobStore,
        blobs: BlobStore,
        parts: PartFormat,
        limits: CsvLimits,
        clock: Callable[[], float],
        told: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._jobs = jobs
        self._blobs = blobs
        self._parts = parts
        self._limits = limits
        self._clock = clock
        self._told = told

    def intake(self, principal: Principal, model_id: str | None, reference: str | None) -> CsvIntake:
        """Open an upload for the named model.

        Raises:
            Forbidden, NotFound, Unavailable, InvalidInput: it cannot be scored.
        """
        principal.must(Scope.JOBS)
        version = self._registry.resolve(principal.owner, model_id, reference)
        return CsvIntake(self._blobs, principal.owner, version, self._limits)

    def submit(self, intake: CsvIntake, idempotency: Idempotency | None = None) -> tuple[Job, bool]:
        """Make the upload a job, all of it in one transaction; whether it is new.

        Raises:
            Conflict: the idempotency key was used for another upload.
        """
        intake.writer.commit()
        now = self._clock()
        job = Job(
            job_id=intake.job_id,
            owner=intake.owner,
            model_id=intake.version.model_id,
            state=JobState.QUEUED,
            upload_key=intake.key,
            upload_size=intake.writer.size,
            columns=intake.splitter.columns,
            rows_total=intake.splitter.rows,
            created=now,
            last_updated=now,
            output_columns=_output_columns(intake.version),
            named_outputs=bool(intake.version.schema and intake.version.schema.outputs),
            model_name=intake.version.name,
            model_version=intake.version.version,
        )
        if idempotency is not None:
            idempotency = idempotency.bound_to(intake.writer.sha256)
        try:
            stored = self._jobs.add(job, intake.slices, idempotency)
        except BaseException:
            self._blobs.delete([intake.key])
            raise
        if stored.job_id != job.job_id:
            self._blobs.delete([intake.key])
            return stored, False
        self._told()
        return stored, True

    def find(self, principal: Principal, job_id: str) -> Job:
        """One job. Raises NotFound."""
        principal.must(Scope.READ)
        return self._jobs.get(job_id, principal.owner)

    def page(
        self,
        principal: Principal,
        limit: int,
        cursor: str | None,
        kind: JobKind | None = None,
        state: JobState | None = None,
    ) -> Page[Job]:
        """The caller's jobs, newest first."""
        principal.must(Scope.READ)
        return self._jobs.page(principal.owner, limit, cursor, kind, state)

    def cancel(self, principal: Principal, job_id: str) -> Job:
        """Cancel unless final already; safe to repeat. Raises NotFound."""
        principal.must(Scope.JOBS)
        return self._jobs.cancel(job_id, principal.owner, self._clock())

    def retry(self, principal: Principal, job_id: str) -> Job:
        """Queue the failed partitions of a failed job again; safe to repeat. Raises InvalidJobState."""
        principal.must(Scope.JOBS)
        job = self._jobs.retry(job_id, principal.owner, self._clock())
        self._told()
        return job

    def upload(self, principal: Principal, job_id: str) -> BinaryIO:
        """The uploaded bytes; the caller closes the stream.

        Raises:
            NotFound: there is no such job, or it is a training that has ended.
        """
        job = self.find(principal, job_id)
        try:
            return self._blobs.open(job.upload_key)
        except NotFound:
            if job.kind is not JobKind.TRAIN:
                raise
            raise NotFound("The points of a training are kept only until it has ended.") from None

    def results(self, principal: Principal, job_id: str) -> Iterator[ScoredPart]:
        """Scored rows in row order, part by part.

        Raises:
            InvalidJobState: the job has not succeeded, or is a training.
        """
        job = self.find(principal, job_id)
        if job.kind is JobKind.TRAIN:
            raise InvalidJobState(
                f"This job is a training, which has no results: its metrics are at /jobs/{job_id}/metrics."
            )
        if job.state is not JobState.SUCCEEDED:
            raise InvalidJobState(
                f"Invalid job state: results are there once it succeeded, this one {_is(job)}."
            )
        return self._scored(job)

    def rejects(self, principal: Principal, job_id: str, limit: int, cursor: str | None) -> Page[Reject]:
        """Rows that could not be scored, in row order, of the partitions that are done so far.

        Raises:
            InvalidInput: a bad cursor.
        """
        self.find(principal, job_id)
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise InvalidInput.of(
                Fault(
                    ("cursor",),
                    "cursor",
                    "This is no cursor: pass next_cursor of the page before, unchanged.",
                )
            )
        after = int(cursor) if cursor is not None else -1
        found: list[Reject] = []
        for slice_, part in self._jobs.parts(job_id):
            if part.rejects_key is None or slice_.first_row + slice_.rows - 1 <= after:
                continue
            rejects = self._parts.decode_rejects(self._blobs.read(part.rejects_key))
            found += [reject for reject in rejects if reject.row > after]
            if len(found) > limit:
                return Page(tuple(found[:limit]), str(found[limit - 1].row))
        return Page(tuple(found), None)

    def _scored(self, job: Job) -> Iterator[ScoredPart]:
        for slice_, part in self._jobs.parts(job.job_id):
            rows, outputs = self._parts.decode(self._blobs.read(part.results_key))
            yield ScoredPart(slice_, rows, outputs, job)


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """Scored rows of one slice.

    Attributes:
        rows: shape (n,): data rows of the job, ascending.
        outputs: each output by name, n rows each.
    """

    slice: Slice
    rows: npt.NDArray[np.int64]
    outputs: Mapping[str, npt.NDArray[Any]]
    job: Job

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Flat columns by name, in the model's order."""
        flat = {}
        for name, values in self.outputs.items():
            matrix = values.reshape(len(self.rows), math.prod(values.shape[1:]))
            for place, column in enumerate(self.job.output_columns[name]):
                flat[column] = matrix[:, place]
        return flat


def _output_columns(version: ModelVersion) -> dict[str, list[str]]:
    """Column names of each output: declared ones, else the output's own name, numbered if it is wide.

    No name stands twice, and none is ``row``, which is the first column of every result.
    """
    assert version.signature is not None
    taken = {"row"}
    columns = {}
    for spec in version.signature.outputs:
        width = math.prod(max(length, 1) for length in spec.shape[1:])
        if version.schema is not None and version.schema.outputs and len(version.signature.outputs) == 1:
            names = list(version.schema.output_names)
        elif width == 1:
            names = [spec.name]
        else:
            names = [f"{spec.name}_{place}" for place in range(width)]
        for place, name in enumerate(names):
            while name in taken:
                name += "_"
            taken.add(name)
            names[place] = name
        columns[spec.name] = names
    return columns


def _output_width(version: ModelVersion) -> int:
    """Numbers that the model answers for one row."""
    assert version.signature is not None
    shapes = [spec.shape[1:] for spec in version.signature.outputs]
    return sum(math.prod(max(length, 1) for length in shape) for shape in shapes)


def _is(job: Job) -> str:
    return {"queued": "is queued", "running": "is running"}.get(str(job.state), f"has {job.state}").replace(
        "has cancelled", "was cancelled"
    )
