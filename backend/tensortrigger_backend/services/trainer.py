"""Work on trainings: claim one, follow its child, keep its checkpoints, publish what it made (docs/jobs.md)."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import (
    InvalidInput,
    NotFound,
    NotInstalled,
    Overrun,
    TensorTriggerError,
    Unavailable,
)
from tensortrigger_backend.domain.jobs import Claim, Job, JobState, WakeUp
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.training_jobs import TrainingOrder
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.training import Trainer, TrainingSession, TrainingStore
from tensortrigger_backend.ports.versions import ModelStore
from tensortrigger_backend.services.heartbeat import Heartbeat, LostClaim
from tensortrigger_backend.services.publishing import Line
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.training import files_of, open_run
from tensortrigger_backend.services.training_follower import Follower

log = structlog.get_logger(__name__)

RENEW_SECONDS: Final = 2.0
"""A cancellation in another process is noticed within so many seconds; one in this process at once."""
WAIT_SECONDS: Final = 0.2


class Stopping(Exception):
    """This process is about to end."""


class TrainingWorker:
    """Works on one training at a time.

    Args:
        name: unique to this worker's process and start.
        scratch: a folder for short-lived copies.
        lease: seconds for which a claim holds without being renewed.
        time_limit: seconds that one attempt may train.
        told: called when there is something in the outbox.
    """

    def __init__(
        self,
        name: str,
        jobs: JobStore,
        trainings: TrainingStore,
        models: ModelStore,
        runs: Runs,
        blobs: BlobStore,
        registry: Registry,
        publish_line: Line,
        trainer: Trainer,
        scratch: Path,
        clock: Callable[[], float],
        lease: float,
        time_limit: float,
        told: Callable[[], None],
    ) -> None:
        self._name = name
        self._jobs = jobs
        self._trainings = trainings
        self._models = models
        self._runs = runs
        self._blobs = blobs
        self._registry = registry
        self._publish_line = publish_line
        self._trainer = trainer
        self._scratch = scratch
        self._clock = clock
        self._lease = lease
        self._time_limit = time_limit
        self._told = told
        self._stopping = False
        self._lock = threading.Lock()
        self._at_work: tuple[str, TrainingSession] | None = None

    def stop(self) -> None:
        """Take nothing more, and hand back the training in hand: it goes on after its last checkpoint."""
        self._stopping = True
        self._interrupt_any()

    def interrupt(self, job_id: str) -> None:
        """End the child of this training, if it is at work here."""
        with self._lock:
            at_work = self._at_work
        if at_work is not None and at_work[0] == job_id:
            at_work[1].kill()

    def handle(self, wake_up: WakeUp) -> None:
        """Do what the message is about, if there is still something to do. Safe to repeat."""
        if self._stopping:
            return
        claim = self._jobs.claim(wake_up, self._name, self._clock(), self._lease)
        if claim is None:
            return
        try:
            every = min(self._lease / 3, RENEW_SECONDS)
            with Heartbeat(
                self._jobs, claim, self._clock, self._lease, every, lambda: self.interrupt(claim.job_id)
            ) as heartbeat:
                self._work(claim, heartbeat)
        except LostClaim:
            pass
        except Stopping:
            self._jobs.hand_back(claim, self._clock())
            return
        except (InvalidInput, NotFound, NotInstalled, Overrun) as error:
            # The same training would end the same way: trying again would only hide it longer.
            self._jobs.give_up(claim, error.detail, final=True, now=self._clock())
        except TensorTriggerError as error:
            log.warning("training.interrupted", job_id=claim.job_id, reason=error.detail)
            self._give_up(claim, error.detail)
        except Exception as error:
            log.exception("training.failed", job_id=claim.job_id)
            self._give_up(claim, f"{type(error).__name__}: {error}")
        self._settle_one(self._jobs.get(claim.job_id, claim.owner))
        self._told()

    def _give_up(self, claim: Claim, reason: str) -> None:
        self._jobs.give_up(claim, reason, final=False, now=self._clock(), wait=claim.retry_wait)

    def settle(self) -> None:
        """Bring in order what trainings left whose process died at their end. Safe to repeat."""
        for job in self._trainings.unheard():
            self._settle_one(job)

    def _settle_one(self, job: Job) -> None:
        """Let the run and the version of a training follow its job, once that has ended."""
        if not job.state.final or job.training is None:
            return
        if job.state is not JobState.SUCCEEDED:
            self._registry.withdraw(TrainingOrder.from_dict(job.training).new_model_id)
        if job.state is not JobState.FAILED:
            # A failed one may be tried again, and then goes on from there.
            self._blobs.delete(self._blobs.keys(files_of(job.job_id)))
        # Whoever deleted the run of an ended training does not get it back.
        with contextlib.suppress(NotFound):
            self._runs.follow_job(job.owner, job.job_id)

    def _work(self, claim: Claim, heartbeat: Heartbeat) -> None:
        assert claim.training is not None
        order = TrainingOrder.from_dict(claim.training)
        # Found, unless whoever took the order died before there was one.
        open_run(self._runs, self._jobs.get(claim.job_id, claim.owner))
        # Whoever has it tried again may not have come yet to set its run running.
        self._runs.follow_job(claim.owner, claim.job_id)
        follower = Follower(claim, self._trainings, self._runs, self._blobs, self._clock, heartbeat)
        if not self._made(order.new_model_id):
            self._train(claim, order, heartbeat, follower)
        version = self._published(order.new_model_id, heartbeat)
        if version.state is not VersionState.READY:
            faults = version.report.get("faults") or [{"message": "it was refused."}]
            self._registry.forget(version.model_id)
            reason = f"The trained model cannot be published: {faults[0]['message']}"
            if faults[0].get("code") == "forge_failed":
                raise Unavailable(reason)
            raise InvalidInput(reason)
        trained = replace(
            follower.trained,
            epochs_done=order.plan.epochs,
            step=order.plan.epochs * order.plan.steps_per_epoch,
            result={"model_id": version.model_id, "name": version.name, "version": version.version},
        )
        if not self._trainings.complete(claim, trained.to_dict(), self._clock()):
            raise LostClaim
        log.info("training.succeeded", job_id=claim.job_id, model_id=version.model_id)

    def _made(self, model_id: str) -> bool:
        """Whether an earlier attempt came as far as to hand its model over."""
        try:
            self._models.get(model_id, None)
        except NotFound:
            return False
        return True

    def _train(self, claim: Claim, order: TrainingOrder, heartbeat: Heartbeat, follower: Follower) -> None:
        """Train to the end, and hand the model over to be judged."""
        parent = self._models.get(claim.model_id, None)
        assert parent.servable_key is not None
        until = time.monotonic() + self._time_limit
        with tempfile.TemporaryDirectory(prefix="training-", dir=self._scratch) as folder:
            artifact, points, checkpoint = (
                Path(folder, name) for name in ("servable", "points", "checkpoint")
            )
            self._blobs.fetch(parent.servable_key, artifact)
            self._blobs.fetch(claim.upload_key, points)
            follower.begin(checkpoint)

            def given_up() -> bool:
                return heartbeat.lost or self._stopping

            while True:
                seconds = max(until - time.monotonic(), 1.0)
                start = checkpoint if checkpoint.exists() else None
                try:
                    with self._trainer.session(
                        artifact, points, order.plan, start, seconds, given_up
                    ) as session:
                        self._attend(claim.job_id, session, heartbeat)
                        made = follower.follow(session)
                        if made is not None:
                            heartbeat.check()
                            self._registry.adopt(order.new_model_id, parent, claim.job_id, made)
                            return
                except Unavailable:
                    # A child that was killed on purpose says nothing of why.
                    self._must_go_on(heartbeat)
                    raise
                finally:
                    with self._lock:
                        self._at_work = None

    def _attend(self, job_id: str, session: TrainingSession, heartbeat: Heartbeat) -> None:
        with self._lock:
            self._at_work = (job_id, session)
        # What asked for an end while there was no child yet could not end it.
        self._must_go_on(heartbeat)

    def _interrupt_any(self) -> None:
        with self._lock:
            at_work = self._at_work
        if at_work is not None:
            at_work[1].kill()

    def _must_go_on(self, heartbeat: Heartbeat) -> None:
        if self._stopping:
            raise Stopping
        heartbeat.verify()

    def _published(self, model_id: str, heartbeat: Heartbeat) -> ModelVersion:
        """The version once the forge has spoken."""
        while True:
            version = self._models.get(model_id, None)
            if version.state.settled:
                return version
            if self._stopping:
                raise Stopping
            heartbeat.check()
            try:
                return self._publish_line.submit(model_id).result(timeout=WAIT_SECONDS)
            except (TimeoutError, CancelledError):
                pass
            except (Unavailable, NotInstalled):
                # The line is full, or has given the upload up and said so in the version itself.
                time.sleep(WAIT_SECONDS)
