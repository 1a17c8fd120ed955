"""A process that has a forge takes uploads from the database: those that nobody holds, and those of the dead."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from tensortrigger_backend.domain.errors import NotFound, NotInstalled, TensorTriggerError, Unavailable
from tensortrigger_backend.services.publishing import judged
from tensortrigger_backend.services.registry import Registry

log = structlog.get_logger(__name__)

POLL: Final = 0.25
"""Seconds between two looks; one more query, where a caller waits for seconds anyway."""
AWAY: Final = 2.0
TRIES: Final = 3
"""Whoever takes an upload tries so often before it is refused: the storage may have been away for a moment."""


class ForgeLine:
    """One upload at a time, the oldest first. Any number of these may run anywhere."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._closing = threading.Event()
        self._in_hand: str | None = None
        self._tries: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, name="forge-line", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more."""
        self._closing.set()

    def join(self, seconds: float) -> bool:
        """Wait for the upload in hand; whether it is done."""
        if self._thread.is_alive():
            self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def hand_back(self) -> None:
        """Leave to others what this process has taken and not judged."""
        try:
            for model_id in self._registry.held():
                self._registry.hand_back(model_id)
                log.info("publish.handed_back", model_id=model_id)
        except TensorTriggerError as error:
            # Then others know when this process is dead to them.
            log.warning("publish.not_handed_back", reason=error.detail)

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                model_id = self._taken()
            except TensorTriggerError as error:
                log.warning("forge.postponed", reason=error.detail)
                self._closing.wait(AWAY)
                continue
            except Exception:
                log.exception("forge.failed")
                self._closing.wait(AWAY)
                continue
            if model_id is None:
                self._closing.wait(POLL)
            else:
                self._judge(model_id)

    def _taken(self) -> str | None:
        """An upload to judge: one whose judging the storage broke off, or the oldest that is free."""
        for model_id in self._tries:
            return model_id
        for model_id in self._registry.left_behind():
            if self._registry.take_over(model_id):
                return model_id
        return None

    def _judge(self, model_id: str) -> None:
        tries = self._tries.pop(model_id, 0) + 1

        def last_try() -> bool:
            return tries >= TRIES and not self._closing.is_set()

        try:
            version = judged(self._registry, model_id, last_try)
        except NotFound:
            log.info("publish.withdrawn", model_id=model_id)
        except (NotInstalled, Unavailable):
            if not self._closing.is_set():
                self._tries[model_id] = tries
                self._closing.wait(AWAY)
        except Exception:  # noqa: BLE001 - it is logged already, and the line must outlive any single upload
            self._closing.wait(AWAY)
        else:
            log.info("publish.judged", model_id=model_id, state=str(version.state), name=version.name)
