"""How requests reach the backend from asyncio code: the same steps as in ``connection``, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

import httpx

from tensortrigger_lab.attempts import Attempts
from tensortrigger_lab.calls.call import Call
from tensortrigger_lab.errors import TensorTriggerError
from tensortrigger_lab.request import Body, Request
from tensortrigger_lab.skew import SkewCheck
from tensortrigger_lab.terms import Terms

T = TypeVar("T")


class AsyncConnection:
    """A pool of connections to one backend, for one event loop; ``await close()`` when done.

    Args:
        transport: replaces the network, for tests.
        clock, sleep: seconds that only grow, and how to wait.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.terms = terms
        self.sleep = sleep
        self._clock = clock
        self.skew = SkewCheck()
        self._http = httpx.AsyncClient(**terms.options, transport=transport)

    async def close(self) -> None:
        """Close every connection. Safe to repeat."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def carry_out(self, call: Call[T]) -> T:
        """Ask what the call asks, hand it the answers and the errors, and return what it makes of them."""
        try:
            request = next(call)
            while True:
                try:
                    answer = await self.json(request)
                except TensorTriggerError as error:
                    request = call.throw(error)
                else:
                    request = call.send(answer)
        except StopIteration as done:
            found: T = done.value
            return found

    async def json(self, request: Request) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            TensorTriggerError: see the tree in ``errors``.
        """
        return self.terms.members(request, (await self._answered(request, stream=False)).content)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's bytes as they come.

        Raises:
            TensorTriggerError: as for ``json``, also while reading.
        """
        response = await self._answered(request, stream=True)
        try:
            yield self._bytes_of(response, request)
        finally:
            await response.aclose()

    async def _bytes_of(self, response: httpx.Response, request: Request) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_bytes():
                yield chunk
        except httpx.HTTPError as error:
            raise self.terms.failure(request, error) from error

    async def _answered(self, request: Request, *, stream: bool) -> httpx.Response:
        """The first answer that is no error, after as many tries as the request allows."""
        attempts = Attempts(request, self.terms.patience, clock=self._clock, now=time.time)
        while True:
            body = _read(request.body) if request.body is not None else None
            try:
                response = await self._http.send(self.terms.built(self._http, request, body), stream=True)
                if not stream or response.status_code >= 300:
                    await response.aread()
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
            await self.sleep(pause)


async def _read(body: Body) -> AsyncIterator[bytes]:
    """The body's pieces; reading a file must not hold up the event loop."""
    pieces = iter(body())
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
