"""What comes after a job's last commit: its manifest, its end, and nothing left behind of attempts that died."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.domain.jobs import Job, JobState, Part, Slice
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.services.steps import Step, keep_going

log = structlog.get_logger(__name__)

GRACE: Final = 600.0
"""Seconds after a job's end before anything of it is removed. What is removed was written in the first half of them, by
workers that still believed in their claims; what is younger may be of a job that is tried again just now."""

EVERY: Final = 60.0
AT_ONCE: Final = 50
"""Jobs that one round tidies up after: it runs between other work."""


class Completion:
    """Completes jobs. Any number of processes may do so at once.

    Args:
        at: called at each step of the protocol.
        timer: seconds that pass whatever is done to the clock.
    """

    def __init__(
        self,
        jobs: JobStore,
        blobs: BlobStore,
        clock: Callable[[], float],
        at: Callable[[Step], None] = keep_going,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._clock = clock
        self._at = at
        self._timer = timer
        self._next = 0.0

    def finish(self, job_id: str) -> None:
        """Write the manifest and complete the job, if all of its partitions are done. Safe to repeat."""
        if not self._jobs.all_done(job_id):
            return
        parts = self._jobs.parts(job_id)
        self._blobs.put(f"jobs/{job_id}/manifest", manifest_of(parts))
        self._at(Step.MANIFEST_WRITTEN)
        finished = self._jobs.finish(job_id, self._clock())
        self._at(Step.FINISHED)
        if finished:
            log.info("job.succeeded", job_id=job_id, partitions=len(parts))
            self._keep_only(job_id, parts)

    def look_after(self) -> None:
        """Remove what dead attempts left of jobs that ended a while ago; quick when that was done just now."""
        moment = self._timer()
        if moment < self._next:
            return
        self._next = moment + EVERY
        now = self._clock()
        for job in self._jobs.untidied(now - GRACE, AT_ONCE):
            # Others of them took their time: this one may be tried again by now.
            if self._ended_at(job) == job.finished:
                self._tidy(job)
                self._jobs.tidied(job.job_id, now)

    def _ended_at(self, job: Job) -> float | None:
        try:
            return self._jobs.get(job.job_id, job.owner).finished
        except NotFound:
            return None

    def _tidy(self, job: Job) -> None:
        assert job.finished is not None
        before = job.finished + GRACE / 2
        # What a cancelled job had scored is never handed out; a failed one goes on from there when tried again.
        kept = [] if job.state is JobState.CANCELLED else self._jobs.parts(job.job_id)
        self._keep_only(job.job_id, kept, before)
        there = self._blobs.keys(f"jobs/{job.job_id}", before)
        self._blobs.delete([key for key in there if _is_other_upload(key, job)])

    def _keep_only(
        self, job_id: str, parts: Sequence[tuple[Slice, Part]], before: float | None = None
    ) -> None:
        kept = {key for _, part in parts for key in (part.results_key, part.rejects_key)}
        there = self._blobs.keys(f"jobs/{job_id}/parts", before)
        self._blobs.delete([key for key in there if key not in kept])


def _is_other_upload(key: str, job: Job) -> bool:
    """Whether this is a copy of the rows that an attempt at fetching them left."""
    return key.startswith(f"jobs/{job.job_id}/upload") and key != job.upload_key


def manifest_of(parts: Sequence[tuple[Slice, Part]]) -> bytes:
    """The ordered parts of a job that is done, as JSON: what a reader of the storage alone needs."""
    ordered = [
        {
            "partition": slice_.number,
            "first_row": slice_.first_row,
            "rows": slice_.rows,
            "scored": part.rows_scored,
            "rejected": part.rows_rejected,
            "results": part.results_key,
            "size": part.results_size,
            "sha256": part.results_sha256,
            "rejects": part.rejects_key,
        }
        for slice_, part in parts
    ]
    return json.dumps({"rows": sum(slice_.rows for slice_, _ in parts), "parts": ordered}).encode()
