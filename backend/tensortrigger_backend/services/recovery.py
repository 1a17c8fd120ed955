"""Keep jobs moving whatever dies: relay the outbox, sweep expired leases, finish, purge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import TensorTriggerError
from tensortrigger_backend.domain.jobs import JobKind, WakeUp
from tensortrigger_backend.ports.jobs import JobStore, Queue
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.steps import Step, keep_going

log = structlog.get_logger(__name__)

RELAY_BATCH: Final = 500
UNSENT_FOR: Final = 30.0
"""A queued partition that was told so many seconds ago, while the queue holds fewer messages than partitions wait, has
lost its message, or a process that stands still has it in hand: tell it again. One message too many is harmless:
whoever gets it finds nothing to claim."""
PARTING: Final = 5.0
"""Seconds that stopping waits for what is in hand, all of it together: less than the ten after which Docker kills."""


class Recovery:
    """A thread that relays at once when it is nudged, and looks after everything every few seconds; and one that
    cleans up, which may take long where there are many blobs and holds up no job.

    Any number of processes may run one on the same database: relays share the outbox, and every step is safe to
    repeat.

    Args:
        dead: those of the named workers that are known not to live any more.
        finish: completes a job all of whose partitions are done.
        interval: seconds between two rounds of looking after, and of cleaning up.
        unsent_for: seconds after which the message of a partition that still waits is taken for lost.
        trainings: the queue of those wake-ups that are for trainers; None where nothing is trained.
        settle: brings in order what trainings left that died at their end.
        sweep: frees uploads that nobody came back for.
        tidy: frees bytes that nobody needs any more.
        at: called at each step of the protocol.
        timer: seconds that pass whatever is done to the clock.
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
        unsent_for: float = UNSENT_FOR,
        trainings: Queue | None = None,
        settle: Callable[[], None] = lambda: None,
        sweep: Callable[[], object] = lambda: None,
        tidy: Callable[[], object] = lambda: None,
        at: Callable[[Step], None] = keep_going,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._dead = dead
        self._finish = finish
        self._clock = clock
        self._interval = interval
        self._unsent_for = unsent_for
        self._queues = {JobKind.SCORE: queue, JobKind.TRAIN: trainings or queue}
        self._at = at
        self._timer = timer
        self._steps: dict[str, Callable[[], object]] = {
            "abandon": self._abandon,
            "sweep": lambda: self._jobs.sweep(self._clock()),
            "finish": self._finish_all,
            "settle": settle,
        }
        self._chores = {"purge": registry.purge, "uploads": sweep, "tidy": tidy}
        self._nudged = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="recovery", daemon=True),
            threading.Thread(target=self._keep_clean, name="housekeeping", daemon=True),
        ]

    def start(self) -> None:
        """Take up what a stopped process left, then begin."""
        self.resume()
        for thread in self._threads:
            thread.start()

    def nudge(self) -> None:
        """There is something in the outbox. Never blocks."""
        self._nudged.set()

    def close(self) -> None:
        """Begin nothing more, and wait a while for what is in hand. Safe to repeat."""
        self._stop.set()
        self._nudged.set()
        until = time.monotonic() + PARTING
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=max(until - time.monotonic(), 0.0))

    def resume(self) -> None:
        """On start a queue in memory is empty: tell every partition that waits, at once."""
        self._look_after(unsent_for=0.0)

    def look_after(self) -> None:
        """One round; what one step cannot do now keeps none of the others from being done."""
        self._look_after(self._unsent_for)

    def _look_after(self, unsent_for: float) -> None:
        for name, step in self._steps.items():
            self._guarded(name, step)
        # What is in the outbox is on its way, and no message that is missing.
        self._guarded("relay", self.relay)
        self._guarded("tell again", lambda: self._tell_again(unsent_for))
        self._guarded("relay", self.relay)

    def clean_up(self) -> None:
        """One round of freeing what nobody needs any more; what one step cannot do now keeps none from being done."""
        for name, step in self._chores.items():
            self._guarded(name, step)

    def relay(self) -> None:
        """Send what the outbox holds; a message is forgotten only after the queue has taken it."""
        while self._jobs.relay(RELAY_BATCH, self._send) and not self._stop.is_set():
            pass

    def _send(self, wake_up: WakeUp) -> None:
        self._queues[wake_up.kind].publish(wake_up)
        self._at(Step.RELAYED)

    def _abandon(self) -> None:
        dead = self._dead(self._jobs.claimants())
        if dead and self._jobs.abandon(dead):
            log.info("recovery.abandoned", workers=dead)

    def _finish_all(self) -> None:
        for job_id in self._jobs.complete_unfinished():
            self._guarded(f"finish {job_id}", partial(self._finish, job_id))

    def _tell_again(self, unsent_for: float) -> None:
        for kind, queue in self._queues.items():
            in_line = queue.depth()
            if told := self._jobs.tell_again(kind, in_line, self._clock() - unsent_for, self._clock()):
                log.info("recovery.told_again", kind=str(kind), partitions=told, in_line=in_line)

    def _guarded(self, name: str, step: Callable[[], object]) -> None:
        if self._stop.is_set():
            return
        try:
            step()
        except TensorTriggerError as error:
            log.warning("recovery.postponed", step=name, reason=error.detail)
        except Exception:
            # This is what brings lost work back: nothing may end it.
            log.exception("recovery.failed", step=name)

    def _run(self) -> None:
        looked_after = self._timer()
        while not self._stop.is_set():
            self._nudged.wait(self._interval)
            self._nudged.clear()
            if self._stop.is_set():
                return
            if self._timer() - looked_after >= self._interval:
                looked_after = self._timer()
                self.look_after()
            else:
                self._guarded("relay", self.relay)

    def _keep_clean(self) -> None:
        while not self._stop.is_set():
            self.clean_up()
            self._stop.wait(self._interval)
