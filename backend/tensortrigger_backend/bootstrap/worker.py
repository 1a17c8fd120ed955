"""``tt worker``: scores partitions."""

from __future__ import annotations

from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.jobs import recovery, scoring_threads
from tensortrigger_backend.bootstrap.roles import Role
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.services.worker_thread import drain
from tensortrigger_backend.settings import Settings


class WorkerRole:
    """Scores partitions with as many threads as ``settings.workers`` says, and brings lost work back."""

    def __init__(self, settings: Settings) -> None:
        self._base = base = Foundation(
            settings, Role.WORKER, {JobKind.SCORE: settings.workers, JobKind.TRAIN: 0}
        )
        self.role, self.name = base.role, base.name
        self.metrics = base.metrics
        try:
            versions = Versions(base, base.open_launcher(), forge=None, holds=False)
            self._recovery = recovery(base, versions)
            self._threads = scoring_threads(base, versions, lambda: self._recovery.nudge())
        except BaseException:
            base.undo.close()
            raise

    def start(self) -> None:
        """Take up what others left, and begin to work."""
        self._recovery.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Take nothing more, finish what is in hand within the grace time or hand it back. Safe to repeat."""
        # First, so that messages that nobody here will receive are given to others at once.
        self._base.close_queues()
        drain(self._threads, self._base.settings.grace)
        self._recovery.close()
        self._base.undo.close()
