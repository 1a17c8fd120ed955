"""Who waits for the next epoch end of the training that runs: served there, on the thread that trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from threading import Lock


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """Something that needs the model while nothing changes it.

    Attributes:
        grant: does it, at an epoch's end, on the training's thread; raises nothing.
        miss: told instead when the training stops before; raises nothing.
    """

    grant: Callable[[], None]
    miss: Callable[[], None]


class EpochEnd:
    """The trainings of this process that have our callback, and the wishes that they will grant."""

    def __init__(self) -> None:
        self._trainings: list[object] = []
        self._wishes: list[Wish] = []
        self._lock = Lock()

    @property
    def awaited(self) -> bool:
        """Whether a training runs that will come to an epoch's end."""
        return bool(self._trainings)

    def open(self, training: object) -> None:
        """``training`` began."""
        with self._lock:
            self._trainings.append(training)

    def ask(self, wish: Wish) -> bool:
        """Have ``wish`` granted at the next epoch end; False where no training would come to one."""
        with self._lock:
            if not self._trainings:
                return False
            self._wishes.append(wish)
        return True

    def withdraw(self, wish: Wish) -> bool:
        """Forget a wish; False where it was granted or missed already."""
        with self._lock:
            if wish not in self._wishes:
                return False
            self._wishes.remove(wish)
        return True

    def grant(self) -> None:
        """An epoch has ended on this thread."""
        for wish in self._taken():
            wish.grant()

    def close(self, training: object) -> None:
        """``training`` is over; whoever still waits and has no other training to wait for is told so."""
        with self._lock:
            if training in self._trainings:
                self._trainings.remove(training)
            if self._trainings:
                return
        for wish in self._taken():
            wish.miss()

    def _taken(self) -> list[Wish]:
        with self._lock:
            wishes, self._wishes = self._wishes, []
        return wishes


@cache
def epoch_end() -> EpochEnd:
    """The one of this process."""
    return EpochEnd()
