"""Tell receivers that jobs have ended: take what is due, sign it, deliver it, try again later what failed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import TensorTriggerError
from tensortrigger_backend.domain.webhooks import next_attempt, secret_of, signed
from tensortrigger_backend.ports.webhooks import Courier, Webhook, WebhookStore

log = structlog.get_logger(__name__)

POLL: Final = 1.0
"""Seconds between two looks at what is due."""
HOLD: Final = 60.0
"""Seconds that a delivery may take before another process may try; the courier gives up long before."""
AT_ONCE: Final = 6
AT_ONCE_OF_ONE: Final = 2
"""Deliveries at a time, all in all and of one owner."""
RESTED_FOR: Final = 60.0
"""Seconds for which a receiver that failed is called only when nobody else waits."""
RESTING: Final = 200
"""Receivers that are remembered so."""


class Webhooks:
    """Delivers from threads of its own, a few at once, so that a receiver that hangs holds up nobody else.

    Any number of processes may do so at once. A message that was being delivered when its process died is delivered
    again, under the same id.

    Args:
        pepper: from which the owners' secrets follow.
        chance: 0 to 1, for the spread of retries.
    """

    def __init__(
        self,
        store: WebhookStore,
        courier: Courier,
        pepper: bytes,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._courier = courier
        self._pepper = pepper
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._called: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()
        self._resting: dict[str, float] = {}
        self._deliveries: list[threading.Thread] = []
        self._nudged = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def check(self, url: str) -> None:
        """Raises InvalidInput, naming ``webhook``, for an address that is never called. May take seconds."""
        self._courier.check(url)

    def secret(self, principal: Principal) -> str:
        """The secret with which the caller's messages are signed."""
        principal.must(Scope.JOBS)
        return secret_of(self._pepper, principal.owner)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def close(self) -> None:
        """Stop; deliveries in hand have two seconds more, then another process takes them over. Safe to repeat."""
        self._stop.set()
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for thread in self._in_hand():
            thread.join(timeout=2 / AT_ONCE)

    def take(self) -> Webhook | None:
        """The next message to deliver, held for this process."""
        now = self._clock()
        with self._lock:
            self._resting = {url: until for url, until in self._resting.items() if until > now}
            resting = list(self._resting)
            called = list(self._called)
            busy = [owner for owner, count in self._owners.items() if count >= AT_ONCE_OF_ONE]
        found = self._store.take(now, HOLD, [*called, *resting], busy)
        if found is None and resting:
            found = self._store.take(now, HOLD, called, busy)
        return found

    def deliver(self, webhook: Webhook) -> None:
        """One attempt, and what follows from it."""
        headers = signed(
            secret_of(self._pepper, webhook.owner), webhook.message_id, self._clock(), webhook.body
        )
        error = self._courier.bring(webhook, headers)
        now, due = self._clock(), None
        if error is not None:
            due = next_attempt(webhook.attempts + 1, now, self._chance())
            log.info("webhook.failed", job_id=webhook.job_id, attempt=webhook.attempts + 1, reason=error)
            with self._lock:
                if len(self._resting) < RESTING:
                    self._resting[webhook.url] = now + RESTED_FOR
        else:
            with self._lock:
                self._resting.pop(webhook.url, None)
        self._store.settle(webhook, error, due, now)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._set_out():
                    self._nudged.wait(POLL)
                    self._nudged.clear()
            except TensorTriggerError as error:
                log.warning("webhooks.postponed", reason=error.detail)
                self._stop.wait(POLL)
            except Exception:
                # Messages are owed: nothing may end this thread.
                log.exception("webhooks.failed")
                self._stop.wait(POLL)

    def _set_out(self) -> bool:
        """Begin one delivery; False when none is due or enough are on their way."""
        if len(self._in_hand()) >= AT_ONCE:
            return False
        webhook = self.take()
        if webhook is None:
            return False
        with self._lock:
            self._called[webhook.url] += 1
            self._owners[webhook.owner] += 1
            thread = threading.Thread(
                target=self._deliver, args=(webhook,), name="webhook-delivery", daemon=True
            )
            self._deliveries.append(thread)
            thread.start()
        return True

    def _deliver(self, webhook: Webhook) -> None:
        try:
            self.deliver(webhook)
        except TensorTriggerError as error:
            log.warning("webhook.not_settled", job_id=webhook.job_id, reason=error.detail)
        except Exception:
            if not self._stop.is_set():
                log.exception("webhook.not_settled", job_id=webhook.job_id)
        finally:
            with self._lock:
                for counter, key in ((self._called, webhook.url), (self._owners, webhook.owner)):
                    counter[key] -= 1
                    if not counter[key]:
                        del counter[key]
            self._nudged.set()

    def _in_hand(self) -> list[threading.Thread]:
        with self._lock:
            self._deliveries = [thread for thread in self._deliveries if thread.is_alive()]
            return list(self._deliveries)
