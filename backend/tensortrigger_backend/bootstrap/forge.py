"""``tt forge``: checks, rebuilds and verifies what is published, one upload at a time."""

from __future__ import annotations

from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.roles import Role
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.services.forge_line import ForgeLine
from tensortrigger_backend.settings import Settings


class ForgeRole:
    """Takes uploads from the database and judges them."""

    def __init__(self, settings: Settings) -> None:
        self._base = base = Foundation(settings, Role.FORGE, {})
        self.role, self.name = base.role, base.name
        self.metrics = base.metrics
        try:
            launcher = base.open_launcher()
            self._forge = ForgeProcess(
                launcher, base.scratch, time_limit=settings.forge_timeout, idle_seconds=settings.forge_idle
            )
            base.undo.callback(self._forge.close)
            self._forge.must_be_installed()
            versions = Versions(base, launcher, self._forge, holds=True)
            self._line = ForgeLine(versions.registry)
        except BaseException:
            base.undo.close()
            raise

    def start(self) -> None:
        """Begin to work."""
        self._line.start()

    def close(self) -> None:
        """Take nothing more, finish the upload in hand within the grace time or hand it back. Safe to repeat."""
        self._line.stop()
        if not self._line.join(self._base.settings.grace):
            # Its child is ended, and so the line's thread gives the upload up.
            self._forge.close()
            self._line.join(10.0)
        self._line.hand_back()
        self._base.undo.close()
