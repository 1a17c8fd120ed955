"""A run's points and states in order, each once, however often the way to the backend breaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tensortrigger_server.event_stream import Event, events
from tensortrigger_server.problems import BackendAway, BackendFault
from tensortrigger_server.upstream import Upstream

SILENCE = 40.0
"""Seconds; the backend gives a sign of life every 15."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How a broken stream is opened again: seconds between attempts, which double, and in all."""

    first: float = 0.2
    longest: float = 3.0
    in_all: float = 20.0


class RunFeed:
    """What the backend tells about one run.

    Args:
        since: the last point that is known already; 0 for none.
    """

    def __init__(
        self, upstream: Upstream, run_id: str, since: int, persistence: Persistence | None = None
    ) -> None:
        self.last_seq = since
        self.state: str | None = None
        self._upstream = upstream
        self._run_id = run_id
        self._persistence = persistence or Persistence()

    async def events(self) -> AsyncIterator[Event]:
        """``run`` events, and each ``metric`` event after ``since`` once; ends when the run is over.

        Raises:
            BackendAway: it could not be reached, at the start or for too long.
            BackendFault: there is no such run.
            KeyRefused: the key is not valid.
        """
        loop = asyncio.get_running_loop()
        broken_since: float | None = None
        delay = self._persistence.first
        while True:
            problem = BackendAway("The backend ends the stream again and again.")
            try:
                async for event in self._once():
                    if broken_since is not None:
                        broken_since, delay = None, self._persistence.first
                    yield event
                if self.state is not None and self.state != "running":
                    return
            except BackendAway as away:
                if self.state is None:
                    raise
                problem = away
            now = loop.time()
            broken_since = now if broken_since is None else broken_since
            if now - broken_since >= self._persistence.in_all:
                raise problem
            # Jitter: after a restart of the backend all browsers come back, but not at once.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(2 * delay, self._persistence.longest)

    async def _once(self) -> AsyncIterator[Event]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self.last_seq:
            headers["Last-Event-ID"] = str(self.last_seq)
        async with self._upstream.ask(
            "GET",
            f"runs/{self._run_id}/metrics",
            query=f"after={self.last_seq}",
            headers=headers,
            silence=SILENCE,
        ) as answer:
            if not answer.is_success:
                await self._upstream.members(answer)
            if "text/event-stream" not in answer.headers.get("content-type", ""):
                raise BackendFault(502, "backend_failed", "The backend has no stream of this run: update it.")
            async for event in events(self._upstream.blocks(answer)):
                if self._is_new(event):
                    yield event

    def _is_new(self, event: Event) -> bool:
        if event.kind == "run":
            self.state = str(event.members.get("state"))
            return True
        seq: Any = event.members.get("seq")
        if event.kind != "metric" or not isinstance(seq, int) or seq <= self.last_seq:
            return False
        self.last_seq = seq
        return True
