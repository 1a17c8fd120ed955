"""One upload at a time goes through the forge; callers wait for theirs as long as they like."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import NotFound, NotInstalled, Unavailable
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.services.registry import Registry

log = structlog.get_logger(__name__)

CAPACITY: Final = 64
"""Uploads that may wait for the forge; each lies on disk meanwhile."""


class PublishLine:
    """A thread that feeds the forge, at the start with what stopped processes left behind."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._futures: dict[str, Future[ModelVersion]] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="publish-line", daemon=True)

    def start(self) -> None:
        """Begin to work, with what was left from before."""
        self._thread.start()
        for model_id in self._registry.left_behind():
            self._enter(model_id)

    def submit(self, model_id: str) -> Future[ModelVersion]:
        """Queue an upload; the future holds the settled version, or Unavailable. Safe to repeat.

        Raises:
            Unavailable: too many wait already.
        """
        with self._lock:
            if model_id not in self._futures and len(self._futures) >= CAPACITY:
                raise Unavailable(f"{CAPACITY} models wait to be checked already.", retry_after=30.0)
        return self._enter(model_id)

    def _enter(self, model_id: str) -> Future[ModelVersion]:
        with self._lock:
            future = self._futures.get(model_id)
            if future is None:
                future = self._futures[model_id] = Future()
                self._waiting.put(model_id)
            return future

    def stop(self) -> None:
        """Take nothing more; an upload in hand that the forge gives up stays unsettled, for the next start."""
        self._closing = True
        self._waiting.put(None)

    def close(self) -> None:
        """Stop, and wait for the upload in hand. Safe to repeat."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _work(self) -> None:
        while (model_id := self._waiting.get()) is not None:
            with self._lock:
                future = self._futures[model_id]
            try:
                future.set_result(self._registry.judge(model_id))
            except NotFound as error:
                future.set_exception(error)
            except (NotInstalled, Unavailable) as error:
                log.warning("publish.unavailable", model_id=model_id, reason=error.detail)
                if not self._closing:
                    self._registry.refuse_unjudged(model_id, error.detail)
                future.set_exception(error)
            except Exception as error:
                # The line must outlive any single upload, or every later publish would hang.
                log.exception("publish.failed", model_id=model_id)
                self._registry.refuse_unjudged(model_id, "The check of this upload failed unexpectedly.")
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._futures[model_id]
