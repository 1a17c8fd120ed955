"""Points that wait to be sent: a bounded store that gives up old batch points before anything else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

BATCH_POINTS = 20_000
"""Points of single batches that are held while the backend is away: some MB."""
EPOCH_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Point:
    """What Keras said after a batch or an epoch; ``step`` and ``epoch`` count from 1, ``t`` is Unix time."""

    step: int
    epoch: int
    t: float
    kind: str
    logs: Mapping[str, Any]

    @property
    def members(self) -> dict[str, Any]:
        """As the API takes it; what is no number is left out, what is not finite is null."""
        metrics = {name: value for name, value in map(_number, self.logs.items()) if value is not _NONE}
        return {
            "step": self.step,
            "epoch": self.epoch,
            "t": self.t,
            "kind": self.kind,
            "metrics": metrics,
        }


class PointBuffer:
    """Filled by the training's thread, emptied by the sender's; neither waits for the other.

    Attributes:
        dropped: points that were given up for want of room.
    """

    def __init__(self, batch_points: int = BATCH_POINTS, epoch_points: int = EPOCH_POINTS) -> None:
        self._batches: deque[Point] = deque(maxlen=batch_points)
        self._epochs: deque[Point] = deque(maxlen=epoch_points)
        self._lock = Lock()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._batches) + len(self._epochs)

    def add(self, step: int, epoch: int, kind: str, logs: Mapping[str, Any]) -> None:
        """Keep a point; where there is no room the oldest of its kind goes."""
        point = Point(step, epoch, time.time(), kind, logs)
        kept = self._epochs if kind == "epoch" else self._batches
        with self._lock:
            self.dropped += len(kept) == kept.maxlen
            kept.append(point)

    def take(self, limit: int) -> list[Point]:
        """Remove the first ``limit`` points in the order of their steps, an epoch after its batches."""
        taken: list[Point] = []
        with self._lock:
            while len(taken) < limit and (self._batches or self._epochs):
                epoch_first = bool(self._epochs) and (
                    not self._batches or self._epochs[0].step < self._batches[0].step
                )
                taken.append((self._epochs if epoch_first else self._batches).popleft())
        return taken


_NONE: Any = object()


def _number(entry: tuple[str, Any]) -> tuple[str, Any]:
    name, value = entry
    try:
        number = float(value)
    except Exception:  # noqa: BLE001 - a log may hold anybody's object
        return str(name), _NONE
    # NaN differs from itself; JSON has null for it and for the infinities.
    return str(name), number if number - number == 0.0 else None
