"""Server-Sent Events: a run's points and a job's progress, sent while they happen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Send

from tensortrigger_backend.api.feeds import Feeds, JobFeed, RunFeed, frame
from tensortrigger_backend.api.run_json import describe_run
from tensortrigger_backend.domain.errors import Fault, InvalidInput, NotFound, Unavailable
from tensortrigger_backend.domain.run_messages import MAX_COUNT
from tensortrigger_backend.domain.runs import PointKind, RunState

MEDIA_TYPE: Final = "text/event-stream"
KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent, so that nobody between takes the stream for dead."""
STRAGGLING: Final = 5.0
"""Seconds that a run may take to end after its job did: its trainer may have died."""


def wants_events(request: Request) -> bool:
    """Whether the caller accepts Server-Sent Events."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def resumed_after(request: Request, after: int) -> int:
    """The number of the last point, or line of a log, that the caller has: ``Last-Event-ID`` goes before ``after``.

    A browser that reconnects sends the header and still has the first address, with its ``after``.

    Raises:
        InvalidInput: the header is no number.
    """
    last = request.headers.get("last-event-id", "").strip()
    if not last:
        return after
    if not (last.isascii() and last.isdigit() and len(last) < 17):
        raise InvalidInput.of(
            Fault(("Last-Event-ID",), "event_id", "Last-Event-ID must be the id of an event.", "a number")
        )
    return min(int(last), MAX_COUNT)


class RunSource:
    """A watcher's place in a run: the run itself, its points, the run on each change of state and at its end.

    Attributes:
        done: everything was sent, the end included.
    """

    def __init__(self, feed: RunFeed, after: int, kind: PointKind | None) -> None:
        self.feed = feed
        self.done = False
        self._after = after
        self._kind = kind
        self._told: RunState | None = None

    async def more(self) -> bytes:
        """Events since the last call; empty when there are none yet."""
        if self.done:
            return b""
        if self._told is None:
            return self._state()
        while not self.feed.gone:
            # The feed may move on meanwhile: what it says of the end must be older than what was asked of it.
            over = self.feed.over
            try:
                block, reached = await self.feed.after(self._after, self._kind)
            except NotFound:
                break
            if reached == self._after:
                self.done = over
                return self._state() if over or self.feed.run.state is not self._told else b""
            self._after = reached
            if block:
                return block
        self.done = True
        return b""

    def _state(self) -> bytes:
        self._told = self.feed.run.state
        return frame("run", describe_run(self.feed.run))


class JobSource:
    """A watcher's place in a job: its log, its partitions as they move, the job on each change and at its end.

    Args:
        after: the number of the last line of the log that the watcher has. Every event has the number up to which
            the log was told as its id, so that whoever comes back goes on from there.

    Attributes:
        done: everything was sent, the end included.
    """

    def __init__(self, feed: JobFeed, after: int = 0) -> None:
        self.feed = feed
        self.done = False
        self._after = after
        self._told = 0
        self._looked = 0

    async def more(self) -> bytes:
        """Events since the last call; empty when there are none yet."""
        over, ending, version = self.feed.over, self.feed.ending, self.feed.version
        data, progress = self.feed.data, self.feed.progress
        lines, self._after = await self.feed.lines(self._after)
        if lines:
            return lines
        block = b""
        if progress is not None and self._looked != progress.look:
            block = self._numbered(progress.moved(self._looked))
            self._looked = progress.look
        # The end is told last.
        if self._told != version and not ending:
            self._told = version
            block += self._numbered(data)
        self.done = over
        return block

    def _numbered(self, data: bytes) -> bytes:
        """With an id, unless the ids of this stream are those of a run's points."""
        return b"id: %d\n%s" % (self._after, data) if data and self.feed.progress is not None else data


async def events(
    feeds: Feeds, run: RunSource | None, job: JobSource | None = None
) -> AsyncGenerator[bytes, None]:
    """Events of a run, of a job or of both, until they have ended or the server is about to stop."""
    sources = [source for source in (run, job) if source is not None]
    wake = asyncio.Event()
    clock = asyncio.get_running_loop().time
    job_ended: float | None = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(feeds.admitted())
        for source in sources:
            stack.enter_context(source.feed.watched(wake))
        sent = clock()
        while not feeds.draining():
            wake.clear()
            try:
                block = b"".join([await source.more() for source in sources])
            except Unavailable:
                # The caller resumes where this ends: better than to be silent with a stream that looks alive.
                return
            if block:
                sent = clock()
                yield block
                continue
            if all(source.done for source in sources):
                return
            if job is not None and job.done:
                job_ended = job_ended or clock()
                if clock() - job_ended > STRAGGLING:
                    return
            try:
                async with asyncio.timeout_at(sent + KEEP_ALIVE):
                    await wake.wait()
            except TimeoutError:
                sent = clock()
                yield b": keep-alive\n\n"


class EventStream(StreamingResponse):
    """The answer that carries a stream of events; what the stream holds is let go as soon as it ends."""

    media_type = MEDIA_TYPE

    def __init__(self, content: AsyncGenerator[bytes, None]) -> None:
        # A proxy that buffers or caches would hold events back.
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._content = content

    async def stream_response(self, send: Send) -> None:
        """Send until the stream ends, or until the client has left."""
        async with contextlib.aclosing(self._content):
            await super().stream_response(send)
