"""Take wake-ups off a queue and give them to a worker, until the process is to leave."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import WakeUp
from tensortrigger_backend.ports.jobs import Delivery, Queue
from tensortrigger_backend.services.steps import Step, keep_going

log = structlog.get_logger(__name__)

PATIENCE: Final = 0.5
"""Seconds for which one look at the queue waits."""
WAITS: Final = (1.0, 2.0, 5.0)
"""Seconds of rest after the first failure in a row, the second, and all further ones."""
LAST_WORDS: Final = 5.0
"""Seconds for a thread to end whose work was handed back."""


class Handler(Protocol):
    """Does what wake-ups are about."""

    def handle(self, wake_up: WakeUp) -> None:
        """Do it, if there is still something to do. Safe to repeat."""

    def stop(self) -> None:
        """Hand back what is in hand. Safe to repeat."""


class WorkerThread:
    """Takes wake-ups off the queue and gives them to a worker, until it is closed; nothing that happens ends it.

    Args:
        at: called at each step of the protocol.
    """

    def __init__(
        self, worker: Handler, queue: Queue, name: str, at: Callable[[Step], None] = keep_going
    ) -> None:
        self._worker = worker
        self._queue = queue
        self._at = at
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def take_no_more(self) -> None:
        """What is in hand is the last. Safe to repeat."""
        self._stop.set()

    def close(self) -> None:
        """Stop after the partition in hand. Safe to repeat."""
        self.take_no_more()
        self.join(30.0)

    def drain(self, grace: float) -> bool:
        """Take nothing more, finish what is in hand or hand it back after ``grace`` seconds. Safe to repeat.

        Returns:
            whether the thread has ended; one that has not is harmless, as its claim is gone.
        """
        return drain([self], grace)

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; whether it has come."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def hand_back(self) -> None:
        """Let the worker hand back what it has in hand."""
        self._worker.stop()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                delivery = self._queue.receive(timeout=PATIENCE)
                if delivery is not None:
                    self._handle(delivery)
            except Unavailable as error:
                # Queue, database or storage are away; the message comes again, and so does whoever held the lease.
                log.warning("worker.postponed", reason=error.detail)
                self._rest()
            except Exception:
                log.exception("worker.interrupted")
                self._rest()
            else:
                self._failures = 0

    def _handle(self, delivery: Delivery) -> None:
        if self._stop.is_set():
            delivery.nack()
            return
        try:
            self._worker.handle(delivery.wake_up)
        except Exception:
            # It goes back only after a moment: what is away now would refuse it again and again.
            self._rest()
            with contextlib.suppress(Unavailable):
                delivery.nack()
            raise
        delivery.ack()
        self._at(Step.ACKNOWLEDGED)

    def _rest(self) -> None:
        self._stop.wait(WAITS[min(self._failures, len(WAITS) - 1)])
        self._failures += 1


def drain(threads: Sequence[WorkerThread], grace: float) -> bool:
    """Let all of these leave within ``grace`` seconds together, and a moment; whether all have ended."""
    until = time.monotonic() + grace
    for thread in threads:
        thread.take_no_more()
    late = [thread for thread in threads if not thread.join(max(until - time.monotonic(), 0.0))]
    for thread in late:
        thread.hand_back()
    until = time.monotonic() + LAST_WORDS
    ended = [thread.join(max(until - time.monotonic(), 0.0)) for thread in late]
    return all(ended)
