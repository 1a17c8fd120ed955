"""Wake-ups in this process's memory, delivered at least once, as a broker would."""

from __future__ import annotations

import threading
from collections import deque

from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import WakeUp

CAPACITY = 100_000


class MemoryQueue:
    """Keeps the ``Queue`` promises within one process; what it forgets at the end the sweeper sends again."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: deque[WakeUp] = deque()
        self._unacked = 0
        self._changed = threading.Condition()
        self._closed = False

    def publish(self, wake_up: WakeUp) -> None:
        """See ``Queue.publish``."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._capacity:
                raise Unavailable("The queue is full or closing.")
            self._waiting.append(wake_up)
            self._changed.notify()

    def receive(self, timeout: float) -> _MemoryDelivery | None:
        """See ``Queue.receive``."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout)
            if self._closed or not self._waiting:
                return None
            self._unacked += 1
            return _MemoryDelivery(self, self._waiting.popleft())

    def depth(self) -> int:
        """See ``Queue.depth``."""
        with self._changed:
            return len(self._waiting) + self._unacked

    def close(self) -> None:
        """See ``Queue.close``: whoever waits in ``receive`` returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def settle(self, wake_up: WakeUp, again: bool) -> None:
        """Take a delivery back: forget it, or put it first in line."""
        with self._changed:
            self._unacked -= 1
            if again:
                self._waiting.appendleft(wake_up)
                self._changed.notify()


class _MemoryDelivery:
    def __init__(self, queue: MemoryQueue, wake_up: WakeUp) -> None:
        self._queue = queue
        self.wake_up = wake_up

    def ack(self) -> None:
        self._queue.settle(self.wake_up, again=False)

    def nack(self) -> None:
        self._queue.settle(self.wake_up, again=True)
