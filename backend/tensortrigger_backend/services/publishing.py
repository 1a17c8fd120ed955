"""One upload at a time goes through the forge; callers wait for theirs as long as they like."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Protocol

import structlog

from tensortrigger_backend.domain.errors import NotFound, NotInstalled, TensorTriggerError, Unavailable
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.services.registry import Registry

log = structlog.get_logger(__name__)

CAPACITY: Final = 64
"""Uploads that may wait for the forge; each lies in storage meanwhile."""


class Line(Protocol):
    """Where uploads wait to be judged, in this process or in another."""

    def submit(self, model_id: str) -> Future[ModelVersion]:
        """Queue an upload; the future holds the settled version, or Unavailable. Safe to repeat.

        Raises:
            Unavailable: too many wait already.
        """

    def start(self) -> None:
        """Begin to work, with what was left from before."""

    def stop(self) -> None:
        """Take nothing more; an upload in hand that the forge gives up stays unsettled, for the next start."""

    def close(self) -> None:
        """Stop, and wait for the upload in hand. Safe to repeat."""


class PublishLine:
    """A thread that feeds this process's forge, at the start with what stopped processes left behind."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._futures: dict[str, Future[ModelVersion]] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="publish-line", daemon=True)

    def start(self) -> None:
        """See ``Line.start``."""
        self._thread.start()
        for model_id in self._registry.left_behind():
            if self._registry.take_over(model_id):
                self._enter(model_id)

    def submit(self, model_id: str) -> Future[ModelVersion]:
        """See ``Line.submit``."""
        with self._lock:
            if model_id not in self._futures and len(self._futures) >= CAPACITY:
                raise too_many()
        return self._enter(model_id)

    def _enter(self, model_id: str) -> Future[ModelVersion]:
        with self._lock:
            future = self._futures.get(model_id)
            if future is None:
                future = self._futures[model_id] = Future()
                self._waiting.put(model_id)
            return future

    def stop(self) -> None:
        """See ``Line.stop``."""
        self._closing = True
        self._waiting.put(None)

    def close(self) -> None:
        """See ``Line.close``."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _work(self) -> None:
        while (model_id := self._waiting.get()) is not None:
            with self._lock:
                future = self._futures[model_id]
            try:
                future.set_result(judged(self._registry, model_id, lambda: not self._closing))
            except Exception as error:  # noqa: BLE001 - it is told to whoever waits
                # The line must outlive any single upload, or every later publish would hang.
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._futures[model_id]


def judged(registry: Registry, model_id: str, last_try: Callable[[], bool]) -> ModelVersion:
    """The settled version. Whatever the forge cannot judge is refused, with the reason, where this is the last try.

    Raises:
        NotFound: it was removed meanwhile.
        NotInstalled, Unavailable: the forge could not run.
    """
    try:
        return registry.judge(model_id)
    except NotFound:
        raise
    except (NotInstalled, Unavailable) as error:
        log.warning("publish.unavailable", model_id=model_id, reason=error.detail)
        if last_try():
            _refuse(registry, model_id, error.detail)
        raise
    except Exception:
        log.exception("publish.failed", model_id=model_id)
        _refuse(registry, model_id, "The check of this upload failed unexpectedly.")
        raise


def too_many() -> Unavailable:
    """What a caller is told whose upload would be one more than may wait."""
    return Unavailable(f"{CAPACITY} models wait to be checked already.", retry_after=30.0)


def _refuse(registry: Registry, model_id: str, reason: str) -> None:
    try:
        registry.refuse_unjudged(model_id, reason)
    except TensorTriggerError as error:
        # The store is away: the upload stays unsettled, and is found again.
        log.warning("publish.unsettled", model_id=model_id, reason=error.detail)
