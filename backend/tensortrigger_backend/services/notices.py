"""Wake those in this process who wait for news of a thing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Notices:
    """Who listens to what. A notice carries nothing and may be lost: listeners look for themselves.

    Several processes may share a database and know nothing of each other's notices, so whoever listens also
    looks without a notice now and then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    @contextmanager
    def listening(self, topic: str, wake: Callable[[], None]) -> Iterator[None]:
        """While the block runs, ``wake`` is called on any thread for each notice; it must return at once."""
        with self._lock:
            self._listeners.setdefault(topic, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[topic].remove(wake)
                if not self._listeners[topic]:
                    del self._listeners[topic]

    def tell(self, topic: str) -> None:
        """There is news. Never blocks."""
        with self._lock:
            listeners = list(self._listeners.get(topic, ()))
        for wake in listeners:
            wake()
