"""``tt trainer``: works on trainings, one at a time."""

from __future__ import annotations

from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.trainer_process import TrainerProcess
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.jobs import recovery
from tensortrigger_backend.bootstrap.roles import Role
from tensortrigger_backend.bootstrap.training import training_threads, training_worker
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.services.publish_watch import PublishWatch
from tensortrigger_backend.settings import Settings

PATIENCE = 60.0
"""Seconds after which it asks anew for a version that it made; it waits for it as long as it takes."""


class TrainerRole:
    """Trains, and leaves what it made to be judged by a forge elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self._base = base = Foundation(settings, Role.TRAINER, {JobKind.SCORE: 0, JobKind.TRAIN: 1})
        self.role, self.name = base.role, base.name
        self.metrics = base.metrics
        try:
            launcher = base.open_launcher()
            trainer = TrainerProcess(launcher, base.scratch, GuestTurn(), lambda: None)
            trainer.must_be_installed()
            versions = Versions(base, launcher, forge=None, holds=False)
            self._line = PublishWatch(versions.registry, PATIENCE)
            self._worker = training_worker(
                base, versions, self._line, trainer, lambda: self._recovery.nudge()
            )
            self._recovery = recovery(base, versions, self._worker.settle)
            self._threads = training_threads(base, self._worker, 1)
        except BaseException:
            base.undo.close()
            raise

    def start(self) -> None:
        """Take up what others left, and begin to work."""
        self._recovery.start()
        self._line.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Hand back the training in hand, which goes on elsewhere after its last checkpoint. Safe to repeat."""
        self._base.close_queues()
        self._worker.stop()
        for thread in self._threads:
            thread.close()
        self._line.close()
        self._recovery.close()
        self._base.undo.close()
