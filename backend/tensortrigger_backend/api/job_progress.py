"""What a stream tells of the inside of a job: which partitions moved, and what its log says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tensortrigger_backend.api.answers import timestamp
from tensortrigger_backend.domain.jobs import INTAKE, LogEntry, PartitionState, PartitionStatus

WINDOW: Final = 500
"""Partitions that are looked at: they are worked on in order, so that those in work stand together."""
READ: Final = 500
"""Lines of the log that are read at a time."""
TAIL: Final = 2_000
"""Lines that are kept for watchers; whoever is further behind reads for itself."""

_BUSY: Final = (PartitionState.CLAIMED, PartitionState.FAILED)

ReadPartitions = Callable[[int, int], Sequence[PartitionStatus]]
ReadLog = Callable[[int, int], Sequence[LogEntry]]


def partition_json(status: PartitionStatus) -> dict[str, Any]:
    """One partition as the API shows it."""
    return {
        "partition": status.slice.number,
        "state": str(status.state),
        "first_row": status.slice.first_row,
        "rows": status.slice.rows,
        "rows_done": status.rows_done,
        "rows_rejected": status.rows_rejected,
        "attempts": status.attempts,
        "worker": status.worker,
        "claimed": timestamp(status.claimed) if status.claimed else None,
        "committed": timestamp(status.committed) if status.committed else None,
        "error": status.error,
    }


def log_json(entry: LogEntry) -> dict[str, Any]:
    """One line of a job's log as the API shows it."""
    return {
        "number": entry.number,
        "at": timestamp(entry.at),
        "level": entry.level,
        "message": entry.message,
        "partition": entry.partition,
    }


def _log_frame(entry: LogEntry) -> bytes:
    return b"id: %d\nevent: log\ndata: %s\n\n" % (entry.number, msgspec.json.encode(log_json(entry)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A partition, and the look at which it was found changed; 0 where it never was."""

    look: int
    status: PartitionStatus


class JobProgress:
    """What was found by looking at a job again and again.

    Attributes:
        look: counts the looks that found a partition changed.
        behind: there is more of the log, or of the partitions, than the latest look has read.
    """

    def __init__(self, read_partitions: ReadPartitions, read_log: ReadLog) -> None:
        self._read_partitions = read_partitions
        self._read_log = read_log
        self._partitions: dict[int, _Seen] = {}
        # All partitions up to here have ended: they need no further look.
        self._ended = INTAKE - 1
        self._lines: list[tuple[int, bytes]] = []
        self._first = self._last = 0
        self.look = 0
        self.behind = True

    def read(self) -> tuple[Sequence[PartitionStatus], Sequence[LogEntry]]:
        """What ``take`` needs to know; on a thread, as it reads."""
        return self._read_partitions(self._ended, WINDOW), self._read_log(self._last, READ)

    def take(self, window: Sequence[PartitionStatus], lines: Sequence[LogEntry]) -> None:
        """What was read last."""
        moved = [status for status in window if self._status(status.slice.number) != status]
        news = [
            status for status in moved if status.slice.number in self._partitions or status.state in _BUSY
        ]
        if news:
            self.look += 1
        self._partitions |= {status.slice.number: _Seen(0, status) for status in moved}
        self._partitions |= {status.slice.number: _Seen(self.look, status) for status in news}
        before = self._ended
        for status in window:
            if status.state not in (PartitionState.DONE, PartitionState.FAILED):
                break
            self._ended = status.slice.number
        self._lines += [(line.number, _log_frame(line)) for line in lines]
        if lines:
            self._last = lines[-1].number
        if len(self._lines) > TAIL:
            self._first = self._lines[-TAIL - 1][0]
            del self._lines[:-TAIL]
        self.behind = len(lines) == READ or (len(window) == WINDOW and self._ended != before)

    def _status(self, number: int) -> PartitionStatus | None:
        seen = self._partitions.get(number)
        return seen.status if seen else None

    def moved(self, since: int) -> bytes:
        """The event of partitions that changed after that look, without an id; empty when there are none.

        At first (``since`` 0) those in work and those that failed: how many wait or are done the job itself says.
        """
        found = [seen.status for seen in self._partitions.values() if seen.look > since]
        if not since:
            found = [status for status in found if status.state in _BUSY]
        if not found:
            return b""
        found.sort(key=lambda status: status.slice.number)
        members = {"partitions": [partition_json(status) for status in found]}
        return b"event: partitions\ndata: %s\n\n" % msgspec.json.encode(members)

    def lines(self, after: int) -> tuple[bytes, int] | None:
        """Events of the log beyond that number, and the number up to which they reach; None: ``read_lines`` knows."""
        if after < self._first:
            return None
        kept = [(number, data) for number, data in self._lines if number > after]
        return b"".join(data for _, data in kept), kept[-1][0] if kept else after

    def read_lines(self, after: int) -> tuple[bytes, int]:
        """As ``lines``, for those that are no longer kept; on a thread, as it reads."""
        found = self._read_log(after, READ)
        return b"".join(_log_frame(line) for line in found), found[-1].number if found else after
