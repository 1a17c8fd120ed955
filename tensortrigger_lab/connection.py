"""How requests reach the backend from ordinary code: sent, repeated where that is safe, and read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import httpx

from tensortrigger_lab.attempts import Attempts
from tensortrigger_lab.calls.call import Call
from tensortrigger_lab.errors import TensorTriggerError
from tensortrigger_lab.request import Request
from tensortrigger_lab.skew import SkewCheck
from tensortrigger_lab.terms import Terms

T = TypeVar("T")


class Connection:
    """A pool of connections to one backend. Safe to use from several threads; ``close()`` when done.

    Args:
        transport: replaces the network, for tests.
        clock, sleep: seconds that only grow, and how to wait.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.terms = terms
        self.sleep = sleep
        self._clock = clock
        self.skew = SkewCheck()
        self._http = httpx.Client(**terms.options, transport=transport)

    def close(self) -> None:
        """Close every connection. Safe to repeat."""
        self._http.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def carry_out(self, call: Call[T]) -> T:
        """Ask what the call asks, hand it the answers and the errors, and return what it makes of them."""
        try:
            request = next(call)
            while True:
                try:
                    answer = self.json(request)
                except TensorTriggerError as error:
                    request = call.throw(error)
                else:
                    request = call.send(answer)
        except StopIteration as done:
            found: T = done.value
            return found

    def json(self, request: Request) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            TensorTriggerError: see the tree in ``errors``.
        """
        return self.terms.members(request, self._answered(request, stream=False).content)

    @contextmanager
    def stream(self, request: Request) -> Iterator[Iterator[bytes]]:
        """The answer's bytes as they come.

        Raises:
            TensorTriggerError: as for ``json``, also while reading.
        """
        response = self._answered(request, stream=True)
        try:
            yield self._bytes_of(response, request)
        finally:
            response.close()

    def _bytes_of(self, response: httpx.Response, request: Request) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self.terms.failure(request, error) from error

    def _answered(self, request: Request, *, stream: bool) -> httpx.Response:
        """The first answer that is no error, after as many tries as the request allows."""
        attempts = Attempts(request, self.terms.patience, clock=self._clock, now=time.time)
        while True:
            body = request.body() if request.body is not None else None
            try:
                response = self._http.send(self.terms.built(self._http, request, body), stream=True)
                if not stream or response.status_code >= 300:
                    response.read()
            except httpx.HTTPError as error:
                pause = attempts.after_failure(error)
                if pause is None:
                    raise self.terms.failure(request, error) from error
            else:
                self.skew.look(response)
                if response.status_code < 300:
                    return response
                pause = attempts.after_answer(response)
                if pause is None:
                    raise self.terms.refusal(request, response)
            self.sleep(pause)
