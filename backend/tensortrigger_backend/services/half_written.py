"""Remove what processes left half-written in the blob store when they died: an upload may be large."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from tensortrigger_backend.ports.storage import BlobStore

EVERY: Final = 300.0
"""Seconds between two rounds."""


class HalfWritten:
    """Any number of processes may do so at once.

    Whoever was taken for dead and comes back finds that it cannot commit what was removed.

    Args:
        dead: those of the named processes that are known not to live any more.
        clock: seconds that pass, from any beginning.
    """

    def __init__(
        self,
        blobs: BlobStore,
        dead: Callable[[Sequence[str]], list[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs = blobs
        self._dead = dead
        self._clock = clock
        self._swept = clock()

    def look_after(self) -> None:
        """Sweep when it is due: who has just died is not yet known to be dead, so once is not enough."""
        now = self._clock()
        if now - self._swept >= EVERY:
            self._swept = now
            self.sweep()

    def sweep(self) -> None:
        """Remove what is there now of processes that are dead."""
        self._blobs.sweep_incoming(self._dead(self._blobs.half_written_by()))
