"""The REST API as Python calls, one method a route; everything else is built on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

import httpx

from tensortrigger_lab.calls import aliases as of_aliases
from tensortrigger_lab.calls import inference as of_inference
from tensortrigger_lab.calls import jobs as of_jobs
from tensortrigger_lab.calls import models as of_models
from tensortrigger_lab.calls import runs as of_runs
from tensortrigger_lab.calls import uploads as of_uploads
from tensortrigger_lab.calls.call import PAGE as PAGE
from tensortrigger_lab.calls.call import Call, Pages, Seen
from tensortrigger_lab.calls.inference import Answer as Answer
from tensortrigger_lab.calls.models import model_path as model_path
from tensortrigger_lab.calls.models import reference_to as reference_to
from tensortrigger_lab.config import Settings, settings_of
from tensortrigger_lab.connection import Connection
from tensortrigger_lab.errors import NoAnswer, NotReachable
from tensortrigger_lab.events import Event, EventReader, Following
from tensortrigger_lab.request import segment
from tensortrigger_lab.shown_signature import shown_as
from tensortrigger_lab.terms import Terms

P = ParamSpec("P")
T = TypeVar("T")


def _verb(call: Callable[Concatenate[Seen, P], Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method that carries the call out."""

    @wraps(call)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._connection.carry_out(call(self.seen, *args, **kwargs))

    return shown_as(method, call, "Call", "")


def _all(call: Callable[Concatenate[Seen, P], Pages[T]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """A method that goes through all pages, each asked for when it is reached."""

    @wraps(call)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        pages, cursor = call(self.seen, *args, **kwargs), None
        while True:
            page = self._connection.carry_out(pages.page(cursor))
            yield from page.entries
            cursor = page.cursor
            if not cursor:
                return

    return shown_as(method, call, "Pages", "Iterator")


class Client:
    """A connection to one TensorTrigger backend; a context manager, safe to use from several threads.

    Args:
        url: the backend; None for ``TENSORTRIGGER_URL`` or http://127.0.0.1:8500.
        api_key: None for ``TENSORTRIGGER_API_KEY``, and only where the URL comes from the environment too:
            a key is never sent to a backend that it was not given for.
        timeout: seconds to wait for an answer's next bytes.
        patience: seconds to go on where nothing listens yet or the backend is too busy; what is not safe to
            repeat is not repeated.
        in_shell: whether errors advise somebody at a shell, who has variables and no Python.
        transport: replaces the network, for tests.

    Every method raises a ``TensorTriggerError``; see the tree in ``tensortrigger_lab.errors``. A backend of
    another version than this client's is warned of once (``VersionSkew``).

    Example:
        >>> with Client("http://127.0.0.1:8500") as client:  # doctest: +SKIP
        ...     client.run({"model": "churn"}, {"age": 41, "visits": 3})
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        *,
        patience: float = 10.0,
        in_shell: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        terms = Terms(settings_of(url, api_key), timeout, patience, in_shell)
        self._connection = Connection(terms, transport=transport)
        self._transport = transport
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

    def changed(self, *, url: str | None = None, timeout: float | None = None) -> Client:
        """A client like this one but for what is named; the key does not go along to another URL."""
        terms = self._connection.terms
        settings = terms.settings
        key = settings.api_key if url is None or Settings(url).url == settings.url else None
        return Client(
            url or settings.url,
            key,
            timeout or terms.timeout,
            patience=terms.patience,
            in_shell=terms.in_shell,
            transport=self._transport,
        )

    def close(self) -> None:
        """Close every connection. Safe to repeat."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r}, {'with a key' if self.has_key else 'without a key'})"

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

    @contextmanager
    def results_csv(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """The results as CSV, streamed: ``row`` (from 0), then the outputs; rejected rows are absent."""
        with self._connection.stream(of_jobs.results_request(job_id)) as chunks:
            yield chunks

    @contextmanager
    def results_stream(self, job_id: str, media_type: str) -> Iterator[Iterator[bytes]]:
        """The results as CSV, NDJSON or Parquet by media type, streamed."""
        with self._connection.stream(of_jobs.results_request(job_id, media_type)) as chunks:
            yield chunks

    @contextmanager
    def rejects_csv(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """Every rejected row as CSV, streamed: row, line, field, code, message, expected, got."""
        with self._connection.stream(of_jobs.rejects_request(job_id)) as chunks:
            yield chunks

    def follow(self, run_id: str, after: int = 0) -> Iterator[Event]:
        """A run as it goes: each point after number ``after`` once and in order, each change of its state.

        A stream that breaks is opened again where it was left. Ends with the run.

        Example:
            >>> for event in client.follow(run_id):  # doctest: +SKIP
            ...     print(event)
        """
        return self._followed(Following(of_runs.metrics_path(run_id), after))

    def follow_job(self, job_id: str) -> Iterator[Event]:
        """A job as it goes: each change of its state and progress; of a training each point too."""
        return self._followed(Following(f"/jobs/{segment(job_id)}/events"))

    def _followed(self, following: Following) -> Iterator[Event]:
        while not following.ended:
            with self._connection.stream(following.request()) as chunks:
                yield from _news(following, chunks)
            if not following.ended:
                self._connection.sleep(following.pause())


def _news(following: Following, chunks: Iterator[bytes]) -> Iterator[Event]:
    """What one connection brings, until it ends in whatever way."""
    reader = EventReader()
    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                found = following.news(event)
                if found is not None:
                    yield found
    except (NotReachable, NoAnswer):
        return
    following.closed()
