"""Scoring jobs as their owners see them: take an upload or an order for one, tell how far it is, hand out results."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import Fault, InvalidInput, NotFound, Unavailable
from tensortrigger_backend.domain.job_options import DEFAULT_PRIORITY, JobOptions, RowFormat
from tensortrigger_backend.domain.jobs import INTAKE, Job, JobKind, JobState, Reject, Slice
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.upload_format import MAGIC_BYTES, media_type_of
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.parts import PartFormat
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.ports.sources import Sources
from tensortrigger_backend.ports.storage import BlobStore, Idempotency, Page
from tensortrigger_backend.services.intake import Formats, Intake, check_options, wanted_of
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.remote_intake import waiting_key
from tensortrigger_backend.services.results import ROW, Results, ScoredPart, Span
from tensortrigger_backend.services.steps import Step, keep_going

UPLOAD_SECONDS: Final = 3600.0
"""How long a URL takes an upload."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Leave to put rows at a URL, for a job that names ``upload_id`` afterwards."""

    upload_id: str
    url: str
    expires: float


class Scoring:
    """The jobs of their owners.

    Args:
        sources: from which jobs may read; None where none are configured.
        told: called after a job was stored, so that the relay need not be waited for.
        check_webhook: raises InvalidInput for an address that may not be told of a job's end.
        at: called at each step of the protocol.
    """

    def __init__(
        self,
        registry: Registry,
        jobs: JobStore,
        blobs: BlobStore,
        formats: Formats,
        parts: PartFormat,
        size: CutSize,
        clock: Callable[[], float],
        told: Callable[[], None],
        sources: Sources | None = None,
        check_webhook: Callable[[str], object] = lambda _url: None,
        at: Callable[[Step], None] = keep_going,
    ) -> None:
        self._registry = registry
        self._jobs = jobs
        self._blobs = blobs
        self._formats = formats
        self._size = size
        self._clock = clock
        self._told = told
        self._sources = sources
        self._check_webhook = check_webhook
        self._at = at
        self._results = Results(jobs, blobs, parts)

    def intake(
        self,
        principal: Principal,
        model_id: str | None,
        reference: str | None,
        options: JobOptions | None = None,
        row_format: RowFormat | None = None,
        idempotent: bool = True,
    ) -> Intake:
        """Open an upload for the named model; ``submit`` makes it a job.

        Args:
            row_format: None where the first bytes tell, or else it is a CSV.
            idempotent: whether ``submit`` may be given an idempotency key, which goes by the content.

        Raises:
            Forbidden, NotFound, Unavailable, InvalidInput: it cannot be scored.
        """
        options = options or JobOptions()
        version = self._version(principal, model_id, reference, options)
        key = f"jobs/{secrets.token_hex(16)}/upload"
        return Intake(self._blobs, self._formats, key, version, options, self._size, row_format, idempotent)

    def submit(
        self, intake: Intake, idempotency: Idempotency | None = None, priority: int = DEFAULT_PRIORITY
    ) -> tuple[Job, bool]:
        """Make the upload a job, all of it in one transaction; whether it is new.

        Raises:
            Conflict: the idempotency key was used for another upload.
        """
        self._at(Step.UPLOAD_STORED)
        job_id = intake.key.split("/")[1]
        job = replace(
            self._job(job_id, intake.version, intake.options, priority),
            upload_key=intake.key,
            upload_size=intake.writer.size,
            columns=intake.splitter.columns,
            rows_total=intake.splitter.rows,
        )
        if idempotency is not None:
            idempotency = idempotency.bound_to(intake.writer.sha256)
        try:
            stored = self._jobs.add(job, intake.slices, idempotency)
        except Unavailable:
            # The job may have been written all the same; an upload without a job is found as such later.
            intake.keep()
            raise
        if stored.job_id != job.job_id:
            return stored, False
        intake.keep()
        self._at(Step.JOB_WRITTEN)
        self._told()
        self._at(Step.TOLD)
        return stored, True

    def fetch(
        self,
        principal: Principal,
        model_id: str | None,
        reference: str | None,
        options: JobOptions,
        idempotency: Idempotency | None = None,
        priority: int = DEFAULT_PRIORITY,
    ) -> tuple[Job, bool]:
        """Make a job of rows that a worker fetches from ``options.source``; whether it is new.

        Raises:
            NotFound: there is no such source, or nothing was uploaded.
            InvalidInput: the model takes no rows, or the options contradict each other.
        """
        version = self._version(principal, model_id, reference, options)
        check_options(options.row_format, options)
        assert options.source is not None
        if options.source.name is None:
            self._must_be_there(options.source.key)
        elif options.source.name not in self.sources(principal):
            raise NotFound(f"There is no source {options.source.name[:80]!r}: GET /jobs/sources lists them.")
        job = self._job(secrets.token_hex(16), version, options, priority)
        stored = self._jobs.add(job, [Slice(INTAKE, 0, 0, 0, 0, 1)], idempotency)
        if stored.job_id != job.job_id:
            return stored, False
        self._at(Step.JOB_WRITTEN)
        self._told()
        self._at(Step.TOLD)
        return stored, True

    def sources(self, principal: Principal) -> list[str]:
        """Names of the configured sources."""
        principal.must(Scope.JOBS)
        return [] if self._sources is None else self._sources.names()

    def invite(self, principal: Principal) -> Upload:
        """Leave to upload rows past this server, straight to the storage.

        Raises:
            InvalidInput: the storage takes no uploads by URL.
        """
        principal.must(Scope.JOBS)
        upload_id = secrets.token_hex(16)
        url = self._blobs.presign(waiting_key(principal.owner, upload_id), UPLOAD_SECONDS)
        if url is None:
            message = "The storage of this server takes no uploads by URL: stream the rows to POST /jobs."
            raise InvalidInput.of(Fault(("upload",), "no_presigned_uploads", message))
        return Upload(upload_id, url, self._clock() + UPLOAD_SECONDS)

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
        """The rows as they are stored: unpacked, and in UTF-8; the caller closes the stream.

        Raises:
            NotFound: there is no such job, its rows were not fetched yet, or it is a training that has ended.
        """
        job = self.find(principal, job_id)
        if not job.upload_key:
            raise NotFound("The rows of this job were not fetched yet.")
        try:
            return self._blobs.open(job.upload_key)
        except NotFound:
            if job.kind is not JobKind.TRAIN:
                raise
            raise NotFound("The points of a training are kept only until it has ended.") from None

    def media_type(self, job: Job) -> str:
        """Of what ``upload`` gives."""
        if job.kind is JobKind.TRAIN:
            return "application/zip"
        beginning = b""
        if job.options.row_format is RowFormat.ARROW:
            beginning = self._blobs.read(job.upload_key, 0, MAGIC_BYTES)
        return media_type_of(job.options.row_format, beginning)

    def results(self, principal: Principal, job_id: str, span: Span | None = None) -> Iterator[ScoredPart]:
        """Scored rows in row order, part by part. Raises InvalidJobState as ``Results.scored``."""
        return self._results.scored(self.find(principal, job_id), span or Span())

    def results_file(self, principal: Principal, job_id: str, span: Span | None = None) -> Iterator[bytes]:
        """They as one Parquet file. Raises as ``results``."""
        return self._results.parquet(self.find(principal, job_id), span or Span())

    def rejects(self, principal: Principal, job_id: str, limit: int, cursor: str | None) -> Page[Reject]:
        """Rows that could not be scored; see ``Results.rejects``."""
        return self._results.rejects(self.find(principal, job_id), limit, cursor)

    def all_rejects(self, principal: Principal, job_id: str) -> Iterator[list[Reject]]:
        """All of them, partition by partition."""
        return self._results.all_rejects(self.find(principal, job_id))

    def _version(
        self, principal: Principal, model_id: str | None, reference: str | None, options: JobOptions
    ) -> ModelVersion:
        principal.must(Scope.JOBS)
        if options.webhook is not None:
            self._check_webhook(options.webhook)
        version = self._registry.resolve(principal.owner, model_id, reference)
        wanted_of(version, options)
        return version

    def _must_be_there(self, key: str) -> None:
        try:
            self._blobs.open(key).close()
        except NotFound:
            upload_id = key.rpartition("/")[2]
            message = f"Nothing was uploaded under upload_id {upload_id!r}: PUT the rows to its url first."
            expected = "the upload_id of rows that are there"
            raise NotFound(message, [Fault(("upload_id",), "nothing_uploaded", message, expected)]) from None

    def _job(self, job_id: str, version: ModelVersion, options: JobOptions, priority: int) -> Job:
        now = self._clock()
        return Job(
            job_id=job_id,
            owner=version.owner,
            model_id=version.model_id,
            state=JobState.QUEUED,
            upload_key="",
            upload_size=0,
            columns=(),
            rows_total=0,
            created=now,
            last_updated=now,
            output_columns=_output_columns(version),
            named_outputs=bool(version.schema and version.schema.outputs),
            model_name=version.name,
            model_version=version.version,
            priority=priority,
            options=options,
        )


def _output_columns(version: ModelVersion) -> dict[str, list[str]]:
    """Column names of each output: declared ones, else the output's own name, numbered if it is wide.

    No name stands twice, and none is ``row``, which is the first column of every result.
    """
    assert version.signature is not None
    taken = {ROW}
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
