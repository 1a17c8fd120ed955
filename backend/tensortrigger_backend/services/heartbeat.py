"""A claim's lease, renewed for as long as its partition is in work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import TensorTriggerError
from tensortrigger_backend.domain.jobs import Claim
from tensortrigger_backend.ports.jobs import JobStore

log = structlog.get_logger(__name__)

RENEW_SECONDS: Final = 1.5
"""At least so often a lease is renewed, so that a cancellation is noticed within two seconds."""
PARTING: Final = 5.0
"""Seconds that are left to a renewal in the middle of which the work has ended; a database may not answer for long."""


class LostClaim(Exception):
    """The partition was lost to another worker or handed back, or its job was cancelled."""


class Heartbeat:
    """Renews a claim's lease for as long as its partition is in work, however long a single step takes.

    Args:
        every: seconds between two renewals; None for a third of the lease, and 1.5 at most.
        lost: called once, on another thread, when the lease could not be renewed.
    """

    def __init__(
        self,
        jobs: JobStore,
        claim: Claim,
        clock: Callable[[], float],
        lease: float,
        every: float | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs = jobs
        self._claim = claim
        self._clock = clock
        self._lease = lease
        self._every = every or min(lease / 3, RENEW_SECONDS)
        self._tell = lost
        self._over = threading.Event()
        self._lost = False
        self._rows_done: int | None = None
        self._held_until = claim.lease_until
        self._asked: float | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether the lease could not be renewed, or the question has hung for as long as a lease."""
        asked = self._asked
        return self._lost or (asked is not None and time.monotonic() - asked > self._lease)

    def check(self, rows_done: int | None = None) -> None:
        """Raise LostClaim once the lease could not be renewed.

        Args:
            rows_done: rows of the partition that are scored by now; told with the next renewal.
        """
        if rows_done is not None:
            self._rows_done = rows_done
        if self.lost:
            raise LostClaim

    def verify(self) -> None:
        """Ask the database now. Raises LostClaim."""
        if self._lost or not self._renew():
            self._lost = True
            raise LostClaim

    def let_go(self) -> None:
        """The claim was handed back: whoever works on it stops at the next check."""
        self._lost = True
        self._over.set()

    def _renew(self) -> bool:
        now, self._asked = self._clock(), time.monotonic()
        try:
            renewed = self._jobs.renew(self._claim, now, self._lease, self._rows_done)
        finally:
            self._asked = None
        if renewed:
            self._held_until = now + self._lease
        return renewed

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            try:
                lost = not self._renew()
            except TensorTriggerError as error:
                # The next beat may reach the database again, as long as nobody else can have claimed.
                lost = self._clock() > self._held_until
                log.warning("lease.not_renewed", job_id=self._claim.job_id, reason=error.detail, lost=lost)
            except Exception:
                lost = self._clock() > self._held_until
                log.exception("lease.not_renewed", job_id=self._claim.job_id, lost=lost)
            if lost:
                self._lost = True
                self._tell()
                return

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(PARTING)
