"""``tt api``: the HTTP face, without scoring, training or judging anything itself."""

from __future__ import annotations

from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.trainer_process import TrainerProcess
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.jobs import recovery
from tensortrigger_backend.bootstrap.roles import Role
from tensortrigger_backend.bootstrap.use_cases import Door, UseCases
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.access import EVERYTHING
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.services.publish_watch import PublishWatch
from tensortrigger_backend.settings import Settings

BEYOND_WAIT = 5.0
"""Seconds for which an upload is looked at after its caller was answered."""


class ApiRole:
    """Answers requests, writes jobs and uploads down for others, and brings lost work back.

    Args:
        open_when_empty: let callers without a key in while none exists; for loopback only.
    """

    def __init__(self, settings: Settings, open_when_empty: bool = False) -> None:
        self._base = base = Foundation(settings, Role.API, {JobKind.SCORE: 0, JobKind.TRAIN: 0})
        try:
            self._wire(base, Door(open_when_empty, EVERYTHING))
        except BaseException:
            base.undo.close()
            raise

    def _wire(self, base: Foundation, door: Door) -> None:
        self.title, self.linger = f"api {base.name}", base.settings.linger
        self.metrics = base.metrics
        launcher = base.open_launcher()
        turn = GuestTurn()
        versions = Versions(base, launcher, forge=None, holds=False)
        use_cases = UseCases(
            base,
            door,
            versions,
            PublishWatch(versions.registry, base.settings.publish_wait + BEYOND_WAIT),
            launcher,
            turn,
            TrainerProcess(launcher, base.scratch, turn, here=False),
            lambda: self._recovery.nudge(),
            # Its trainer sees within a second or two that its lease is gone.
            lambda _job_id: None,
        )
        self.core = use_cases.core
        self._recovery = recovery(base, versions, sweep=use_cases.sweep, tidy=use_cases.tidy)

    def start(self) -> None:
        """Begin to relay, and to look after what others left."""
        self._recovery.start()
        self.core.publish_line.start()
        self.core.webhooks.start()

    def close(self) -> None:
        """Stop in the reverse order. Safe to repeat."""
        self._recovery.close()
        self.core.webhooks.close()
        self.core.publish_line.close()
        self._base.undo.close()
