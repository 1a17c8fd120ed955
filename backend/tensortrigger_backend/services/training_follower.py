"""Write down what a training's child tells: points of its run, how far it has come, checkpoints to go on from."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tensortrigger_backend.domain.errors import Conflict, NotFound, Unavailable
from tensortrigger_backend.domain.jobs import Claim
from tensortrigger_backend.domain.runs import Point, PointKind, Run
from tensortrigger_backend.domain.training_jobs import Trained
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.training import Saved, Told, TrainingSession, TrainingStore
from tensortrigger_backend.ports.training import Trained as ModelMade
from tensortrigger_backend.services.heartbeat import Heartbeat, LostClaim
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.training import files_of

EPOCH_SECONDS: Final = 0.25
"""Between two updates of the job for epochs that ended, at least: as often as its watchers are told."""
ADVANCE_SECONDS: Final = 1.0
"""Between two updates of the job within an epoch, at least."""
TAIL: Final = 1000
"""Points among which the latest epoch is looked for first."""


class Follower:
    """Follows one claim's children, one after the other.

    Attributes:
        trained: how far the training has come.
    """

    def __init__(
        self,
        claim: Claim,
        trainings: TrainingStore,
        runs: Runs,
        blobs: BlobStore,
        clock: Callable[[], float],
        heartbeat: Heartbeat,
    ) -> None:
        self._claim = claim
        self._trainings = trainings
        self._runs = runs
        self._blobs = blobs
        self._clock = clock
        self._heartbeat = heartbeat
        self._seen_step = self._seen_epoch = 0
        self._since: tuple[float, int] | None = None
        self._advanced = self._advanced_epoch = 0.0
        self._local = Path()
        self.trained = Trained.from_dict(claim.trained) if claim.trained is not None else Trained()

    def begin(self, local: Path) -> None:
        """Find out how far an earlier attempt came.

        Args:
            local: where the checkpoint is put, if there is one.
        """
        self._local = local
        if self.trained.checkpoint is not None:
            try:
                self._blobs.fetch(self.trained.checkpoint, local)
            except NotFound:
                self.trained = replace(self.trained, checkpoint=None, saved_epoch=0)
        if self._claim.trained is not None:
            self.trained = replace(
                self.trained, resumed_at=self.trained.saved_epoch, epochs_done=self.trained.saved_epoch
            )
            self._advance(saved=False)
        self._seen_step, self._seen_epoch = _told_before(self._runs, self._claim)

    def follow(self, session: TrainingSession) -> Path | None:
        """Where the trained model lies; None when others want the turn and it can go on later."""
        self._since = None
        for event in session.events():
            self._heartbeat.check()
            if isinstance(event, Told):
                self._record(event.points)
            elif isinstance(event, Saved):
                self._keep(event)
                if session.wanted:
                    session.kill()
                    return None
            elif isinstance(event, ModelMade):
                return event.path
        raise Unavailable("The process that trains ended unexpectedly.")

    def _record(self, points: tuple[Point, ...]) -> None:
        if not points:
            return
        latest = points[-1]
        now = self._clock()
        if self._since is None:
            self._since = (now, latest.step)
        elif latest.step > self._since[1]:
            pace = (now - self._since[0]) / (latest.step - self._since[1])
            self.trained = replace(self.trained, step_seconds=round(pace, 6))
        done = max((point.epoch for point in points if point.kind is PointKind.EPOCH), default=0)
        self.trained = replace(
            self.trained, step=latest.step, epochs_done=max(done, self.trained.epochs_done)
        )
        new = [point for point in points if self._is_new(point)]
        if new:
            try:
                self._runs.append(self._claim.owner, self._claim.job_id, new)
            except Conflict:
                # The run has ended, so the job has; or it is full, which ends no training.
                self._heartbeat.verify()
        # Each update is a transaction in the process that serves, so tiny epochs share one.
        moment = time.monotonic()
        epoch_due = done > 0 and moment - self._advanced_epoch >= EPOCH_SECONDS
        if epoch_due or moment - self._advanced >= ADVANCE_SECONDS:
            if epoch_due:
                self._advanced_epoch = moment
            self._advance(saved=False)

    def _is_new(self, point: Point) -> bool:
        """Whether this point was not told before the training had to go on from a checkpoint.

        It takes the same steps again, so what was told stays true and is not told twice.
        """
        if point.kind is PointKind.EPOCH:
            new = point.epoch > self._seen_epoch
            self._seen_epoch = max(point.epoch, self._seen_epoch)
            return new
        return point.step > self._seen_step

    def _keep(self, saved: Saved) -> None:
        key = f"{files_of(self._claim.job_id)}/checkpoints/{saved.epoch:06d}-{self._claim.fence}"
        before = self.trained.checkpoint
        self._blobs.keep(key, saved.path)
        self.trained = replace(
            self.trained,
            checkpoint=key,
            saved_epoch=saved.epoch,
            step=saved.step,
            epochs_done=max(saved.epoch, self.trained.epochs_done),
        )
        try:
            self._advance(saved=True)
        except LostClaim:
            self._blobs.delete([key])
            raise
        if before is not None and before != key:
            self._blobs.delete([before])
        shutil.move(saved.path, self._local)

    def _advance(self, saved: bool) -> None:
        self._advanced = time.monotonic()
        if not self._trainings.advance(self._claim, self.trained.to_dict(), saved, self._clock()):
            raise LostClaim


def _told_before(runs: Runs, claim: Claim) -> tuple[int, int]:
    """The latest step and the latest whole epoch that the run holds."""
    run: Run = runs.find(claim.owner, claim.job_id)
    for after in (max(run.last_seq - TAIL, 0), 0):
        found = runs.points_after(claim.owner, claim.job_id, after, run.last_seq + 1, PointKind.EPOCH).points
        if found:
            return run.step or 0, found[-1].epoch
    return run.step or 0, 0
