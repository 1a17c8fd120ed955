"""The REST API for asyncio code: the verbs of ``Client``, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

import httpx

from tensortrigger_lab.async_connection import AsyncConnection
from tensortrigger_lab.calls import aliases as of_aliases
from tensortrigger_lab.calls import inference as of_inference
from tensortrigger_lab.calls import jobs as of_jobs
from tensortrigger_lab.calls import models as of_models
from tensortrigger_lab.calls import runs as of_runs
from tensortrigger_lab.calls import uploads as of_uploads
from tensortrigger_lab.calls.call import Call, Pages, Seen
from tensortrigger_lab.config import settings_of
from tensortrigger_lab.errors import NoAnswer, NotReachable
from tensortrigger_lab.events import Event, EventReader, Following
from tensortrigger_lab.request import segment
from tensortrigger_lab.shown_signature import shown_as
from tensortrigger_lab.terms import Terms

P = ParamSpec("P")
T = TypeVar("T")


def _verb(
    call: Callable[Concatenate[Seen, P], Call[T]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """A coroutine method that carries the call out."""

    @wraps(call)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._connection.carry_out(call(self.seen, *args, **kwargs))

    return shown_as(method, call, "Call", "")


def _all(
    call: Callable[Concatenate[Seen, P], Pages[T]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """A method that goes through all pages, each asked for when it is reached."""

    @wraps(call)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        pages, cursor = call(self.seen, *args, **kwargs), None
        while True:
            page = await self._connection.carry_out(pages.page(cursor))
            for entry in page.entries:
                yield entry
            cursor = page.cursor
            if not cursor:
                return

    return shown_as(method, call, "Pages", "AsyncIterator")


class AsyncClient:
    """A connection to one TensorTrigger backend, for one event loop; an asynchronous context manager.

    Takes what ``Client`` takes and has its verbs, each to be awaited; what gives many (``iter_models``,
    ``follow``) is gone through with ``async for``.

    Example:
        >>> async with AsyncClient("http://127.0.0.1:8500") as client:  # doctest: +SKIP
        ...     await client.run({"model": "churn"}, {"age": 41, "visits": 3})
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        *,
        patience: float = 10.0,
        in_shell: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        terms = Terms(settings_of(url, api_key), timeout, patience, in_shell)
        self._connection = AsyncConnection(terms, transport=transport)
        self.seen = Seen()

    @property
    def url(self) -> str:
        """The backend."""
        return self._connection.terms.settings.url

    @property
    def has_key(self) -> bool:
        """Whether requests carry a key."""
        return self._connection.terms.settings.api_key is not None

    @property
    def skew(self) -> str | None:
        """Which of client and backend to update; None where their versions fit, or before the first answer."""
        return self._connection.skew.advice

    async def close(self) -> None:
        """Close every connection. Safe to repeat."""
        await self._connection.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.url!r}, {'with a key' if self.has_key else 'without a key'})"

    health = _verb(of_models.health)
    upload = _verb(of_uploads.upload)
    publish = _verb(of_models.publish)
    model = _verb(of_models.model)
    models = _verb(of_models.models)
    change_model = _verb(of_models.change_model)
    delete_model = _verb(of_models.delete_model)
    receipt = _verb(of_models.receipt)
    iter_models = _all(of_models.model_pages)
    aliases = _verb(of_aliases.aliases)
    alias = _verb(of_aliases.alias)
    move_alias = _verb(of_aliases.move_alias)
    remove_alias = _verb(of_aliases.remove_alias)
    rollback = _verb(of_aliases.rollback)
    alias_history = _verb(of_aliases.alias_history)
    iter_alias_history = _all(of_aliases.alias_move_pages)
    run = _verb(of_inference.run)
    run_batch = _verb(of_inference.run_batch)
    run_tensors = _verb(of_inference.run_tensors)
    start_job = _verb(of_jobs.start_job)
    start_stored_job = _verb(of_jobs.start_stored_job)
    job_sources = _verb(of_jobs.job_sources)
    start_training = _verb(of_jobs.start_training)
    start_file_training = _verb(of_jobs.start_file_training)
    job = _verb(of_jobs.job)
    jobs = _verb(of_jobs.jobs)
    job_partitions = _verb(of_jobs.job_partitions)
    job_log = _verb(of_jobs.job_log)
    cancel_job = _verb(of_jobs.cancel_job)
    retry_job = _verb(of_jobs.retry_job)
    delete_job = _verb(of_jobs.delete_job)
    webhook_secret = _verb(of_jobs.webhook_secret)
    rejects = _verb(of_jobs.rejects)
    iter_jobs = _all(of_jobs.job_pages)
    iter_rejects = _all(of_jobs.reject_pages)
    start_run = _verb(of_runs.start_run)
    add_points = _verb(of_runs.add_points)
    run_record = _verb(of_runs.run_record)
    runs = _verb(of_runs.runs)
    delete_run = _verb(of_runs.delete_run)
    points = _verb(of_runs.points)
    run_news = _verb(of_runs.run_news)
    iter_runs = _all(of_runs.run_pages)

    @asynccontextmanager
    async def results_csv(self, job_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The results as CSV, streamed: ``row`` (from 0), then the outputs; rejected rows are absent."""
        async with self._connection.stream(of_jobs.results_request(job_id)) as chunks:
            yield chunks

    @asynccontextmanager
    async def results_stream(self, job_id: str, media_type: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The results as CSV, NDJSON or Parquet by media type, streamed."""
        async with self._connection.stream(of_jobs.results_request(job_id, media_type)) as chunks:
            yield chunks

    @asynccontextmanager
    async def rejects_csv(self, job_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Every rejected row as CSV, streamed: row, line, field, code, message, expected, got."""
        async with self._connection.stream(of_jobs.rejects_request(job_id)) as chunks:
            yield chunks

    def follow(self, run_id: str, after: int = 0) -> AsyncIterator[Event]:
        """A run as it goes; see ``Client.follow``.

        Example:
            >>> async for event in client.follow(run_id):  # doctest: +SKIP
            ...     print(event)
        """
        return self._followed(Following(of_runs.metrics_path(run_id), after))

    def follow_job(self, job_id: str) -> AsyncIterator[Event]:
        """A job as it goes; see ``Client.follow_job``."""
        return self._followed(Following(f"/jobs/{segment(job_id)}/events"))

    async def _followed(self, following: Following) -> AsyncIterator[Event]:
        while not following.ended:
            async with self._connection.stream(following.request()) as chunks:
                async for event in _news(following, chunks):
                    yield event
            if not following.ended:
                await self._connection.sleep(following.pause())


async def _news(following: Following, chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """What one connection brings, until it ends in whatever way."""
    reader = EventReader()
    try:
        async for chunk in chunks:
            for event in reader.feed(chunk):
                found = following.news(event)
                if found is not None:
                    yield found
    except (NotReachable, NoAnswer):
        return
    following.closed()
