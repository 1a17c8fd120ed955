"""Something that a click begins and that must not hold the kernel up: done on a thread, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from tensortrigger_lab.skew import unwarned


class Task:
    """At most one thread; a click while it works is not heard."""

    def __init__(self) -> None:
        self._thread: Thread | None = None

    @property
    def working(self) -> bool:
        """Whether the last one still goes on."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, work: Callable[[], None], failed: Callable[[Exception], None]) -> bool:
        """Do ``work``, and hand what it raises to ``failed``; False where another still goes on."""
        if self.working:
            return False

        def run() -> None:
            with unwarned():
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - nobody else would hear of it
                    failed(error)

        self._thread = Thread(target=run, name="tensortrigger-panel-task", daemon=True)
        self._thread.start()
        return True

    def wait(self, seconds: float | None = None) -> None:
        """Until it is done."""
        if self._thread is not None:
            self._thread.join(seconds)
