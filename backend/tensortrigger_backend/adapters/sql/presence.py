"""Which processes on one database are alive: each renews a row, and who has not for a while is dead."""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from types import TracebackType

import structlog
from sqlalchemy import select

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.tables import processes
from tensortrigger_backend.domain.errors import Unavailable

log = structlog.get_logger(__name__)

EVERY = 2.0
GONE = 15.0
KEPT = 600.0
"""Seconds for which the row of a dead process is kept, for people who look at the table."""
PARTING = 5.0
"""Seconds that a process which ends waits for a renewal that hangs."""


class DatabasePresence:
    """Keeps the ``Presence`` promises for processes on many machines, by the database's clock alone.

    A process that was stopped for long, or cut off, is dead to the others until it comes back; the fence of each
    claim makes that harmless. While the database itself was away nobody could renew: only a process that has
    reached it all the while calls others dead for having been silent.

    Args:
        role: for people: ``api``, ``worker``, ``trainer``, ``forge`` or ``serve``.
        every: seconds between two renewals.
        gone: seconds without one after which a process is dead.
    """

    def __init__(self, database: Database, role: str, every: float = EVERY, gone: float = GONE) -> None:
        self._database = database
        self._role = role
        self._every = every
        self._gone = gone
        host = re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname())[:24]
        self.worker = f"{host or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"
        self._over = threading.Event()
        self._renew()
        self._reached = self._reached_since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def dead(self, workers: Sequence[str]) -> list[str]:
        """See ``Presence.dead``. Raises Unavailable."""
        others = [worker for worker in dict.fromkeys(workers) if worker != self.worker]
        if not others:
            return []
        silent = processes.c.seen < self._database.now() - self._gone
        with self._database.read() as connection:
            rows = connection.execute(
                select(processes.c.name, silent.label("silent")).where(processes.c.name.in_(others))
            )
            known = {row.name: bool(row.silent) for row in rows}
        steady = time.monotonic() - self._reached_since > self._gone
        return [worker for worker in others if known.get(worker, True) and (worker not in known or steady)]

    def close(self) -> None:
        """See ``Presence.close``: the row goes at once, if the database can be reached."""
        if self._over.is_set():
            return
        self._over.set()
        # It may be in the middle of a question to a database that does not answer.
        self._thread.join(PARTING)
        try:
            with self._database.write(in_turn=False) as connection:
                connection.execute(processes.delete().where(processes.c.name == self.worker))
        except Unavailable as error:
            log.warning("presence.not_ended", worker=self.worker, reason=error.detail)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self._renew()
            except Unavailable as error:
                log.warning("presence.not_renewed", worker=self.worker, reason=error.detail)
                continue
            except Exception:
                # Whatever it was: without this thread the others would take a process for dead that works.
                log.exception("presence.not_renewed", worker=self.worker)
                continue
            now = time.monotonic()
            if now - self._reached > self._gone / 2:
                self._reached_since = now
            self._reached = now

    def _renew(self) -> None:
        """Write this process's row, which somebody may have taken for dead and removed."""
        mine, now = processes.c.name == self.worker, self._database.now()
        with self._database.write(in_turn=False) as connection:
            if connection.execute(processes.update().where(mine).values(seen=now)).rowcount == 0:
                connection.execute(
                    processes.insert().values(name=self.worker, role=self._role, started=now, seen=now)
                )
                connection.execute(
                    processes.delete().where(processes.c.seen < now - max(KEPT, 2 * self._gone))
                )

    def __enter__(self) -> DatabasePresence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
