"""``tt serve``: everything in one process."""

from __future__ import annotations

from types import TracebackType

from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.trainer_process import TrainerProcess
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.jobs import recovery, scoring_threads
from tensortrigger_backend.bootstrap.roles import Role
from tensortrigger_backend.bootstrap.training import training_threads, training_worker
from tensortrigger_backend.bootstrap.use_cases import Door, UseCases
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.access import EVERYTHING, Scope
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.services.publishing import PublishLine
from tensortrigger_backend.services.worker_thread import drain
from tensortrigger_backend.settings import Settings


class Backend:
    """Everything that ``tt serve`` runs.

    Args:
        open_when_empty: let callers without a key in while none exists; for loopback only.
        granted: what callers without a key, and holders of the session key, may do.
    """

    def __init__(
        self, settings: Settings, open_when_empty: bool = False, granted: frozenset[Scope] = EVERYTHING
    ) -> None:
        consumers = {JobKind.SCORE: settings.workers, JobKind.TRAIN: settings.trainers}
        self._base = base = Foundation(settings, Role.SERVE, consumers)
        try:
            self._wire(base, Door(open_when_empty, granted))
        except BaseException:
            base.undo.close()
            raise

    def _wire(self, base: Foundation, door: Door) -> None:
        self.title, self.linger = "backend", 0.0
        self.metrics = base.metrics
        launcher = base.open_launcher()
        turn = GuestTurn()
        self._forge = ForgeProcess(
            launcher,
            base.scratch,
            time_limit=base.settings.forge_timeout,
            idle_seconds=base.settings.forge_idle,
            turn=turn,
        )
        base.undo.callback(self._forge.close)
        trainer = TrainerProcess(launcher, base.scratch, turn, self._forge.leave)
        versions = Versions(base, launcher, self._forge, holds=True)
        line = PublishLine(versions.registry)
        self._trainer = training_worker(base, versions, line, trainer, lambda: self._recovery.nudge())
        use_cases = UseCases(
            base,
            door,
            versions,
            line,
            launcher,
            turn,
            trainer,
            lambda: self._recovery.nudge(),
            self._trainer.interrupt,
        )
        self.core = use_cases.core
        self._recovery = recovery(base, versions, self._trainer.settle, use_cases.sweep, use_cases.tidy)
        self._threads = [
            *scoring_threads(base, versions, lambda: self._recovery.nudge()),
            *training_threads(base, self._trainer, base.settings.trainers),
        ]

    def start(self) -> None:
        """Take up what a stopped process left, and begin to work."""
        self._recovery.start()
        self.core.publish_line.start()
        self.core.webhooks.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop in the reverse order; partitions in hand are finished or handed back first. Safe to repeat."""
        self._recovery.close()
        self.core.webhooks.close()
        self._base.close_queues()
        self._trainer.stop()
        drain(self._threads, self._base.settings.grace)
        # The forge's child is ended before the line is joined: an upload in hand waits for the next start.
        self.core.publish_line.stop()
        self._forge.close()
        self.core.publish_line.close()
        self._base.undo.close()

    def __enter__(self) -> Backend:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
