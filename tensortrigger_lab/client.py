"""The REST API as Python calls, one method a route; everything else is built on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from tensortrigger_lab.config import Settings, from_environment
from tensortrigger_lab.connection import Body, Connection, Request
from tensortrigger_lab.errors import NotFound, TensorTriggerError, UnexpectedAnswer
from tensortrigger_lab.wire import (
    JobRecord,
    ModelRecord,
    ModelReference,
    Reject,
    WireError,
    listed,
    member,
    text,
    whole,
)

T = TypeVar("T")
PAGE = 200
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said: ``output`` as the API gives it, with null for each ``non_finite`` number."""

    output: Any
    model_id: str
    non_finite: int = 0

    @classmethod
    def read(cls, members: Any) -> Answer:
        """From JSON."""
        if "output" not in members:
            raise WireError("'output' is missing")
        return cls(
            members["output"], member(members, "model_id", text, ""), member(members, "non_finite", whole, 0)
        )


class Client:
    """A connection to one TensorTrigger backend; a context manager, safe to use from several threads.

    Args:
        url: the backend; None for ``TENSORTRIGGER_URL`` or http://127.0.0.1:8500.
        api_key: None for ``TENSORTRIGGER_API_KEY``, and only where the URL comes from the environment too:
            a key is never sent to a backend that it was not given for.
        timeout: seconds to wait for an answer.
        patience: seconds to go on knocking while nothing listens: a backend may be starting.
        in_shell: whether errors advise somebody at a shell, who has variables and no Python.
        transport: replaces the network, for tests.

    Every method raises a ``TensorTriggerError``; see the tree in ``tensortrigger_lab.errors``.

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
        found = from_environment()
        settings = Settings(url, api_key) if url else Settings(found.url, api_key or found.api_key)
        self._connection = Connection(
            settings, timeout=timeout, patience=patience, in_shell=in_shell, transport=transport
        )
        self.seen_models: set[str] = set()
        self.seen_jobs: set[str] = set()

    @property
    def url(self) -> str:
        """The backend."""
        return self._connection.settings.url

    @property
    def has_key(self) -> bool:
        """Whether requests carry a key."""
        return self._connection.settings.api_key is not None

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

    def health(self) -> dict[str, Any]:
        """The backend's own report: ``status``, ``version`` and more."""
        return self._connection.json(Request("GET", "/health"))

    def publish(
        self,
        content: str,
        *,
        name: str,
        title: str,
        description: str,
        schema: Mapping[str, Any] | None,
        idempotency_key: str,
    ) -> ModelRecord:
        """Upload a model; the record's ``state`` says whether it is ready yet.

        Args:
            content: the file's bytes in base64.

        Raises:
            ModelRefused: it cannot be accepted.
        """
        members: dict[str, Any] = {"name": name, "model_name": title, "model_description": description}
        if schema is not None:
            members["model_schema"] = schema
        members["model_content"] = content
        answer = self._connection.json(
            Request(
                "POST",
                "/models/new",
                members,
                headers={"Idempotency-Key": idempotency_key},
                refuses_models=True,
            )
        )
        if isinstance(answer.get("model"), dict):
            return self._noted(_read(answer, "model", ModelRecord.read))
        return self.model(_read(answer, "model_id", text))

    def model(self, reference: str) -> ModelRecord:
        """One version: by id, by ``name`` (its latest), or by ``name/3``."""
        with self._suggesting(reference):
            answer = self._connection.json(Request("GET", model_path(reference)))
        return self._noted(_read(answer, "model", ModelRecord.read))

    def models(
        self, *, name: str | None = None, state: str | None = None, limit: int = 100
    ) -> list[ModelRecord]:
        """The newest ``limit`` versions, newest first."""
        filters = {key: value for key, value in (("name", name), ("state", state)) if value}
        found = self._pages("/models", "models", ModelRecord.read, limit, filters)
        return [self._noted(record) for record in found]

    def delete_model(self, model_id: str) -> None:
        """Remove one version for good."""
        self._connection.json(Request("DELETE", f"/models/{_segment(model_id)}"))

    def run(self, model: ModelReference, vector: Mapping[str, float] | Sequence[float]) -> Answer:
        """One vector, by name or in schema order."""
        return self._run("/tensor/run", {**model, "input_vector": vector})

    def run_batch(self, model: ModelReference, vectors: Sequence[Any]) -> Answer:
        """Many vectors; ``output`` is a list in their order."""
        return self._run("/tensor/run/batch", {**model, "input_vectors": vectors})

    def run_tensors(self, model: ModelReference, inputs: Mapping[str, Any] | Sequence[Any]) -> Answer:
        """Nested lists with the batch axis first, by input name, or bare where there is one input."""
        return self._run("/tensor/run", {**model, "inputs": inputs})

    def start_job(self, model: str, body: Body, *, idempotency_key: str) -> str:
        """Stream a CSV up and queue it; the id of the job.

        Args:
            model: an id, ``name`` or ``name/3``.
            body: opens the CSV's bytes, anew each time it is called.
        """
        request = Request(
            "POST",
            "/jobs",
            params={name: str(value) for name, value in reference_to(model).items()},
            headers={"Content-Type": "text/csv", "Idempotency-Key": idempotency_key},
            body=body,
        )
        with self._suggesting(model):
            job_id = _read(self._connection.json(request), "job_id", text)
        self.seen_jobs.add(job_id)
        return job_id

    def job(self, job_id: str) -> JobRecord:
        """The job as it stands now."""
        answer = self._connection.json(Request("GET", f"/jobs/{_segment(job_id)}"))
        record = _read(answer, "job", JobRecord.read)
        self.seen_jobs.add(record.job_id)
        return record

    def jobs(self, *, limit: int = 100) -> list[JobRecord]:
        """The newest ``limit`` jobs, newest first."""
        found = self._pages("/jobs", "jobs", JobRecord.read, limit, {})
        self.seen_jobs.update(record.job_id for record in found)
        return found

    def cancel_job(self, job_id: str) -> None:
        """Stop a job. Safe to repeat."""
        self._connection.json(Request("POST", f"/jobs/{_segment(job_id)}/cancel"))

    @contextmanager
    def results_csv(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """The results as CSV, streamed: ``row`` (from 0), then the outputs; rejected rows are absent."""
        request = Request("GET", f"/jobs/{_segment(job_id)}/results", headers={"Accept": "text/csv"})
        with self._connection.stream(request) as chunks:
            yield chunks

    def rejects(self, job_id: str, *, limit: int = 1000) -> list[Reject]:
        """The first ``limit`` rows that could not be scored."""
        return self._pages(f"/jobs/{_segment(job_id)}/rejects", "rejects", Reject.read, limit, {})

    def _run(self, path: str, members: dict[str, Any]) -> Answer:
        with self._suggesting(str(members.get("model", ""))):
            return _whole_answer(self._connection.json(Request("POST", path, members)), Answer.read)

    @contextmanager
    def _suggesting(self, reference: str) -> Iterator[None]:
        """Add to NotFound which name was probably meant."""
        try:
            yield
        except NotFound as error:
            near = self._nearest(reference.partition("/")[0])
            if not near:
                raise
            raise NotFound(
                f"{error.detail} Did you mean {near!r}?", status=error.status, problem=error.problem
            ) from None

    def _nearest(self, name: str) -> str:
        """The published name most like this one; empty where none is, or where it is published itself."""
        if not name or _ID.fullmatch(name):
            return ""
        try:
            published = {record.name for record in self.models(state="ready", limit=PAGE)}
        except TensorTriggerError:
            published = self.seen_models
        near = [] if name in published else get_close_matches(name, sorted(published), 1)
        return near[0] if near else ""

    def _noted(self, record: ModelRecord) -> ModelRecord:
        if record.state == "ready":
            self.seen_models.add(record.name)
        return record

    def _pages(
        self, path: str, key: str, read: Callable[[Any], T], limit: int, filters: Mapping[str, str]
    ) -> list[T]:
        """Up to ``limit`` entries over as many pages as that takes."""
        found: list[T] = []
        cursor: str | None = None
        while len(found) < limit:
            params: dict[str, str | int] = {**filters, "limit": min(PAGE, limit - len(found))}
            if cursor is not None:
                params["cursor"] = cursor
            answer = self._connection.json(Request("GET", path, params=params))
            entries = _read(answer, key, listed(read))
            found += entries
            cursor = _whole_answer(answer, lambda members: member(members, "next_cursor", text, ""))
            if not cursor or not entries:
                break
        return found[:limit]


def reference_to(model: str) -> ModelReference:
    """How a body names the model: an id as ``model_id``, anything else as ``model``."""
    return {"model_id": model} if _ID.fullmatch(model) else {"model": model}


def model_path(reference: str) -> str:
    """The path of a version's metadata."""
    if _ID.fullmatch(reference):
        return f"/models/{reference}"
    name, slash, number = reference.partition("/")
    version = f"/versions/{_segment(number)}" if slash else ""
    return f"/models/by-name/{_segment(name)}{version}"


def _segment(value: str) -> str:
    return quote(value, safe="")


def _read(members: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> T:
    return _whole_answer(members, lambda found: member(found, name, read))


def _whole_answer(members: Any, read: Callable[[Any], T]) -> T:
    try:
        return read(members)
    except WireError as error:
        raise UnexpectedAnswer(
            f"The backend's answer cannot be read: {error}. Is it a newer version?"
        ) from error
