"""What many watch is read once: a feed follows one run or job for all its watchers in this process.

A feed looks when this process was told of news, and every second or so in any case, as another process that
shares the database may have written. It keeps the latest frames, ready to send, so that another watcher costs
no reading. Nobody holds a thread while nothing happens.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool

from tensortrigger_backend.api.job_progress import JobProgress
from tensortrigger_backend.domain.errors import NotFound, Unavailable
from tensortrigger_backend.domain.runs import Point, PointKind, Run
from tensortrigger_backend.ports.runs import RunPoints
from tensortrigger_backend.services.runs import Runs

log = structlog.get_logger(__name__)

RUN_INTERVAL: Final = 1.0
"""Seconds between two looks at a run of which nothing was heard."""
JOB_INTERVAL: Final = 0.25
"""Seconds between two looks at a job: its events come at most four times a second."""
SPACING: Final = 0.02
"""Seconds after a look in which further news is gathered."""
READ: Final = 2_000
"""Points read at a time."""
TAIL: Final = 4_000
"""Frames kept for watchers that are up to date; whoever is further behind reads for itself."""
MAX_WATCHERS: Final = 5_000


def frame(event: str, members: Mapping[str, Any]) -> bytes:
    """One Server-Sent Event without an id."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(members))


def point_frame(point: Point) -> bytes:
    """A point as an event whose id is its number."""
    return b"id: %d\nevent: metric\ndata: %s\n\n" % (point.seq, msgspec.json.encode(point))


class Feed(ABC):
    """Follows one thing while somebody watches.

    Attributes:
        over: nothing more will come.
    """

    interval: float

    def __init__(self) -> None:
        self.over = False
        self._watchers: set[asyncio.Event] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self, wake: asyncio.Event) -> Iterator[None]:
        """While the block runs, ``wake`` is set whenever there may be something new."""
        self._watchers.add(wake)
        if self._task is None and not self.over:
            self._task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self._watchers.discard(wake)
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None

    @property
    def idle(self) -> bool:
        """Whether nobody watches."""
        return not self._watchers

    @abstractmethod
    async def _look(self) -> None:
        """See what is new. Raises NotFound when the thing is gone."""

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Set ``_news`` when somebody tells of news; without anybody who could, time must do."""
        yield

    async def _follow(self) -> None:
        with self._listening():
            while not self.over:
                try:
                    async with asyncio.timeout(self.interval):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()
                await self._look_once()
                # Also without news: a watcher sees whether the server is about to stop.
                for wake in self._watchers:
                    wake.set()
                await asyncio.sleep(SPACING)

    async def _look_once(self) -> None:
        try:
            await self._look()
        except NotFound:
            self.over = True
        except Unavailable as error:
            log.warning("feed.postponed", reason=error.detail)
        except Exception:
            # Watchers are waiting: whatever it was, the next look may succeed.
            log.exception("feed.failed")


class RunFeed(Feed):
    """Follows a run.

    Attributes:
        run: as it was at the latest look.
        last_seq: number of the latest point that was read.
        gone: the run was removed.
    """

    interval = RUN_INTERVAL

    def __init__(self, runs: Runs, run: Run) -> None:
        super().__init__()
        self.run = run
        self.last_seq = run.last_seq
        self.gone = False
        self.over = run.state.final
        self._runs = runs
        self._tail: list[tuple[PointKind, bytes]] = []

    async def after(self, seq: int, kind: PointKind | None) -> tuple[bytes, int]:
        """Frames of points beyond ``seq``, and the number up to which they reach."""
        if seq >= self.last_seq:
            return b"", seq
        skip = seq - (self.last_seq - len(self._tail))
        if skip >= 0:
            kept = self._tail[skip:]
            return b"".join(data for of, data in kept if kind is None or of is kind), self.last_seq
        page, frames = await run_in_threadpool(self._read, seq, kind)
        reached = page.run.last_seq if page.next_after is None else page.next_after
        return b"".join(frames), reached

    def _read(self, seq: int, kind: PointKind | None) -> tuple[RunPoints, list[bytes]]:
        page = self._runs.points_after(self.run.owner, self.run.run_id, seq, READ, kind)
        return page, [point_frame(point) for point in page.points]

    @contextmanager
    def _listening(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # A notice may come while the loop is being closed.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._news.set)

        with self._runs.notices.listening(self.run.run_id, wake):
            self._news.set()  # for what came between the caller's reading and now
            yield

    async def _look(self) -> None:
        try:
            page, frames = await run_in_threadpool(self._read, self.last_seq, None)
        except NotFound:
            self.gone = True
            raise
        self._tail += [(point.kind, data) for point, data in zip(page.points, frames, strict=True)]
        del self._tail[:-TAIL]
        self.run = page.run
        if page.points:
            self.last_seq = page.points[-1].seq
        if page.next_after is not None:
            self._news.set()
        self.over = page.run.state.final and page.next_after is None


class JobFeed(Feed):
    """Follows a job.

    Args:
        look: reads the job's object.

    Attributes:
        version: counts the changes that are worth an event.
        data: the job's event as it was at the latest of them.
        ending: the job has ended, and this feed has yet to read what else there is to tell of it.
        progress: the inside of the job; None where only the job itself is told.
    """

    interval = JOB_INTERVAL

    def __init__(
        self,
        look: Callable[[], Mapping[str, Any]],
        job: Mapping[str, Any],
        progress: JobProgress | None = None,
    ) -> None:
        super().__init__()
        self._read = look
        self._seen: object = None
        self.version = 0
        self.progress = progress
        self._take(job)
        if progress is not None:
            self._news.set()

    async def lines(self, after: int) -> tuple[bytes, int]:
        """Events of the job's log beyond that number, and the number up to which they reach."""
        if self.progress is None:
            return b"", after
        kept = self.progress.lines(after)
        return kept if kept is not None else await run_in_threadpool(self.progress.read_lines, after)

    async def _look(self) -> None:
        # The job first: what is read after its end is all that there is to tell.
        job = await run_in_threadpool(self._read)
        if self.progress is not None:
            self.progress.take(*await run_in_threadpool(self.progress.read))
        self._take(job)

    def _take(self, job: Mapping[str, Any]) -> None:
        moved = _moved(job)
        if moved != self._seen:
            self._seen = moved
            self.version += 1
            self.data = frame("job", job)
        ended = job["state"] in ("succeeded", "failed", "cancelled")
        self.ending = ended and self.progress is not None and self.progress.behind
        self.over = ended and not self.ending
        if self.ending:
            self._news.set()


