"""Keep jobs moving whatever dies: relay the outbox, sweep expired leases, finish, purge."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.ports.jobs import JobStore, Queue
from tensortrigger_backend.services.registry import Registry

log = structlog.get_logger(__name__)

RELAY_BATCH: Final = 500
UNSENT_FOR: Final = 60.0
"""A queued partition that was told so long ago has lost its message, or waits in a long line: tell it again.
One message too many is harmless, as only one claim succeeds."""


class Recovery:
    """A thread that relays at once when it is nudged, and looks after everything every few seconds.

    Args:
        dead: those of the named workers that are known not to live any more.
        finish: completes a job all of whose partitions are done.
        interval: seconds between two rounds of looking after.
        trainings: the queue of those wake-ups that are for trainers; None where nothing is trained.
        settle: brings in order what trainings left that died at their end.
    """

    def __init__(
        self,
        jobs: JobStore,
        queue: Queue,
        registry: Registry,
        dead: Callable[[Sequence[str]], list[str]],
        finish: Callable[[str], None],
        clock: Callable[[], float],
        interval: float,
        trainings: Queue | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._registry = registry
        self._dead = dead
        self._finish = finish
        self._clock = clock
        self._interval = interval
        self._queues = {JobKind.SCORE: queue, JobKind.TRAIN: trainings or queue}
        self._settle = settle
        self._nudged = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        """Take up what a stopped process left, then begin."""
        self.resume()
        self._thread.start()

    def nudge(self) -> None:
        """There is something in the outbox. Never blocks."""
        self._nudged.set()

    def close(self) -> None:
        """Stop. Safe to repeat."""
        self._stop.set()
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def resume(self) -> None:
        """On start the memory queue is empty: tell every partition that waits, at once."""
        self.look_after(unsent_for=0.0)

    def look_after(self, unsent_for: float = UNSENT_FOR) -> None:
        """One round; each step is safe to repeat and to run in several processes at once."""
        dead = self._dead(self._jobs.claimants())
        if dead and self._jobs.abandon(dead):
            log.info("recovery.abandoned", workers=dead)
        # In a long line a partition that waits has most likely its message in it, and telling all of them again
        # every minute would only make it longer.
        long = self._queue.depth() > RELAY_BATCH
        self._jobs.sweep(self._clock(), math.inf if long else unsent_for)
        for job_id in self._jobs.complete_unfinished():
            self._finish(job_id)
        self._settle()
        self._registry.purge()
        self.relay()

    def relay(self) -> None:
        """Send what the outbox holds; a message is forgotten only after the queue has taken it."""
        while messages := self._jobs.outbox(RELAY_BATCH):
            for _, wake_up in messages:
                self._queues[wake_up.kind].publish(wake_up)
            self._jobs.sent([number for number, _ in messages])

    def _run(self) -> None:
        looked_after = self._clock()
        while not self._stop.is_set():
            self._nudged.wait(self._interval)
            self._nudged.clear()
            if self._stop.is_set():
                return
            try:
                if self._clock() - looked_after >= self._interval:
                    looked_after = self._clock()
                    self.look_after()
                else:
                    self.relay()
            except Unavailable as error:
                log.warning("recovery.postponed", reason=error.detail)
            except Exception:
                # This thread is what brings lost work back: nothing may end it.
                log.exception("recovery.failed")
