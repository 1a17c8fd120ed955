"""What the browser may ask this extension: all of its routes."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from tensortrigger_server.csv_routes import PreviewHandler, ScoreHandler, ScoresHandler
from tensortrigger_server.handler import NothingHere, TensorTriggerHandler
from tensortrigger_server.proxy import ProxyHandler
from tensortrigger_server.sockets import RunSocket
from tensortrigger_server.tickets import TicketsHandler

API = r"/tensortrigger-lab/api"


class StatusHandler(TensorTriggerHandler):
    """``GET status``: how the backend is doing."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer a `BackendStatus` as JSON."""
        status = await self.extension.backend_status()
        self.answer(status.to_dict())


ROUTES: list[tuple[str, type[Any]]] = [
    (rf"{API}/status", StatusHandler),
    (rf"{API}/backend/(.*)", ProxyHandler),
    (rf"{API}/tickets", TicketsHandler),
    (rf"{API}/runs/([A-Za-z0-9_-]{{1,64}})/socket", RunSocket),
    (rf"{API}/csv/preview", PreviewHandler),
    (rf"{API}/csv/scores", ScoresHandler),
    (rf"{API}/csv/scores/([0-9a-f]{{32}})", ScoreHandler),
    (rf"{API}(?:/.*)?", NothingHere),
]
