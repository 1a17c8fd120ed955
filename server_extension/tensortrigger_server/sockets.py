"""A run's metrics for the browser, over a WebSocket: first what it missed, then each batch as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, cast

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tensortrigger_server.handler import RESOURCE, Extension
from tensortrigger_server.problems import BackendAway, KeyRefused, Problem
from tensortrigger_server.run_feed import RunFeed

INTERVAL = 0.1
"""Seconds between two frames: eyes and charts need no more than 10 a second."""
FRAME_POINTS = 5_000
"""Points of one frame; so much also waits here at most, until the browser has taken the frame before."""

FINISHED, NO_SUCH_RUN, KEY_REFUSED, AWAY, GOING_AWAY = 1000, 4404, 4401, 4503, 1001


class RunSocket(ExtensionHandlerMixin, WebSocketMixin, WebSocketHandler, JupyterHandler):
    """``runs/<run_id>/socket?since=SEQ``."""

    auth_resource = RESOURCE
    _task: asyncio.Task[None] | None = None

    def set_default_headers(self) -> None:
        """None: those of pages make no sense here."""

    def get_compression_options(self) -> dict[str, Any] | None:
        """As Jupyter is configured."""
        return cast("dict[str, Any] | None", self.settings.get("websocket_compression_options"))

    @ws_authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Refuse a bad request before the handshake."""
        since = self.get_query_argument("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) < 16):
            raise web.HTTPError(400, "since must be the seq of the last point that you have.")
        await super().get(run_id)

    async def open(self, run_id: str) -> None:
        """Begin to send."""
        super().open()
        self._task = asyncio.create_task(self._serve(run_id, int(self.get_query_argument("since", "0"))))
        cast("Extension", self.extensionapp).follow(self._task)

    def on_message(self, message: str | bytes) -> None:
        """Pass over: the browser has nothing to say here."""

    def on_close(self) -> None:
        """Stop sending."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, run_id: str, since: int) -> None:
        extension = cast("Extension", self.extensionapp)
        code, reason = FINISHED, "finished"
        try:
            await self._send_all(RunFeed(extension.upstream, run_id, since), extension)
        except BackendAway:
            code, reason = AWAY, "backend away"
        except KeyRefused:
            code, reason = KEY_REFUSED, "key refused"
        except Problem as problem:
            missing = problem.status_code in (400, 404)
            code, reason = (NO_SUCH_RUN, "no such run") if missing else (AWAY, "backend failed")
        except WebSocketClosedError:
            return
        except asyncio.CancelledError:
            self.close(GOING_AWAY, "server stops")
            raise
        except Exception:
            self.log.exception("The metrics of a run cannot be passed on.")
            code, reason = AWAY, "failed"
        self.close(code, reason)

    async def _send_all(self, feed: RunFeed, extension: Extension) -> None:
        batch = _Batch(feed.last_seq)
        filling = asyncio.create_task(batch.fill(feed))
        try:
            while await batch.wait():
                await self.write_message(extension.redact(json.dumps(batch.take(ended=filling.done()))))
                await asyncio.sleep(INTERVAL)
            await filling
        finally:
            filling.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await filling


class _Batch:
    """What came in since the last frame."""

    def __init__(self, since: int) -> None:
        self._last_seq = since
        self._run: dict[str, Any] | None = None
        self._points: list[dict[str, Any]] = []
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def fill(self, feed: RunFeed) -> None:
        """Take events until the feed ends, and no more than fit one frame at a time. Raises what it raises."""
        known = False
        try:
            async for event in feed.events():
                while len(self._points) >= FRAME_POINTS:
                    self._room.clear()
                    await self._room.wait()
                if event.kind == "run":
                    self._run, known = event.members, True
                else:
                    self._points.append(event.members)
                if known:  # the first frame says which run this is
                    self._news.set()
        finally:
            self._news.set()

    async def wait(self) -> bool:
        """Whether there is a frame to send, once that is known; False at the end."""
        await self._news.wait()
        return self._run is not None or bool(self._points)

    def take(self, *, ended: bool) -> dict[str, Any]:
        """The frame."""
        frame: dict[str, Any] = {} if self._run is None else {"run": self._run}
        frame["points"] = self._points
        if self._points:
            self._last_seq = self._points[-1]["seq"]
        frame["last_seq"] = self._last_seq
        self._run, self._points = None, []
        self._room.set()
        if not ended:
            self._news.clear()
        return frame
