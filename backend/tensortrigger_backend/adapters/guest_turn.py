"""Whose turn is it to have TensorFlow at work on this machine? One guest's at a time, first come first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tensortrigger_backend.domain.errors import Unavailable

_LOOK_SECONDS: Final = 0.2


class GuestTurn:
    """Shared by the forge and the trainer of one process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    def taken(self) -> bool:
        """Whether somebody has the turn or waits for it."""
        return bool(self._line)

    def wanted(self) -> bool:
        """Whether somebody waits."""
        return len(self._line) > 1

    @contextmanager
    def taking(self, given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Wait in line, then have the turn while the block runs.

        Args:
            given_up: asked now and then while it waits; True ends the wait.

        Raises:
            Unavailable: given up.
        """
        place = object()
        with self._changed:
            self._line.append(place)
        try:
            with self._changed:
                while self._line[0] is not place:
                    if given_up():
                        raise Unavailable("The wait for this machine's turn was given up.")
                    self._changed.wait(_LOOK_SECONDS)
            yield
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()
