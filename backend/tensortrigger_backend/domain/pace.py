"""How fast a job moves just now, told from its latest commits in a few numbers, however many there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 30.0
"""Seconds of commits over which a job's speed is told."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Commits of the last while, in a span that is growing and the one before it.

    Attributes:
        latest: when the latest commit was.
        since, rows: when the work on the growing span began, and its rows.
        since_before, rows_before: the same of the span before; no rows where that is too long ago.
    """

    latest: float
    since: float
    rows: int
    since_before: float = 0.0
    rows_before: int = 0

    @property
    def per_second(self) -> float:
        since = min(self.since, self.since_before) if self.rows_before else self.since
        return (self.rows + self.rows_before) / max(self.latest - since, 1e-3)

    def to_list(self) -> list[float]:
        """What ``from_list`` reads."""
        return [self.latest, self.since, self.rows, self.since_before, self.rows_before]

    @classmethod
    def from_list(cls, numbers: Sequence[float] | None) -> Pace | None:
        """The pace as stored; None before the first commit."""
        if not numbers:
            return None
        latest, since, rows, since_before, rows_before = numbers
        return cls(latest, since, int(rows), since_before, int(rows_before))


def after_commit(before: Pace | None, claimed: float, committed: float, rows: int) -> Pace:
    """The pace after another commit, of a partition that was claimed at ``claimed``."""
    if before is None or before.latest <= committed - WINDOW:
        return Pace(committed, claimed, rows)
    latest = max(committed, before.latest)
    if committed - before.since > WINDOW / 2:
        return Pace(latest, claimed, rows, before.since, before.rows)
    return Pace(
        latest,
        min(before.since, claimed),
        before.rows + rows,
        before.since_before,
        before.rows_before,
    )
