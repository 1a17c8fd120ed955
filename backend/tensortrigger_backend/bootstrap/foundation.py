"""What every process of a deployment stands on: database, blobs, presence, queues, and a folder for copies."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tensortrigger_backend.adapters.presence import Presence as LocalPresence
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.deployment_store import SqlDeploymentStore
from tensortrigger_backend.adapters.sql.presence import DatabasePresence
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.bootstrap.connections import open_blobs, open_queue
from tensortrigger_backend.bootstrap.counting import CountingJobStore, CountingModelStore
from tensortrigger_backend.bootstrap.fault_point import fault_point
from tensortrigger_backend.bootstrap.pepper import make_data_dir, told_pepper
from tensortrigger_backend.bootstrap.roles import Role, must_suit
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.ports.jobs import Queue
from tensortrigger_backend.ports.presence import Presence
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.deployment import Deployment
from tensortrigger_backend.services.half_written import HalfWritten
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.settings import Settings
from tensortrigger_backend.telemetry import Metrics


class Foundation:
    """Opened in order, closed in the reverse order.

    Args:
        consumers: threads of this process that receive wake-ups, by the kind of work; with 0 it only sends them.

    Attributes:
        undo: what is to be closed; roles add to it.
        presence: which processes of the deployment are alive, this one under its ``worker`` name.
        scratch: a folder for short-lived copies of this process.

    Raises:
        ValueError: a setting that does not suit the role.
        Conflict: the process does not belong to the deployment of its database.
        Unavailable: the database or the blob store cannot be reached.
    """

    def __init__(self, settings: Settings, role: Role, consumers: Mapping[JobKind, int]) -> None:
        must_suit(role, settings)
        self.settings = settings
        self.role = role
        self.data_dir = settings.data_dir.absolute()
        self.clock: Callable[[], float] = time.time
        self.metrics = Metrics()
        self.at = fault_point(settings.fault_point)
        make_data_dir(self.data_dir)
        self.undo = contextlib.ExitStack()
        try:
            self._open(settings, consumers)
        except BaseException:
            self.undo.close()
            raise

    def _open(self, settings: Settings, consumers: Mapping[JobKind, int]) -> None:
        undo = self.undo
        # Copies lie on this machine, and so does the answer to whose they are, whatever the database is.
        local = undo.enter_context(LocalPresence(self.data_dir / "alive"))
        self.scratch = _own_scratch(self.data_dir / "scratch", local)
        undo.callback(shutil.rmtree, self.scratch, ignore_errors=True)
        self.database = Database(settings.resolved_database_url())
        undo.callback(self.database.close)
        if self.role is Role.SERVE:
            self.database.migrate()
        else:
            self.database.must_be_newest()
        self.presence: Presence = local
        if not self.database.embedded:
            self._must_have_the_time(settings.lease)
            self.presence = DatabasePresence(self.database, str(self.role))
            undo.callback(self.presence.close)
        self.name = self.presence.worker
        self.blobs = open_blobs(settings, self.name)
        undo.callback(self.blobs.close)
        self._must_belong(settings)
        self.half_written = HalfWritten(self.blobs, self.presence.dead)
        self.half_written.sweep()
        self.queues: dict[JobKind, Queue] = {}
        for kind, count in consumers.items():
            self.queues[kind] = open_queue(settings, kind, count)
            undo.callback(self.queues[kind].close)
        self.models = CountingModelStore(self.database, self.metrics)
        self.jobs = CountingJobStore(self.database, self.metrics)
        self.content_store = SqlContentStore(self.database)
        self.contents = Contents(self.content_store, self.blobs, self.clock)
        self.runs = Runs(SqlRunStore(self.database), self.clock, Notices())

    def _must_have_the_time(self, lease: float) -> None:
        """Until when a lease holds is written and read by each machine's own clock."""
        before = self.clock()
        there = self.database.clock()
        off = max(before - there, there - self.clock())
        if off > lease / 3:
            raise ValueError(
                f"The clock of this machine is {off:.0f} s {'ahead of' if before > there else 'behind'} the "
                f"database's: it may differ by a third of TENSORTRIGGER_LEASE, {lease / 3:g} s. Set it, by NTP for one."
            )

    def _must_belong(self, settings: Settings) -> None:
        if not (settings.database_url or settings.blob_url):
            # Both lie in the data folder, and the pepper with them: what is together cannot differ.
            return
        deployment = Deployment(SqlDeploymentStore(self.database))
        deployment.must_own(self.blobs)
        pepper = told_pepper(settings)
        if pepper is not None:
            deployment.must_know(pepper)

    def open_launcher(self) -> SandboxedLauncher:
        """Starts children that have TensorFlow, each held in as far as this machine can."""
        launcher = SandboxedLauncher(self.settings.sandbox, memory_limit=self.settings.guest_memory)
        self.undo.callback(launcher.close)
        launcher.must_hold()
        launcher.probe_soon()
        return launcher

    def close_queues(self) -> None:
        """Whoever waits for a message returns at once. Safe to repeat."""
        for queue in self.queues.values():
            queue.close()


def _own_scratch(root: Path, presence: LocalPresence) -> Path:
    """A folder for this process's short-lived copies; those of dead processes are removed."""
    root.mkdir(exist_ok=True)
    for worker in presence.dead([path.name for path in root.iterdir()]):
        shutil.rmtree(root / worker, ignore_errors=True)
    own = root / presence.worker
    own.mkdir()
    return own
