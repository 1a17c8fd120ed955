"""Passing the browser's questions on to the backend, block by block, without its cookies and with our key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode

import httpx
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from tornado import iostream, web

from tensortrigger_server.allow_list import is_allowed
from tensortrigger_server.handler import TensorTriggerHandler
from tensortrigger_server.problems import Problem
from tensortrigger_server.upstream import VERSION_HEADER

PREFIX = "tensortrigger-lab/api/backend/"

# Lists of what passes, not of what does not: whatever else a browser or a proxy adds stays here.
TO_BACKEND = ("Accept", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID")
TO_BROWSER = ("Allow", "Content-Disposition", "ETag", "Last-Modified", "Link", "Retry-After", VERSION_HEADER)
JUPYTERS_OWN = ("token", "_xsrf", "no_track_activity")
"""Query arguments that are meant for Jupyter."""
WITH_BODY = ("POST", "PUT")
WAITING_BLOCKS = 4


@web.stream_request_body
class ProxyHandler(TensorTriggerHandler):
    """``backend/<path>``: one route of the backend, if the list names it."""

    _exchange: _Exchange | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        """Judge the request before a byte of its body is taken, then open the way to the backend."""
        await super().prepare()
        if self.request.method == "OPTIONS" or self._finished:
            return
        await self.must()
        method, path = self.request.method or "", self._raw_path()
        if not is_allowed(method, path):
            raise Problem(404, "not_on_the_list", f"{method} is not passed on for this path.")
        self._exchange = _Exchange(self, method, path)

    async def data_received(self, chunk: bytes) -> None:
        """Pass a block on; the browser is read no faster than the backend."""
        if self._exchange is not None:
            await self._exchange.send(chunk)

    def on_connection_close(self) -> None:
        """Nobody waits any more: neither should the backend."""
        if self._exchange is not None:
            self._exchange.stop()
        super().on_connection_close()

    def on_finish(self) -> None:
        """However the request ended, nothing of it stays open."""
        if self._exchange is not None:
            self._exchange.stop()
        super().on_finish()

    def compute_etag(self) -> None:
        """Whether an answer is still fresh is for the backend to say."""

    @web.authenticated
    @authorized
    async def get(self, _path: str) -> None:
        """Read."""
        await self._pass_on()

    @web.authenticated
    @authorized
    async def post(self, _path: str) -> None:
        """Run, cancel, retry, roll back."""
        await self._pass_on()

    @web.authenticated
    @authorized
    async def put(self, _path: str) -> None:
        """Point an alias."""
        await self._pass_on()

    @web.authenticated
    @authorized
    async def delete(self, _path: str) -> None:
        """Remove."""
        await self._pass_on()

    async def _pass_on(self) -> None:
        assert self._exchange is not None
        exchange = self._exchange
        try:
            answer = await exchange.answer()
            self.set_status(answer.status_code)
            self._copy_headers(answer)
            async for block in self.extension.upstream.blocks(answer):
                self.write(block)
                # Waits until the browser has taken it: an answer of any size passes through little memory.
                await self.flush()
            self.finish(set_content_type=answer.headers.get("content-type", "application/octet-stream"))
        except iostream.StreamClosedError:
            self.log.debug("The browser went away during %s.", self.request.path)
        except Problem as problem:
            if not self._headers_written:
                raise
            self.log.warning("%s %s: %s", self.request.method, self.request.path, problem.detail)
            # An end in good order would pass the half of an answer off as the whole.
            self.detach().close()
        finally:
            exchange.stop()

    def _copy_headers(self, answer: httpx.Response) -> None:
        redact = self.extension.redact
        for name in TO_BROWSER:
            if name in answer.headers:
                self.set_header(name, redact(answer.headers[name]))
        self.set_header(
            "Content-Type", redact(answer.headers.get("content-type", "application/octet-stream"))
        )
        self.set_header("X-Content-Type-Options", "nosniff")
        if "content-length" in answer.headers and "content-encoding" not in answer.headers:
            self.set_header("Content-Length", answer.headers["content-length"])
        if location := self._rewritten(answer.headers.get("location", "")):
            self.set_header("Location", redact(location))

    def _rewritten(self, location: str) -> str:
        """Where the browser finds what the backend has at ``location``; empty where it cannot."""
        own = self.extension.upstream.url
        if location.startswith(f"{own}/"):
            path = location.removeprefix(f"{own}/")
        elif location.startswith("/") and not location.startswith("//"):
            path = location.removeprefix("/")
        else:
            return ""
        return url_path_join(self.base_url, PREFIX) + path

    def _raw_path(self) -> str:
        """The path below the prefix as it was sent: decoding is how tricks get in."""
        prefix = url_path_join(self.base_url, PREFIX)
        path = self.request.path
        return path.removeprefix(prefix) if path.startswith(prefix) else ""


class _Exchange:
    """One question on its way to the backend, and its answer on its way back.

    A task of its own holds the connection, so that whatever ends the browser's request ends that too.
    """

    def __init__(self, handler: ProxyHandler, method: str, path: str) -> None:
        request = handler.request
        self._headers = {name: request.headers[name] for name in TO_BACKEND if name in request.headers}
        # The page adds the time as a bare number, so that no cache answers.
        self._query = urlencode(
            [
                (name, value)
                for name, value in parse_qsl(request.query, keep_blank_values=True)
                if name not in JUPYTERS_OWN and not name.isdigit()
            ]
        )
        length = request.headers.get("Content-Length")
        self._has_body = method in WITH_BODY and (
            "Transfer-Encoding" in request.headers or length not in (None, "0")
        )
        if self._has_body and length is not None:
            self._headers["Content-Length"] = length
        self._blocks: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_BLOCKS)
        self._answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._hold(handler, method, path))

    async def send(self, block: bytes | None) -> None:
        """Pass a block of the body on, None for its end; dropped where the backend has answered already."""
        if not self._has_body:
            return
        putting = asyncio.ensure_future(self._blocks.put(block))
        await asyncio.wait((putting, self._answer), return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def answer(self) -> httpx.Response:
        """The answer, its body not read yet, once the whole question was sent. Raises Problem."""
        await self.send(None)
        return await self._answer

    def stop(self) -> None:
        """Let go of the connection. Safe to repeat."""
        self._over.set()
        if not self._answer.done():
            self._task.cancel()

    async def _hold(self, handler: ProxyHandler, method: str, path: str) -> None:
        content = self._body() if self._has_body else None
        try:
            upstream = handler.extension.upstream
            async with upstream.ask(
                method, path, query=self._query, headers=self._headers, content=content
            ) as answer:
                self._answer.set_result(answer)
                await self._over.wait()
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            if not self._answer.done():
                self._answer.set_exception(error)
                self._answer.exception()  # seen, even if nobody waits any more
        finally:
            self._answer.cancel()

    async def _body(self) -> AsyncIterator[bytes]:
        while (block := await self._blocks.get()) is not None:
            yield block
