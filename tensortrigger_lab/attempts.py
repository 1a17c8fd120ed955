"""When a request is sent again: after which failures, how long after, and when to give up."""

from __future__ import annotations

import random
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from tensortrigger_lab.request import Request

BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout)
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
KNOCK = 0.2
"""Seconds between two tries where nothing listens: a backend that starts is there soon."""
FIRST, LONGEST = 0.1, 5.0
"""Seconds: the pause before try n is anything up to FIRST * 2^n, and never more than LONGEST."""


class Attempts:
    """The tries of one request. It waits for nothing itself: the answers are seconds to pause.

    A request that never left may be sent again whatever it is. Any other is repeated only where that is safe:
    once at once where the connection broke, since it may have been an idle one that the server had closed, and
    then, as after 429 and 503, while ``patience`` lasts, counted from the first failure. A ``Retry-After`` is
    obeyed, or, where it is longer than what is left of the patience, given up on: never is it cut short.

    Args:
        patience: seconds to go on trying.
        clock: seconds that only grow.
        now: seconds since 1970, which a ``Retry-After`` date is measured against.
        jitter: a random number from 0 to its argument; full jitter keeps many clients from coming back at once.
    """

    def __init__(
        self,
        request: Request,
        patience: float,
        *,
        clock: Callable[[], float],
        now: Callable[[], float],
        jitter: Callable[[float], float] = lambda most: random.uniform(0.0, most),  # noqa: S311
    ) -> None:
        self._request = request
        self._patience = patience
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._failures = 0
        self._broken = 0
        self._until: float | None = None

    def after_failure(self, error: httpx.HTTPError) -> float | None:
        """Seconds until the next try after no answer came; None to give up."""
        if isinstance(error, UNSENT):
            return KNOCK if self._left() > 0.0 else None
        if not isinstance(error, BROKEN) or not self._request.repeatable:
            return None
        self._broken += 1
        return 0.0 if self._broken == 1 else self._within(self._backoff())

    def after_answer(self, response: httpx.Response) -> float | None:
        """Seconds until the next try after an answer that is an error; None to take it as final."""
        if response.status_code not in BUSY or not self._request.repeatable:
            return None
        told = retry_after(response, self._now())
        return self._within(self._backoff() if told is None else told)

    def _backoff(self) -> float:
        self._failures += 1
        return self._jitter(min(LONGEST, FIRST * 2**self._failures))

    def _within(self, pause: float) -> float | None:
        """The pause, None where patience ends before it does."""
        left = self._left()
        return pause if left > 0.0 and pause <= left else None

    def _left(self) -> float:
        """Seconds of patience from now on."""
        now = self._clock()
        if self._until is None:
            self._until = now + self._patience
        return self._until - now


def retry_after(response: httpx.Response, now: float) -> float | None:
    """Seconds, from either form of the header; None where it has none that can be read."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None
