"""What keeps a panel up to date: one thread that asks the tab in view twice a second, while there is a panel."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Protocol

from tensortrigger_lab.skew import unwarned

LOG = logging.getLogger("tensortrigger_lab.panels")
INTERVAL = 0.5
"""Seconds between two updates; each is a message to the page."""
RESTING = 5.0
"""Seconds between two looks while nothing in view changes."""
ASLEEP = 1800.0
"""Seconds without a click or a change after which nothing is asked any more, until the next click."""


class Ticked(Protocol):
    """A tab."""

    def tick(self) -> bool:
        """Bring what is shown up to date; whether it may change again soon. Raises nothing of ours."""


class Ticking:
    """Its thread ends with ``stop()``; what a tab raises ends nothing.

    Args:
        in_view: the number of the tab that is seen.
        stopped: set when the panel is to end; the tabs may know it too.
    """

    def __init__(
        self,
        tabs: Sequence[Ticked],
        in_view: Callable[[], int | None],
        stopped: Event,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tabs = tabs
        self._in_view = in_view
        self._clock = clock
        self._stopped = stopped
        self._woken = Event()
        self._thread = Thread(target=self._work, name="tensortrigger-panel", daemon=True)

    @property
    def running(self) -> bool:
        """Whether the panel still changes."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Somebody has clicked: look now."""
        self._woken.set()

    def stop(self) -> None:
        """End for good. Safe to repeat; does not wait."""
        self._stopped.set()
        self._woken.set()

    def _work(self) -> None:
        moved = self._clock()
        while not self._stopped.is_set():
            began = self._clock()
            lively = [self._tick(place, tab) for place, tab in enumerate(self._tabs)]
            if any(lively):
                moved = self._clock()
            asleep = self._clock() - moved > ASLEEP
            if self._woken.wait(None if asleep else INTERVAL if any(lively) else RESTING):
                moved = self._clock()
                # A page gets no more than two updates a second, however fast somebody clicks.
                self._stopped.wait(max(0.0, INTERVAL - (moved - began)))
                self._woken.clear()

    def _tick(self, place: int, tab: Ticked) -> bool:
        if place != (self._in_view() or 0):
            return False
        try:
            with unwarned():
                return tab.tick()
        except Exception:
            # A page that stands still is better than a thread that is gone.
            LOG.debug("The panel could not be brought up to date", exc_info=True)
            return False
