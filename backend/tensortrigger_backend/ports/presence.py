"""Which processes of a deployment are alive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Presence(Protocol):
    """Marks this process as alive until it closes or dies, however it dies.

    Attributes:
        worker: this process's name, new for each start.
    """

    worker: str

    def dead(self, workers: Sequence[str]) -> list[str]:
        """Those of ``workers`` that are known not to live any more."""

    def close(self) -> None:
        """Leave. Safe to repeat."""
