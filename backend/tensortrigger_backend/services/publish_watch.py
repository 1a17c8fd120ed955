"""Callers of a process without a forge wait here: their uploads are looked at until another process has judged them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import NotFound, TensorTriggerError, Unavailable
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.services.publishing import CAPACITY, too_many
from tensortrigger_backend.services.registry import Registry

log = structlog.get_logger(__name__)

FIRST_PAUSE: Final = 0.1
SLOWER: Final = 1.25
LONGEST_PAUSE: Final = 1.0


@dataclass
class _Awaited:
    future: Future[ModelVersion]
    until: float
    due: float
    pause: float = FIRST_PAUSE


class PublishWatch:
    """A ``Line`` whose uploads some ``tt forge`` takes by itself: nothing is handed over, only waited for.

    Args:
        patience: seconds for which an upload is looked at; longer than any caller waits.
    """

    def __init__(self, registry: Registry, patience: float) -> None:
        self._registry = registry
        self._patience = patience
        self._awaited: dict[str, _Awaited] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._watch, name="publish-watch", daemon=True)

    def start(self) -> None:
        """See ``Line.start``."""
        self._thread.start()

    def submit(self, model_id: str) -> Future[ModelVersion]:
        """See ``Line.submit``: Unavailable also for an upload that was not judged within the patience."""
        with self._changed:
            there = self._awaited.get(model_id)
        # The upload is one of them already.
        if there is None and self._registry.waiting() > CAPACITY:
            raise too_many()
        now = time.monotonic()
        with self._changed:
            awaited = self._awaited.get(model_id)
            if awaited is None:
                awaited = self._awaited[model_id] = _Awaited(Future(), now, now + FIRST_PAUSE)
            awaited.until = now + self._patience
            self._changed.notify()
            return awaited.future

    def stop(self) -> None:
        """See ``Line.stop``."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def close(self) -> None:
        """See ``Line.close``."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        for awaited in self._awaited.values():
            awaited.future.set_exception(Unavailable("The server is shutting down; try again in a moment."))
        self._awaited.clear()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closing:
                    return
                earliest = min((awaited.due for awaited in self._awaited.values()), default=None)
                now = time.monotonic()
                if earliest is None or earliest > now:
                    self._changed.wait(None if earliest is None else earliest - now)
                    continue
                due = [
                    (model_id, awaited) for model_id, awaited in self._awaited.items() if awaited.due <= now
                ]
            for model_id, awaited in due:
                self._look(model_id, awaited)

    def _look(self, model_id: str, awaited: _Awaited) -> None:
        now = time.monotonic()
        awaited.pause = min(awaited.pause * SLOWER, LONGEST_PAUSE)
        awaited.due = now + awaited.pause
        found: ModelVersion | None = None
        error: Exception | None = None
        try:
            found = self._registry.peek(model_id)
        except NotFound as gone:
            error = gone
        except TensorTriggerError as away:
            log.debug("publish.not_seen", model_id=model_id, reason=away.detail)
        except Exception as strange:
            # One upload that cannot be read must not hold up all others.
            log.exception("publish.watch_failed", model_id=model_id)
            error = strange
        if error is None and (found is None or not found.state.settled):
            if now < awaited.until:
                return
            error = Unavailable("No forge has checked this model yet.", retry_after=5.0)
        with self._changed:
            del self._awaited[model_id]
        if error is not None:
            awaited.future.set_exception(error)
        elif found is not None:
            awaited.future.set_result(found)