def _moved(job: Mapping[str, Any]) -> object:
    """What makes an event of a job when it changes: of a training the epochs, else the rows."""
    progress = job["progress"]
    counted = (
        ("epochs_done",) if "epochs_done" in progress else ("rows_done", "rows_rejected", "partitions_done")
    )
    return (job["state"], *(progress[name] for name in counted))


class Feeds:
    """The feeds of one server, by what they follow.

    Args:
        draining: whether the server is about to stop: then every stream ends.
    """

    def __init__(self, runs: Runs, draining: Callable[[], bool]) -> None:
        self._runs = runs
        self.draining = draining
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._watchers = 0

    def of_run(self, run: Run) -> RunFeed:
        """The feed of a run that its owner has just read."""
        feed = self._feeds.get(("run", run.run_id))
        if not isinstance(feed, RunFeed) or feed.over:
            feed = self._feeds["run", run.run_id] = RunFeed(self._runs, run)
        return feed

    def of_job(
        self,
        job: Mapping[str, Any],
        look: Callable[[], Mapping[str, Any]],
        inside: Callable[[], JobProgress] | None = None,
    ) -> JobFeed:
        """The feed of a job that its owner has just read."""
        feed = self._feeds.get(("job", job["job_id"]))
        if not isinstance(feed, JobFeed) or feed.over:
            feed = JobFeed(look, job, inside() if inside is not None else None)
            self._feeds["job", job["job_id"]] = feed
        return feed

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """One more watcher; feeds that nobody watches any more are forgotten at its end."""
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1
            for key in [key for key, feed in self._feeds.items() if feed.idle]:
                del self._feeds[key]

    def must_have_room(self) -> None:
        """Raises Unavailable when too many watch already."""
        if self._watchers >= MAX_WATCHERS:
            raise Unavailable(f"{MAX_WATCHERS:,} streams are open here already.", retry_after=10.0)
