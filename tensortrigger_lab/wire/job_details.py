"""What a job consists of and what happened to it, as the backend describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortrigger_lab.wire.reading import member, text, whole


@dataclass(frozen=True, slots=True)
class PartitionRecord:
    """Some rows of a job, which one worker scores at a time.

    Attributes:
        partition: its place in the job, from 0; -1 fetches and cuts a file that lies elsewhere.
        state: queued, claimed, done or failed.
        rows_done: of ``rows``, by the attempt in work or the one that succeeded.
        worker: who holds it, or held it last.
        error: of the latest attempt that failed.
    """

    partition: int
    state: str
    first_row: int
    rows: int
    rows_done: int
    rows_rejected: int
    attempts: int
    worker: str | None
    error: str | None

    @classmethod
    def read(cls, members: Any) -> PartitionRecord:
        """From JSON."""
        return cls(
            member(members, "partition", whole),
            member(members, "state", text),
            member(members, "first_row", whole, 0),
            member(members, "rows", whole, 0),
            member(members, "rows_done", whole, 0),
            member(members, "rows_rejected", whole, 0),
            member(members, "attempts", whole, 0),
            member(members, "worker", text, None),
            member(members, "error", text, None),
        )


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing that happened to a job.

    Attributes:
        at: ISO 8601, UTC.
        level: info, warning or error.
        partition: what it is about; None for the job as a whole.
    """

    at: str
    level: str
    message: str
    partition: int | None

    @classmethod
    def read(cls, members: Any) -> LogLine:
        """From JSON."""
        return cls(
            member(members, "at", text),
            member(members, "level", text),
            member(members, "message", text),
            member(members, "partition", whole, None),
        )

    def __str__(self) -> str:
        where = "" if self.partition is None else f" partition {self.partition}:"
        return f"{self.at} {self.level:<7}{where} {self.message}"
