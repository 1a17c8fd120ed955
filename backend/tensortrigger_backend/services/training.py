"""Trainings as their owners see them: order one, cancel it, try it again."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.job_options import JobOptions
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState, Slice
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.domain.training import Choice, TrainingFacts, choose
from tensortrigger_backend.domain.training_jobs import TrainingOrder
from tensortrigger_backend.domain.training_options import TrainingOptions
from tensortrigger_backend.domain.training_points import points_of
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import BlobStore, Idempotency
from tensortrigger_backend.ports.training import PointFormat, Trainer
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.runs import Runs

MAX_QUEUED: Final = 100
"""Trainings of one owner that may wait; the points of each lie on disk meanwhile."""


@dataclass(frozen=True, slots=True)
class AskedTraining:
    """A version, and how it is to be trained."""

    version: ModelVersion
    signature: Signature
    options: TrainingOptions
    choice: Choice


class Training:
    """The trainings of their owners.

    Args:
        scratch: a folder for short-lived copies.
        told: called after a job was stored, so that the relay need not be waited for.
        interrupt: ends a training that this process is at work on.
        check_webhook: raises InvalidInput for an address that may not be told of a job's end.
    """

    def __init__(
        self,
        registry: Registry,
        jobs: JobStore,
        runs: Runs,
        blobs: BlobStore,
        points: PointFormat,
        trainer: Trainer,
        scratch: Path,
        clock: Callable[[], float],
        told: Callable[[], None],
        interrupt: Callable[[str], None],
        check_webhook: Callable[[str], object] = lambda _url: None,
    ) -> None:
        self._registry = registry
        self._jobs = jobs
        self._runs = runs
        self._blobs = blobs
        self._points = points
        self._trainer = trainer
        self._scratch = scratch
        self._clock = clock
        self._told = told
        self._interrupt = interrupt
        self._check_webhook = check_webhook

    def submit(
        self,
        principal: Principal,
        model_id: str | None,
        reference: str | None,
        body: Mapping[str, Any],
        idempotency: Idempotency | None = None,
    ) -> tuple[Job, bool]:
        """Make a training of the request's options and points; whether it is new.

        Args:
            body: ``epochs``, ``input_vectors`` and the other members of the request.

        Raises:
            Forbidden: the key may not run jobs, or not publish to this name.
            NotInstalled: there is no TensorFlow here.
            InvalidInput: naming every member or row that is wrong.
            NotFound, Unavailable: as ``Registry.resolve``.
            Conflict: the idempotency key was used for another request.
        """
        asked = self.asked(principal, model_id, reference, body)
        version, signature = asked.version, asked.signature
        points = points_of(body, signature, version.schema, version.resolved_schema, asked.choice)
        data = self._points.encode(points)

        def store(key: str) -> int:
            self._blobs.put(key, data)
            return len(data)

        return self.order(asked, points.count, points.indexed, store, idempotency)

    def asked(
        self, principal: Principal, model_id: str | None, reference: str | None, body: Mapping[str, Any]
    ) -> AskedTraining:
        """What a request asks for, before its points are looked at. Raises as ``submit``."""
        principal.must(Scope.JOBS)
        self._trainer.must_be_installed()
        options = TrainingOptions.parse(body)
        if options.webhook is not None:
            self._check_webhook(options.webhook)
        version = self._registry.resolve(principal.owner, model_id, reference)
        principal.must_publish_to(version.name)
        waiting = self._jobs.page(principal.owner, MAX_QUEUED, None, JobKind.TRAIN, JobState.QUEUED)
        if len(waiting.items) >= MAX_QUEUED:
            raise Unavailable(f"{MAX_QUEUED} of your trainings wait already.", retry_after=60.0)
        assert version.signature is not None
        return AskedTraining(
            version, version.signature, options, choose(options, self._facts(version), version.signature)
        )

    def order(
        self,
        asked: AskedTraining,
        count: int,
        indexed: Sequence[bool],
        store: Callable[[str], int],
        idempotency: Idempotency | None = None,
        rows_skipped: int = 0,
    ) -> tuple[Job, bool]:
        """Make a training of what was asked for and its points; whether it is new.

        Args:
            count: how many points.
            indexed: for each output, whether its labels are class indices.
            store: writes the points to a blob of the given key; its size.

        Raises:
            InvalidInput: the points are too few for what was asked.
            Conflict: the idempotency key was used for another request.
        """
        version = asked.version
        plan = asked.choice.planned(asked.options, asked.signature, count, indexed, seed=secrets.randbits(31))
        title = asked.options.title or f"{version.name}/{version.version}: {plan.epochs} epochs"
        order = TrainingOrder(plan, title, secrets.token_hex(16), rows_skipped)
        now, job_id = self._clock(), secrets.token_hex(16)
        key = f"{files_of(job_id)}/points"
        try:
            size = store(key)
            job = Job(
                job_id=job_id,
                owner=version.owner,
                model_id=version.model_id,
                state=JobState.QUEUED,
                upload_key=key,
                upload_size=size,
                columns=(),
                rows_total=count,
                created=now,
                last_updated=now,
                kind=JobKind.TRAIN,
                model_name=version.name,
                model_version=version.version,
                training=order.to_dict(),
                priority=asked.options.priority,
                options=JobOptions(webhook=asked.options.webhook),
            )
            stored = self._jobs.add(job, [Slice(0, 0, size, 0, count, 1)], idempotency)
        except Unavailable:
            # The job may have been written all the same; points without a job are found as such later.
            raise
        except BaseException:
            self._blobs.delete([key])
            raise
        if stored.job_id != job_id:
            self._blobs.delete([key])
            return stored, False
        open_run(self._runs, stored)
        self._told()
        return stored, True

    def cancel(self, principal: Principal, job_id: str) -> Job:
        """Cancel unless final already, its version too if that is just being made; safe to repeat."""
        principal.must(Scope.JOBS)
        before = self._jobs.get(job_id, principal.owner)
        job = self._jobs.cancel(job_id, principal.owner, self._clock())
        self._interrupt(job_id)
        if job.state is JobState.CANCELLED and not before.state.final:
            assert job.training is not None
            open_run(self._runs, job)
            self._runs.follow_job(job.owner, job_id)
            self._registry.withdraw(TrainingOrder.from_dict(job.training).new_model_id)
            self._blobs.delete(self._blobs.keys(files_of(job_id)))
        return job

    def retry(self, principal: Principal, job_id: str) -> Job:
        """Let a failed training go on after its last checkpoint; safe to repeat. Raises InvalidJobState."""
        principal.must(Scope.JOBS)
        job = self._jobs.retry(job_id, principal.owner, self._clock())
        if not job.state.final:
            open_run(self._runs, job)
            self._runs.follow_job(job.owner, job_id)
            self._told()
        return job

    def _facts(self, version: ModelVersion) -> TrainingFacts:
        assert version.servable_key is not None
        with tempfile.TemporaryDirectory(prefix="facts-", dir=self._scratch) as folder:
            artifact = Path(folder, "servable")
            self._blobs.fetch(version.servable_key, artifact)
            return self._trainer.facts(artifact)


def files_of(job_id: str) -> str:
    """Below which keys a training's points and checkpoints lie, for as long as it may still need them."""
    return f"jobs/{job_id}"


def open_run(runs: Runs, job: Job) -> None:
    """The run that shows a training's metrics; found if it is there. Safe to repeat."""
    assert job.training is not None
    order = TrainingOrder.from_dict(job.training)
    runs.open_for_job(
        job.owner,
        job.job_id,
        order.title,
        job.model_name,
        job.model_id,
        order.plan.epochs,
        order.plan.steps_per_epoch,
        order.plan.described(),
    )
