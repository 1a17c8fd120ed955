"""The CSV files that are being scored, and the last ones that were."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tensortrigger_server.problems import Problem
from tensortrigger_server.score import Score, ScoreState

KEPT = 50
AT_ONCE = 4

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


class ScoreBook:
    """Runs scores, each in a task of its own.

    Args:
        redact: blots the backend's key out of what went wrong.
    """

    def __init__(self, log: Log, redact: Callable[[str], str]) -> None:
        self.naming = asyncio.Lock()
        """For `NewFile`: two scorings of one file end with results of different names."""
        self._log = log
        self._redact = redact
        self._scores: dict[str, Score] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def all(self) -> list[Score]:
        """Newest first."""
        return list(reversed(self._scores.values()))

    def find(self, score_id: str) -> Score:
        """One of them. Raises a Problem (404)."""
        if score_id not in self._scores:
            raise Problem(404, "not_found", "There is no such score: it may have been long ago.")
        return self._scores[score_id]

    def must_have_room(self) -> None:
        """Raise a Problem (429) while enough files are being scored."""
        if len(self._tasks) >= AT_ONCE:
            raise Problem(
                429,
                "too_many",
                f"{AT_ONCE} CSV files are being scored already: wait for one, or cancel one.",
                headers={"Retry-After": "5"},
            )

    def start(self, score: Score, work: Callable[[], Awaitable[None]]) -> None:
        """Begin; the oldest that has ended is forgotten when there are too many."""
        self._scores[score.score_id] = score
        ended = [known.score_id for known in self._scores.values() if known.state.final]
        for score_id in ended[: max(0, len(self._scores) - KEPT)]:
            del self._scores[score_id]
        task = asyncio.create_task(self._see_through(score, work))
        self._tasks[score.score_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(score.score_id, None))

    async def cancel(self, score_id: str) -> Score:
        """Cancel unless it has ended; safe to repeat. Raises a Problem (404)."""
        score = self.find(score_id)
        task = self._tasks.get(score_id)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        score.end(ScoreState.CANCELLED)  # also one that was cancelled before it could begin
        return score

    async def close(self) -> None:
        """End all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._scores.clear()

    async def _see_through(self, score: Score, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            score.end(ScoreState.CANCELLED)
        except Problem as problem:
            score.end(ScoreState.FAILED, self._redact(_sentence(problem)))
        except Exception:  # noqa: BLE001 - told to the user, and in the log
            self._log.exception("A CSV file could not be scored.")
            score.end(ScoreState.FAILED, "The Jupyter server failed on this file: its log says why.")
        else:
            score.end(ScoreState.SUCCEEDED)


def _sentence(problem: Problem) -> str:
    """What went wrong, with the faults that the backend found."""
    faults = problem.more.get("errors") or []
    more = [str(fault["message"]) for fault in faults[:5] if isinstance(fault, dict) and fault.get("message")]
    return " ".join([problem.detail, *(words for words in more if words not in problem.detail)])
